"""What a run of the fuzzer did, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...compiler.wasm.opcodes import BY_NAME
from .coverage import Coverage
from .differential import Mismatch, Tally


@dataclass(slots=True)
class FuzzReport:
    """What a run of the fuzzer did.

    Attributes:
        modules: how many, refused ones included. generators: how many each made.
        refused: modules that trap when they are instantiated, or that use what is not supported.
        tested: names of what was compared with the oracle.
        saved: .wat files of mismatches, with the mismatch.
        coverage: instructions that some module contained, and those that ran.
    """

    seed: int
    seconds: float = 0.0
    modules: int = 0
    refused: int = 0
    generators: Counter[str] = field(default_factory=Counter)
    tested: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    traps: Counter[str] = field(default_factory=Counter)
    coverage: Coverage = field(default_factory=Coverage)
    saved: list[tuple[Path, Mismatch]] = field(default_factory=list)

    @property
    def not_generated(self) -> list[str]:
        """Instructions that no module contained."""
        return [name for name in BY_NAME if name not in self.coverage.generated]

    @property
    def not_executed(self) -> list[str]:
        """Instructions that some module contained and that never ran."""
        return [name for name in BY_NAME
                if name in self.coverage.generated and name not in self.coverage.executed]

    def __str__(self) -> str:
        tally, total = self.tally, len(BY_NAME)
        made = ", ".join(f"{name} {n}" for name, n in self.generators.items())
        lines = [
            f"seed {self.seed}, {self.seconds:.1f} s",
            f"tested       {', '.join(self.tested)}",
            f"modules      {self.modules} ({made}), of which {self.refused} cannot be run",
            f"executions   {tally.executions}: {tally.returned} returned, {tally.trapped} trapped, "
            f"{tally.exempt} exhausted the call stack or the heap (not compared)",
            "traps        " + ", ".join(f"{name} {n}" for name, n in self.traps.most_common()),
            f"instructions {len(self.coverage.generated)} of {total} generated, "
            f"{len(self.coverage.executed)} executed (in a basic block that was entered)",
        ]
        if self.not_generated:
            lines.append("not generated " + " ".join(self.not_generated))
        if self.not_executed:
            lines.append("not executed " + " ".join(self.not_executed))
        lines.append(f"mismatches   {len(self.saved)}")
        lines += [f"  {path}: {mismatch}" for path, mismatch in self.saved]
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "seed": self.seed, "seconds": round(self.seconds, 3), "tested": self.tested,
            "modules": self.modules, "generators": dict(self.generators), "refused": self.refused,
            "executions": asdict(self.tally), "traps": dict(self.traps.most_common()),
            "instructions": {
                "total": len(BY_NAME), "generated": len(self.coverage.generated),
                "executed": len(self.coverage.executed),
                "executed_means": "stands in a basic block that the IR interpreter entered",
                "not_generated": self.not_generated, "not_executed": self.not_executed,
            },
            "mismatches": [
                {"file": str(path), **asdict(mismatch)} for path, mismatch in self.saved],
        }
