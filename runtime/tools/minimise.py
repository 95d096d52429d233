"""Makes a failing case smaller while it fails in the same way, and saves it.

First the workload shrinks (one agent, one call, plain arguments), then the choices that the module
was generated from, if they are known, then the module's own parts: instructions, bodies, segments.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...compiler.wasm.decoder import decode
from ...compiler.wasm.module import Body, Module
from ...compiler.wasm.opcodes import BY_NAME, Opcode
from ...compiler.wasm.printer import print_wat
from ...compiler.wasm.types import DefType
from ...compiler.wasm.validator import validate
from ...errors import SwarmcError, ValidationError
from ...ir.types import Type
from .choices import Choices, ReplaySource
from .differential import Mismatch
from .encoder import encode
from .execution import Call, Script, Setup, Workload
from .generator import GeneratorOptions, generate

#: Instructions of a body at most of which every run is tried.
_SHORT = 64

#: Runs a case and says how it fails, None if it does not.
Check = Callable[[bytes, Setup, Workload], Mismatch | None]


@dataclass(frozen=True, slots=True)
class Case:
    """A module, how it is loaded and run, and the difference that this shows.

    Attributes:
        record: choices that the module was generated from; None if it was not.
    """

    data: bytes
    setup: Setup
    workload: Workload
    mismatch: Mismatch
    record: tuple[int, ...] | None = None
    options: GeneratorOptions | None = None


def minimise(case: Case, check: Check, *, seconds: float = 60.0) -> Case:
    """The smallest case found in the time that fails with the same kind of mismatch."""
    return _Minimiser(case, check, time.monotonic() + seconds).run()


def save(case: Case, folder: Path, name: str) -> Path:
    """Write ``name.wat`` (the case as comments, and the module), ``.wasm`` and ``.json``.

    Returns:
        Path of the .wat file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.wasm").write_bytes(case.data)
    description = {
        "mismatch": str(case.mismatch),
        "fuel": case.workload.fuel,
        "setup": dataclasses.asdict(case.setup),
        "agents": [
            {"calls": [[call.entry, *map(hex, call.args)] for call in script.calls],
             "memory": script.memory.hex(), "stdin": script.stdin.hex(),
             "argv": script.argv, "environ": script.environ}
            for script in case.workload.scripts
        ],
    }
    text = json.dumps(description, indent=1)
    (folder / f"{name}.json").write_text(text + "\n")
    try:
        wat = print_wat(decode(case.data))
    except SwarmcError as error:
        wat = f";; the module does not decode: {error}"
    path = folder / f"{name}.wat"
    path.write_text("".join(f";; {line}\n" for line in text.splitlines()) + wat + "\n")
    return path


