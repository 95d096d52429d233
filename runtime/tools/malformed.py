"""``swarmc fuzz --malformed``: damaged modules are accepted or refused as wasmtime does.

Whatever the bytes are, decoding and validating ends soon, with a module or with an error of
swarmc's; and what is accepted can be translated, or is refused with such an error.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...compiler.frontend.translate import translate
from ...compiler.pipeline import optimise
from ...compiler.wasm.decoder import decode
from ...compiler.wasm.interface import decode_interface
from ...compiler.wasm.module import Module
from ...compiler.wasm.printer import print_wat
from ...compiler.wasm.validator import validate
from ...errors import SwarmcError
from ...ir.types import FuncType
from ...ir.verifier import verify
from ...targets.layout import plan_layout
from .choices import Choices, RandomSource
from .damage import Parts, mutate, take_apart
from .generator import GeneratorOptions, generate
from .oracle import load_wasmtime, same_features

#: Seconds of processor time that a module may take, and a megabyte of it besides.
_PATIENCE, _PATIENCE_PER_MEGABYTE = 2.0, 8.0
#: Of so many accepted modules one is translated and printed as well.
_FURTHER = 8
_MODULES = 16
_SMALL = GeneratorOptions(functions=4, size=150, depth=4)
_SAVED = 20

#: Words in which wasmtime refuses what swarmc takes: sums over all imports and exports, which
#: only matter to components.
_ITS_OWN_LIMITS = ("effective type size exceeds",)
#: And the other way round: operands of one function, of which it keeps gigabytes.
_OUR_LIMITS = ("operands on the stack",)


class Judge:
    """Compares swarmc's verdict on bytes with wasmtime's.

    Raises:
        TargetError: wasmtime is not installed.
    """

    def __init__(self) -> None:
        self._wasmtime = load_wasmtime()
        self._engine = self._wasmtime.Engine(same_features(self._wasmtime.Config()))

    def refusal(self, data: bytes) -> str | None:
        """Why wasmtime refuses a module, None if it does not."""
        try:
            self._wasmtime.Module.validate(self._engine, data)
        except self._wasmtime.WasmtimeError as error:
            return str(error)
        return None

    def judge(self, data: bytes, *, further: bool = False) -> Verdict:
        """Decode and validate; see what is wrong with how that went.

        Args:
            further: print and translate what is accepted, too.
        """
        started = time.process_time()
        verdict = Verdict()
        try:
            module = decode(data)
            validate(module)
            if further:
                _go_on(module)
        except SwarmcError as error:
            verdict.error = error
        except Exception as error:
            verdict.problem = f"{type(error).__name__}: {error}"
        verdict.seconds = time.process_time() - started
        if not verdict.problem:
            verdict.problem = self._problem(data, verdict)
        return verdict

    def _problem(self, data: bytes, verdict: Verdict) -> str:
        if verdict.seconds > _PATIENCE + _PATIENCE_PER_MEGABYTE * len(data) / 1e6:
            return f"{verdict.seconds:.1f} s for {len(data)} bytes"
        try:
            decode_interface(data)
        except SwarmcError as error:
            if verdict.error is None:
                return f"accepted, but for its interface: {error}"
        except Exception as error:
            return f"interface: {type(error).__name__}: {error}"
        theirs = self.refusal(data)
        if verdict.error is not None and theirs is None:
            if any(words in verdict.error.message for words in _OUR_LIMITS):
                return ""
            return f"refused what wasmtime accepts: {verdict.error}"
        if verdict.error is None and theirs is not None:
            if any(words in theirs for words in _ITS_OWN_LIMITS):
                return ""
            return f"accepted what wasmtime refuses: {' '.join(theirs.split())}"
        return ""


@dataclass(slots=True)
class Verdict:
    """What became of some bytes.

    Attributes:
        error: swarmc's, None if it accepts them.
        problem: what is wrong with that, empty if nothing is.
        seconds: of processor time that swarmc took.
    """

    error: SwarmcError | None = None
    problem: str = ""
    seconds: float = 0.0


def _go_on(module: Module) -> None:
    """Everything up to LLVM. What the target cannot do is refused, and is no verdict."""
    print_wat(module)
    program = translate(module, missing_imports="trap", known_host=_no_host)
    verify(program)
    optimise(program, verify=True)
    try:
        plan_layout(program)
    except SwarmcError:
        pass  # too large for the target, though it is valid


def _no_host(module: str, name: str, type_: FuncType) -> bool:
    return False


@dataclass(slots=True)
class MalformedReport:
    """What a run found.

    Attributes:
        errors: swarmc's, by their first words. problems: with the file that shows each.
        slowest: seconds of processor time.
    """

    seed: int
    seconds: float = 0.0
    modules: int = 0
    accepted: int = 0
    slowest: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[Path, str]] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count a module."""
        self.modules += 1
        self.slowest = max(self.slowest, verdict.seconds)
        if verdict.error is None:
            self.accepted += 1
        else:
            words = verdict.error.message.partition(":")[0].split()
            self.errors[" ".join([word for word in words if not word[0].isdigit()][:4])] += 1

    def __str__(self) -> str:
        most = ", ".join(f"{words} {count}" for words, count in self.errors.most_common(8))
        return "\n".join([
            f"seed {self.seed}, {self.seconds:.1f} s",
            f"modules      {self.modules}, of which {self.accepted} are accepted",
            f"errors       {len(self.errors)} kinds: {most}",
            f"slowest      {self.slowest * 1e3:.0f} ms",
            f"mismatches   {len(self.problems)}",
            *(f"  {path}: {problem}" for path, problem in self.problems[:_SAVED]),
        ])

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seed": self.seed, "seconds": self.seconds, "modules": self.modules,
            "accepted": self.accepted, "slowest_ms": 1e3 * self.slowest,
            "errors": dict(self.errors.most_common()),
            "mismatches": [{"file": str(path), "problem": text} for path, text in self.problems],
        }  # fmt: skip


def base_modules(seed: int) -> list[bytes]:
    """Valid modules to damage: small ones that use all features."""
    return [generate(Choices(RandomSource(f"malformed:{seed}:{n}")), _SMALL).data
            for n in range(_MODULES)]


def mutations(modules: Sequence[bytes], seed: int, count: int) -> Iterable[bytes]:
    """Damaged modules, always the same for a seed."""
    parts: list[Parts] = [take_apart(data) for data in modules]
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")
        yield mutate(rng.choice(parts), parts, rng)


def run(count: int, seed: int, out_dir: Path, *, modules: Sequence[bytes] | None = None,
        progress: Callable[[MalformedReport], None] | None = None) -> MalformedReport:
    """Damage modules so many times, and save those on which there is something to say.

    Args:
        modules: to damage; None: generated ones.
    """
    judge, report = Judge(), MalformedReport(seed)
    started = time.monotonic()
    chosen = base_modules(seed) if modules is None else modules
    for number, data in enumerate(mutations(chosen, seed, count)):
        verdict = judge.judge(data, further=number % _FURTHER == 0)
        report.add(verdict)
        if verdict.problem:
            out_dir.mkdir(parents=True, exist_ok=True)
            path = out_dir / f"malformed-{seed}-{number}.wasm"
            path.write_bytes(data)
            report.problems.append((path, verdict.problem))
        report.seconds = time.monotonic() - started
        if progress is not None and number % 64 == 0:
            progress(report)
    return report
