"""``swarmc spec``: runs scripts of the specification's suite and counts what agrees.

What is skipped, because swarmc lacks a feature, counts like a failure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__
from ...compiler.wasm.features import V2, V3, FeatureSet
from ...errors import ArgumentError
from ...targets.base import Target
from .spec_script import State, Verdict, run_script
from .wast import Form, Kind, ModuleText, ScriptError, read_script

#: Called before each file, with its name and the share of files done.
Progress = Callable[[str, float], None]

_REASONS = 12
_REASON_LENGTH = 100


@dataclass(slots=True)
class Score:
    """How many commands ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def count(self, state: State) -> None:
        """Count a command."""
        setattr(self, state.value, getattr(self, state.value) + 1)

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.skipped

    @property
    def percentage(self) -> str:
        """Share of commands that passed, never rounded up to 100."""
        return f"{int(10_000 * self.passed / (self.total or 1)) / 100:.2f} %"

    def to_json(self) -> dict[str, int]:
        """As plain data."""
        return {"passed": self.passed, "failed": self.failed, "skipped": self.skipped}


def score(verdicts: Iterable[Verdict]) -> Score:
    """Add up verdicts."""
    result = Score()
    for verdict in verdicts:
        result.count(verdict.state)
    return result


def kind_of(verdict: Verdict) -> str:
    """Kind of a command; malformed text, on which wasmtime has the say, is a kind of its own."""
    kind, body = verdict.command.kind, verdict.command.body
    name: str = kind.value
    if kind is Kind.MALFORMED and isinstance(body, ModuleText):
        name += " (binary)" if body.form is Form.BINARY else " (text)"
    return name


@dataclass(slots=True)
class SuiteReport:
    """Verdicts by file; the part of a name before the last ``/`` is the file's group."""

    target: str
    files: dict[str, list[Verdict]] = field(default_factory=dict)

    def groups(self) -> dict[str, Score]:
        """Scores by group, in order."""
        groups: dict[str, list[Verdict]] = {}
        for name, verdicts in self.files.items():
            groups.setdefault(name.rpartition("/")[0], []).extend(verdicts)
        return {name: score(verdicts) for name, verdicts in groups.items()}

    def kinds(self) -> dict[str, Score]:
        """Scores by kind of command."""
        kinds: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts():
            kinds.setdefault(kind_of(verdict), []).append(verdict)
        return {name: score(kinds[name]) for name in sorted(kinds)}

    def verdicts(self) -> Iterable[Verdict]:
        """All verdicts."""
        return (verdict for verdicts in self.files.values() for verdict in verdicts)

    @property
    def total(self) -> Score:
        return score(self.verdicts())

    def to_json(self) -> dict[str, Any]:
        """As plain data: totals, groups, kinds, files with every command that did not pass."""
        return {
            "version": __version__, "target": self.target, "totals": self.total.to_json(),
            "groups": {name: item.to_json() for name, item in self.groups().items()},
            "kinds": {name: item.to_json() for name, item in self.kinds().items()},
            "files": {name: _file_json(verdicts) for name, verdicts in self.files.items()},
        }  # fmt: skip


def _file_json(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        **score(verdicts).to_json(),
        "not_passed": [
            {"line": verdict.command.line, "command": kind_of(verdict),
             "state": verdict.state.value, "reason": verdict.reason}
            for verdict in verdicts if verdict.state is not State.PASSED
        ],
    }  # fmt: skip


def find_scripts(path: Path) -> dict[str, Path]:
    """The .wast files in a folder and those below it, or the one file, by name in a report.

    Raises:
        ArgumentError: there is none.
    """
    path = path.resolve()
    if path.is_file():
        return {f"{path.parent.name}/{path.name}": path}
    scripts = {
        f"{path.name}/{script.relative_to(path).as_posix()}": script
        for script in sorted(path.rglob("*.wast"))
    }
    if not scripts:
        raise ArgumentError(
            f"no .wast file is in {str(path)!r}",
            hint="the suite is test/core of github.com/WebAssembly/spec",
        )
    return dict(sorted(scripts.items(), key=lambda item: (item[0].rpartition("/")[0], item[0])))


def features_of(script: Path) -> FeatureSet:
    """What a script may use: of the version that a folder above it is named after, else the newest.

    Later versions make valid some of what scripts of earlier ones want to be refused.
    """
    return V2 if "2.0" in script.parts else V3


def run_suite(path: Path, target: Target, *, progress: Progress | None = None) -> SuiteReport:
    """Run all scripts of a folder.

    Raises:
        ArgumentError: there are none. ScriptError: one is none.
        TargetError: wasmtime, which translates text, is not installed.
    """
    report = SuiteReport(target.name)
    scripts = find_scripts(path)
    for number, (name, script) in enumerate(scripts.items()):
        if progress is not None:
            progress(name, number / len(scripts))
        try:
            commands = read_script(script.read_bytes())
        except ScriptError as error:
            raise ScriptError(f"{name}: {error}") from error
        report.files[name] = run_script(commands, target, features=features_of(script))
    return report


def to_markdown(report: SuiteReport) -> str:
    """The report as docs/conformance.md."""
    lines = [_HEAD.format(target=report.target)]
    lines += _table("files", {**report.groups(), "**all**": report.total})
    lines += ["", "By command:", "", *_table("command", report.kinds())]
    reasons = Counter(
        verdict.reason.partition(": ")[2] or verdict.reason
        for verdict in report.verdicts() if verdict.state is State.SKIPPED
    )  # fmt: skip
    if reasons:
        lines += ["", "## Skipped", "", *(f"- {_cell(r)}: {n}" for r, n in reasons.most_common())]
    lines += ["", "## Failed", "", *(_failures(report) or ["Nothing."])]
    lines += ["", "## By file", "", *_table("file", {n: score(v) for n, v in report.files.items()})]
    return "\n".join(lines) + "\n"


_HEAD = """\
# Conformance

Written by `swarmc spec`; do not edit. It runs the WebAssembly specification's own scripts on the
`{target}` target, every module of them through decoder, validator, IR, passes and LLVM, and runs
the machine code. What is skipped, because swarmc lacks a feature, counts like a failure.

All modules of a script are instances of one program, linked to each other and to the suite's host
module `spectest`, and compiled once, before the script runs. One agent does what the script says:
instances are instantiated in the script's order, so the state of the earlier ones stays.

Text becomes bytes by wasmtime's `wat2wasm`, which therefore has the say on malformed text; on
malformed binaries swarmc has, message included. Scripts run under the feature set of their
version: what a later version made valid is refused, by the name of the proposal.
"""


def _table(head: str, rows: dict[str, Score]) -> list[str]:
    lines = [f"| {head} | passed | failed | skipped | |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, item in rows.items():
        counts = f"{item.passed:,} | {item.failed:,} | {item.skipped:,} | {item.percentage}"
        lines.append(f"| {name} | {counts} |")
    return lines


def _failures(report: SuiteReport) -> list[str]:
    lines = []
    for name, verdicts in report.files.items():
        failed = [verdict for verdict in verdicts if verdict.state is State.FAILED]
        lines += [
            f"- {name}:{verdict.command.line} {kind_of(verdict)}: {_cell(verdict.reason)}"
            for verdict in failed[:_REASONS]
        ]
        if len(failed) > _REASONS:
            lines.append(f"- {name}: {len(failed) - _REASONS} more")
    return lines


def _cell(reason: str) -> str:
    """One short line."""
    text = " ".join(reason.split())
    return text if len(text) <= _REASON_LENGTH else text[: _REASON_LENGTH - 1] + "…"
