"""``swarmc fuzz``: the fuzzer, with what it found so far on the terminal."""

from __future__ import annotations

import secrets
from pathlib import Path

from .cli_terminal import stage_progress, stdout_console
from .tools.fuzz import FuzzReport, run

_MISMATCH = 1
_SEED_BITS = 32


def fuzz(seconds: float, seed: int | None, directory: Path) -> int:
    """Fuzz for a time and print the report; the exit code is 1 if there were mismatches."""
    if seed is None:
        seed = secrets.randbits(_SEED_BITS)
    console = stdout_console()
    console.print(f"seed {seed}", highlight=False)
    with stage_progress() as progress:

        def show(report: FuzzReport) -> None:
            done = min(report.seconds / seconds, 1.0) if seconds else 1.0
            found = len(report.saved)
            progress(f"{report.modules} modules, {found} mismatches", done)

        report = run(seconds, seed, directory, progress=show)
    console.print(str(report), highlight=False, markup=False)
    return _MISMATCH if report.saved else 0
