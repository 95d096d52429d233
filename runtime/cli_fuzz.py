"""``swarmc fuzz``: the fuzzer, with what it found so far on the terminal."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from ..targets.addressing import parse_layout
from .choosing import target_named
from .cli_terminal import report_console, stage_progress, write_file
from .tools import malformed
from .tools.fuzz import GeneratorName, run
from .tools.fuzz_report import FuzzReport
from .tools.malformed import MalformedReport

_MISMATCH = 1
_SEED_BITS = 32
_AGENTS = 16
_AGENTS_SLOW = 4  # of which the interpreter runs each


def fuzz(seconds: float, seed: int | None, directory: Path, target: str, layout: str | None, *,
         passes: bool, generator: GeneratorName, json_file: Path | None) -> int:
    """Fuzz for a time and print the report; the exit code is 1 if there were mismatches."""
    seed = _seed(seed)
    chosen = target_named(target, None if layout is None else parse_layout(layout))
    report_console(json_file).print(f"seed {seed}", highlight=False)
    with stage_progress() as progress:

        def show(report: FuzzReport) -> None:
            done = min(report.seconds / seconds, 1.0) if seconds else 1.0
            found = len(report.saved)
            progress(f"{report.modules} modules, {found} mismatches", done)

        report = run(seconds, seed, directory, target=chosen, progress=show,
                     passes=passes, generator=generator, agents=_AGENTS_SLOW if passes else _AGENTS)
    _show(report, json_file)
    return _MISMATCH if report.saved else 0


def fuzz_malformed(count: int, seed: int | None, directory: Path, *,
                   json_file: Path | None) -> int:
    """Damage modules so many times; the exit code is 1 if a verdict differs from wasmtime's."""
    seed = _seed(seed)
    report_console(json_file).print(f"seed {seed}", highlight=False)
    with stage_progress() as progress:

        def show(report: MalformedReport) -> None:
            found = len(report.problems)
            progress(f"{report.modules} modules, {found} mismatches", report.modules / count)

        report = malformed.run(count, seed, directory, progress=show)
    _show(report, json_file)
    return _MISMATCH if report.problems else 0


def _seed(seed: int | None) -> int:
    return secrets.randbits(_SEED_BITS) if seed is None else seed


def _show(report: FuzzReport | MalformedReport, json_file: Path | None) -> None:
    console = report_console(json_file)
    console.print(str(report), highlight=False, markup=False, soft_wrap=True)
    if json_file is not None:
        text = json.dumps(report.to_json(), indent=1) + "\n"
        write_file(json_file, lambda file: file.write(text), binary=False)
