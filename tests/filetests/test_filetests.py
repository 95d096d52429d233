"""IR text files that say what should happen to them: ``*.ir`` below this folder.

A file holds cases, each begun by a line ``; CASE: name`` (one may come without). A case is IR text
with directives in comments:

``; RUN: print``
    parse and print: gives what follows ``; EXPECT:``, or without it the case itself
``; RUN: verify``
    parse and verify
``; RUN: pass, pass``
    parse, verify, run passes, verify, print (functions only, unless a module pass is among them):
    gives what follows ``; EXPECT:``
``; RUN: interpret @0.1(2, 0x0) [budget N] -> (3), fuel 9``
    call a function; calls of a case are made in order, on one agent. An end is ``(results)``,
    ``trap code @loc``, ``exit code``, ``throw exnref`` or the message of an IRError. Passes of the
    case must not change any of it.
``; ERROR: message``
    the RUN line before it fails so

Host functions are imported from module ``test``: ``echo`` returns its arguments, ``trap`` traps,
``exit`` exits with its argument.

``python tests/filetests/test_filetests.py [file...]`` writes what happens into the files: look at
the difference before keeping it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from swarmc.errors import IRError
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Exited, HostCall, Outcome
from swarmc.ir.module import Module
from swarmc.ir.parser import parse_module
from swarmc.ir.printer import print_function, print_module
from swarmc.ir.text import Cursor, format_const, parse_const
from swarmc.ir.types import EntityId, Trap
from swarmc.ir.verifier import verify

HERE = Path(__file__).parent
CASE = re.compile(r"^(?=; CASE: )", re.MULTILINE)
CALL = re.compile(r"interpret @(\d+)\.(\d+)\((.*?)\)(?: budget (\d+))?(?: -> .*)?")
EXPECT = "; EXPECT:\n"
#: Fuel of a call that names none: a loop that does not end is seen within seconds.
BUDGET = 1_000_000

HOST: Mapping[tuple[str, str], HostCall] = {
    ("test", "echo"): lambda state, args: args,
    ("test", "trap"): lambda state, args: Trap.HOST,
    ("test", "exit"): lambda state, args: Exited(args[0]),
}


def cases(path: Path) -> list[str]:
    """The cases of a file; joined, they are the file again."""
    parts = CASE.split(path.read_text())
    if not re.search("^; RUN: ", parts[0], re.MULTILINE):
        parts[:2] = ["".join(parts[:2])]  # remarks before the first case
    return parts


def name_of(case: str) -> str:
    found = re.search(r"^; CASE: (.*)$", case, re.MULTILINE)
    return found[1] if found else "case"


def runs(case: str) -> list[str]:
    return re.findall(r"^; RUN: (.*)$", case, re.MULTILINE)


class Result:
    """What the RUN lines of one case do, as the lines that should stand in the file."""

    def __init__(self, case: str) -> None:
        head, _, _ = case.partition(EXPECT)
        # Without whole lines of comment, so that errors name the same lines after an update.
        self.source = re.sub("^;.*\n", "", head, flags=re.MULTILINE)
        self.calls = [run for run in runs(case) if run.startswith("interpret")]
        self.ends: list[str] | None = None  # the calls, completed
        self.expected: str | None = None
        lines: list[str] = []
        for line in head.splitlines(keepends=True):
            if line.startswith("; ERROR: "):
                continue
            if line.startswith("; RUN: "):
                lines += self.run(line.removeprefix("; RUN: ").rstrip("\n"))
            else:
                lines.append(line)
        self.text = "".join(lines)
        if self.expected is not None:
            self.text = f"{self.text.rstrip()}\n{EXPECT}{self.expected}"

    def run(self, run: str) -> list[str]:
        """The RUN line, completed, and its ERROR line if there is one."""
        if run.startswith("interpret"):
            if self.ends is None:
                module = parse_module(self.source)
                verify(module)
                self.ends = perform(module, self.calls)
            return [f"; RUN: {self.ends.pop(0)}\n"]
        try:
            if run == "print":
                self.print()
            elif run == "verify":
                verify(parse_module(self.source))
            else:
                self.passes([name.strip() for name in run.split(",")])
        except IRError as error:
            return [f"; RUN: {run}\n", f"; ERROR: {error}\n"]
        return [f"; RUN: {run}\n"]

    def print(self) -> None:
        printed = print_module(parse_module(self.source))
        if printed.strip() != self.source.strip():
            self.expected = printed

    def passes(self, names: list[str]) -> None:
        module = parse_module(self.source)
        verify(module)
        before = perform(module, self.calls)
        whole = any([run_pass(name, module) for name in names])
        verify(module)
        assert perform(module, self.calls) == before, "a pass changed what calls do"
        functions = [print_function(function) for function in module.functions.values()]
        self.expected = print_module(module) if whole else "\n".join(functions)


def run_pass(name: str, module: Module) -> bool:
    """Run a pass by its registered name; whether it is one of the whole module."""
    manager = importlib.import_module("swarmc.ir.passes.manager")
    if name in manager.MODULE_PASSES:
        manager.MODULE_PASSES[name](module)
        return True
    function_pass: Callable[..., bool] = manager.PASSES[name]
    for function in module.functions.values():
        function_pass(function, module)
    return False


def perform(module: Module, calls: list[str]) -> list[str]:
    """The calls, each completed with how it ended; start functions run first."""
    agent = Interpreter(module, HOST)
    agent.start()
    done = []
    for call in calls:
        match = CALL.fullmatch(call)
        assert match, f"not understood: {call}"
        instance, index, arguments, budget = match.groups()
        function = EntityId(int(instance), int(index))
        type_ = module.types[module.sig_of(function)]
        cursor = Cursor(arguments.replace(",", " "), 0)
        args = [parse_const(cursor, param) for param in type_.params]
        cursor.end()
        try:
            outcome = agent.invoke(function, args, int(budget or BUDGET))
            end = describe(outcome, module, function)
        except IRError as error:
            end = str(error)
        done.append(f"{call.partition(' -> ')[0]} -> {end}")
    return done


def describe(outcome: Outcome, module: Module, function: EntityId) -> str:
    fuel = f", fuel {outcome.fuel_used}"
    if outcome.trap is not None:
        place = f" @{outcome.loc:#x}" if outcome.loc >= 0 else ""
        return f"trap {outcome.trap.slug}{place}{fuel}"
    if outcome.exit_code is not None:
        return f"exit {outcome.exit_code}{fuel}"
    if outcome.results is None:
        return f"throw {outcome.exception}{fuel}"
    types = module.types[module.sig_of(function)].results
    values = map(format_const, types, outcome.results)
    return f"({', '.join(values)}){fuel}"


def all_cases() -> list[object]:
    return [
        pytest.param(case, id=f"{path.relative_to(HERE).with_suffix('')}: {name_of(case)}")
        for path in sorted(HERE.rglob("*.ir")) for case in cases(path)
    ]


@pytest.mark.parametrize("case", all_cases())
def test_case(case: str) -> None:
    assert runs(case), "the case has no RUN line"
    assert Result(case).text.rstrip() == case.rstrip()


def update(paths: list[Path]) -> None:
    """Write what happens into the files."""
    for path in paths:
        before = path.read_text()
        after = "\n".join(f"{Result(case).text.rstrip()}\n" for case in cases(path))
        if after != before:
            path.write_text(after)
            print(f"updated {path}")


if __name__ == "__main__":
    update([Path(name) for name in sys.argv[1:]] or sorted(HERE.rglob("*.ir")))