class _Minimiser:
    """Greedy: takes every smaller case that still fails."""

    def __init__(self, case: Case, check: Check, deadline: float) -> None:
        self.case, self.check, self.deadline = case, check, deadline

    def run(self) -> Case:
        self._scripts()
        if self.case.record is not None:
            end = self.deadline  # half of the time, for the parts of the module shrink it further
            self.deadline = (time.monotonic() + end) / 2
            self._choices(list(self.case.record))
            self.deadline = end
        self._scripts()
        if self._valid(self.case.data) is not None:
            self._structure()
            self._scripts()
        return self.case

    def _late(self) -> bool:
        return time.monotonic() > self.deadline

    def _try(self, data: bytes, setup: Setup, workload: Workload,
             record: tuple[int, ...] | None) -> bool:
        """Take a case if it fails as the first one did."""
        if self._late():
            return False
        found = self.check(data, setup, workload)
        if found is None or found.kind != self.case.mismatch.kind:
            return False
        self.case = Case(data, setup, workload, found, record, self.case.options)
        return True

    # The workload.

    def _scripts(self) -> None:
        agent = self.case.mismatch.agent
        if agent is not None and len(self.case.workload.scripts) > 1:
            self._try_scripts((self.case.workload.scripts[agent],))
        for count in range(len(self.case.workload.scripts[0].calls) - 1, 0, -1):
            for part in (slice(-count, None), slice(count)):
                self._try_scripts(tuple(dataclasses.replace(script, calls=script.calls[part])
                                        for script in self.case.workload.scripts))
        if len(self.case.workload.scripts) == 1:
            script = self.case.workload.scripts[0]
            if script.memory:
                self._try_scripts((dataclasses.replace(script, memory=b""),))
            self._arguments()

    def _try_scripts(self, scripts: tuple[Script, ...]) -> bool:
        workload = dataclasses.replace(self.case.workload, scripts=scripts)
        return self._try(self.case.data, self.case.setup, workload, self.case.record)

    def _arguments(self) -> None:
        """Make each argument 0 where that does."""
        for number, call in enumerate(self.case.workload.scripts[0].calls):
            for place in range(len(call.args)):
                script = self.case.workload.scripts[0]
                calls = list(script.calls)
                args = list(calls[number].args)
                args[place] = 0
                calls[number] = Call(call.entry, tuple(args))
                if calls != list(script.calls):
                    self._try_scripts((dataclasses.replace(script, calls=tuple(calls)),))

    # The choices.

    def _choices(self, record: list[int]) -> None:
        """Drop and lower numbers, in runs that get shorter."""
        size = 1 << max(len(record).bit_length() - 2, 0)
        while size and not self._late():
            place = len(record) - size
            while place >= 0 and not self._late():
                dropped = record[:place] + record[place + size :]
                zeroed = [*record[:place], *([0] * size), *record[place + size :]]
                if self._replay(dropped):
                    record = dropped
                elif any(record[place : place + size]) and self._replay(zeroed):
                    record = zeroed
                place = min(place, len(record)) - size
            size //= 2

    def _replay(self, record: Sequence[int]) -> bool:
        generated = generate(Choices(ReplaySource(record)), self.case.options)
        if len(generated.data) > len(self.case.data):
            return False
        types = dict(generated.entries)
        scripts = []
        for script in self.case.workload.scripts:
            if any(call.entry not in types for call in script.calls):
                return False
            calls = tuple(_fit(call, types[call.entry].params) for call in script.calls)
            # The simpler module may have no memory.
            memory = script.memory if generated.pages else b""
            scripts.append(dataclasses.replace(script, calls=calls, memory=memory))
        workload = dataclasses.replace(self.case.workload, scripts=tuple(scripts))
        return self._try(generated.data, self.case.setup, workload, tuple(record))

    # The module.

    @staticmethod
    def _valid(data: bytes) -> Module | None:
        try:
            module = decode(data)
            validate(module)
        except SwarmcError:
            return None
        return module

    def _structure(self) -> None:
        before = -1
        while len(self.case.data) != before and not self._late():
            before = len(self.case.data)
            module = decode(self.case.data)
            self._parts(module)
            order = sorted(range(len(module.funcs)), key=lambda n: -len(module.funcs[n].body.ops))
            for number in order:
                self._body(number)
            self._tails()

    def _parts(self, module: Module) -> None:
        """Try without what hangs loosely: start, segments' contents, exports."""
        scripts = self.case.workload.scripts
        entries = {call.entry for script in scripts for call in script.calls}
        written = any(script.memory for script in scripts)  # through the memory's export
        self._try_module(dataclasses.replace(module, start=None))
        for export in list(module.exports):
            if export.name not in entries and not (written and export.kind == "memory"):
                current = decode(self.case.data)
                kept = [item for item in current.exports if item.name != export.name]
                self._try_module(dataclasses.replace(current, exports=kept))
        for number in range(len(module.data)):
            current = decode(self.case.data)
            current.data[number] = dataclasses.replace(current.data[number], data=b"")
            self._try_module(current)
        for number in range(len(module.elems)):
            current = decode(self.case.data)
            current.elems[number] = dataclasses.replace(current.elems[number], items=())
            self._try_module(current)
        for number in range(len(module.funcs)):
            current = decode(self.case.data)
            current.funcs[number] = dataclasses.replace(current.funcs[number], locals=())
            self._try_module(current)

    def _tails(self) -> None:
        """Try without the last function, segment, global, table, type; that renumbers nothing."""
        used = any(script.memory for script in self.case.workload.scripts)
        for names in (("funcs", "func_types"), ("elems",), ("data",), ("globals",), ("tables",),
                      ("memories",), ("types",)):
            while not (used and names == ("memories",)):
                current = decode(self.case.data)
                if not getattr(current, names[0]):
                    break
                for name in names:
                    _pop(getattr(current, name))
                if current.data_count is not None:
                    current.data_count = len(current.data) or None
                if not self._try_module(current):
                    break

    def _try_module(self, module: Module) -> bool:
        if self._late():
            return False
        try:
            data = encode(module)
        except ValidationError:
            return False
        if len(data) >= len(self.case.data) or self._valid(data) is None:
            return False
        return self._try(data, self.case.setup, self.case.workload, None)

    def _body(self, number: int) -> None:
        """Cut instructions out of a body, in runs that get shorter."""
        size = len(decode(self.case.data).funcs[number].body.ops) - 1
        while size and not self._late():
            place = len(decode(self.case.data).funcs[number].body.ops) - 1 - size
            while place >= 0 and not self._late():
                for body in _cuts(decode(self.case.data).funcs[number].body, place, size):
                    module = decode(self.case.data)
                    module.funcs[number] = dataclasses.replace(module.funcs[number], body=body)
                    if self._try_module(module):
                        break
                place -= max(size // 2, 1)
            size //= 2
        self._runs(number)

    def _runs(self, number: int) -> None:
        """Cut every run of instructions out of a short body, whatever its length.

        A block and the drops of its results go only together, and halved lengths miss them.
        """
        size = len(decode(self.case.data).funcs[number].body.ops) - 1
        if size > _SHORT:
            return
        while size > 1 and not self._late():
            place = len(decode(self.case.data).funcs[number].body.ops) - 1 - size
            while place >= 0 and not self._late():
                module = decode(self.case.data)
                body = next(_cuts(module.funcs[number].body, place, size))
                module.funcs[number] = dataclasses.replace(module.funcs[number], body=body)
                place -= size if self._try_module(module) else 1
            size -= 1


def _pop(items: list[Any]) -> None:
    """Remove the last item, or the last group of types."""
    last = items.pop()
    if isinstance(last, DefType):
        del items[len(items) + 1 - len(last.group):]


def _cuts(body: Body, place: int, size: int) -> Iterator[Body]:
    """The body without a run of instructions, or with one in its place."""
    ops, imms = body.ops, body.imms
    for op, imm in _REPLACEMENTS:
        between = [] if op is None else [op]
        yield Body(ops[:place] + between + ops[place + size :],
                   imms[:place] + ([] if op is None else [imm]) + imms[place + size :],
                   [0] * (len(ops) - size + len(between)))


_REPLACEMENTS: tuple[tuple[Opcode | None, int | None], ...] = (
    (None, None), (BY_NAME["unreachable"], None), (BY_NAME["drop"], None),
    (BY_NAME["i32.const"], 0), (BY_NAME["i64.const"], 0), (BY_NAME["f32.const"], 0),
    (BY_NAME["f64.const"], 0), (BY_NAME["v128.const"], 0),
)


def _fit(call: Call, types: Sequence[Type]) -> Call:
    """A call with arguments for another signature: cut, padded, and masked."""
    args = [*call.args, *([0] * len(types))][: len(types)]
    return Call(call.entry, tuple(
        0 if type_.is_ref and type_ is not Type.EXTERNREF else bits & ((1 << type_.bits) - 1)
        for bits, type_ in zip(args, types, strict=True)))
