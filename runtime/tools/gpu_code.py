"""What swarmc makes of a workload for a GPU beside handwritten CUDA C: instructions, counted.

No GPU is needed, and nothing is said about time. Counted are the machine instructions of the loop
that does the work, divided by how often it does it: a loop is unrolled as compilers like, so an
instruction that every unit of work has once (or so many times) says how many units it does. What
belongs to loops within it does not count. Of several such loops, the one with the fewest
instructions a unit is taken: swarmc makes a second one where a test before it shows that nothing
can go wrong, and that is the one which runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import TargetError
from ...targets.cuda.arch import find_arch
from ...targets.cuda.codegen import compile_to_ptx
from ...targets.cuda.cubin import read_functions
from ...targets.cuda.resources import resources_of
from ...targets.cuda.toolchain import build, disassemble
from ...targets.executable import CompileOptions
from ..compile import read_module, to_program
from .bench_workloads import ENTRY, Workload, load_workloads
from .handwritten import BLOCK, KERNEL, compile_kernel, sources

_SECTION = re.compile(r"^\s*\.section\s+\.text\.", re.MULTILINE)
_LABEL = re.compile(r"^(\.L_x_\d+):")
_INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?\S+\s+)?([A-Z][\w.]*)(.*)")
_TARGET = re.compile(r"`\((\.L_x_\d+)\)")


@dataclass(frozen=True, slots=True)
class Loop:
    """Part of the work: a loop.

    Attributes:
        counted: pattern of the instruction that a unit of work has ``times`` times.
        share: how many times this part is done for one unit.
        stores: whether the loop stores to memory; None: whether or not.
    """

    counted: str
    times: float = 1.0
    share: float = 1.0
    stores: bool | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """How a workload's work is recognised, in code of ours and in handwritten code."""

    unit: str
    ours: tuple[Loop, ...]
    theirs: tuple[Loop, ...]


# Whole rounds of SHA-256 have 6 rotations; one of 48 words of the schedule has 4, and 2 shifts. The
# handwritten loop does 2 x 64 rounds, with all that belongs to them.
WORK = {
    "gemm": Work("product and sum", (Loop("FMUL"),), (Loop("FMUL"),)),
    "mandelbrot": Work("iteration", (Loop("FMUL", 3),), (Loop("FMUL", 3),)),
    "nbody": Work("pair of bodies", (Loop(r"MUFU\.RSQ64H"),), (Loop(r"MUFU\.RSQ64H"),)),
    "pbkdf2": Work(
        "round of SHA-256",
        (Loop("SHF", 6, stores=False), Loop("SHF", 6, share=48 / 64, stores=True)),
        (Loop("SHF", 1272 / 128),),
    ),
}


@dataclass(frozen=True, slots=True)
class Code:
    """Machine code of a program.

    Attributes:
        registers: of a thread; warps: that a multiprocessor holds.
        size: instructions in all. per_unit: instructions of the loop that works, for one unit.
        mix: of those, how many of each kind, the most frequent first.
    """

    registers: int
    warps: int
    size: int
    per_unit: float
    mix: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One workload, by swarmc and by hand."""

    workload: str
    unit: str
    ours: Code
    theirs: Code

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "workload": self.workload, "unit": self.unit,
            **{name: {"registers": code.registers, "warps": code.warps, "size": code.size,
                      "per_unit": code.per_unit, "mix": dict(code.mix)}
               for name, code in (("ours", self.ours), ("handwritten", self.theirs))},
        }  # fmt: skip


def compare(corpus: Path, arch: str, names: Sequence[str] = ()) -> list[Comparison]:
    """Compile the workloads that there is handwritten code of, both ways.

    Args:
        names: which; none: all.

    Raises:
        TargetError: a tool is not installed.
    """
    written = sources(corpus)
    chosen = [name for name in names or sorted(WORK) if name in written and name in WORK]
    return [
        Comparison(workload.name, WORK[workload.name].unit, _ours(workload, arch),
                   _theirs(written[workload.name], arch))
        for workload in (load_workloads(corpus, chosen) if chosen else ())
    ]  # fmt: skip


def _ours(workload: Workload, arch: str) -> Code:
    options = CompileOptions("cuda", (ENTRY,), arch=arch)
    program = to_program(read_module(workload.wasm), options)
    ptx = compile_to_ptx(program, options)
    made = build(ptx, find_arch(arch))
    found = resources_of(made, ptx, find_arch(arch), program, options.call_depth)
    return _code(made.cubin or made.code, found.registers, arch, WORK[workload.name].ours)


def _theirs(path: Path, arch: str) -> Code:
    cubin = compile_kernel(path, arch).cubin
    return _code(cubin, read_functions(cubin)[KERNEL].registers, arch, WORK[path.stem].theirs)


def _code(cubin: bytes, registers: int, arch: str, loops: Sequence[Loop]) -> Code:
    functions = list(functions_of(disassemble(cubin)))
    mix: dict[str, float] = {}
    for loop in loops:
        best = best_loop(functions, loop)
        for instruction in best.instructions:
            kind = instruction.partition(" ")[0].partition(".")[0]
            mix[kind] = mix.get(kind, 0.0) + loop.share / best.units
    ranked = sorted(mix.items(), key=lambda item: (-item[1], item[0]))
    return Code(
        registers, find_arch(arch).resident_warps(registers, BLOCK),
        sum(len(function.instructions) for function in functions),
        sum(mix.values()), tuple(ranked),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """Instructions of a function, and those of its loops without what is in loops within them."""

    instructions: tuple[str, ...]
    loops: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Found:
    instructions: tuple[str, ...]
    units: float


def functions_of(sass: str) -> Iterator[Function]:
    """The functions of a disassembler's text."""
    for part in _SECTION.split(sass)[1:]:
        labels: dict[str, int] = {}
        instructions: list[str] = []
        for line in part.splitlines():
            if label := _LABEL.match(line):
                labels[label[1]] = len(instructions)
            elif found := _INSTRUCTION.match(line):
                instructions.append(found[1] + found[2].rstrip(" ;"))
        yield Function(tuple(instructions), _loops(instructions, labels))


def _loops(
    instructions: Sequence[str], labels: dict[str, int]
) -> tuple[tuple[str, ...], ...]:
    ranges = set()
    for place, text in enumerate(instructions):
        target = _TARGET.search(text) if "BRA" in text.partition(" ")[0] else None
        start = labels.get(target[1], len(instructions)) if target else len(instructions)
        if start < place:  # what is after the end of a function jumps to itself
            ranges.add(range(start, place + 1))
    found = []
    for one in sorted(ranges, key=lambda r: (r.start, r.stop)):
        within = [r for r in ranges if r != one and r.start >= one.start and r.stop <= one.stop]
        found.append(tuple(
            instructions[place] for place in one if not any(place in other for other in within)
        ))  # fmt: skip
    return tuple(found)


def best_loop(functions: Sequence[Function], loop: Loop) -> _Found:
    """The loop that does a unit of work with the fewest instructions.

    Raises:
        TargetError: there is none that does it.
    """
    counted = re.compile(loop.counted)
    found = []
    for function in functions:
        for body in function.loops:
            units = sum(1 for text in body if counted.match(text)) / loop.times
            stores = any(text.startswith("ST") for text in body)
            if units >= 1 and loop.stores in (None, stores):
                found.append(_Found(body, units))
    if not found:
        raise TargetError(f"there is no loop with {loop.counted}")
    return min(found, key=lambda one: len(one.instructions) / one.units)
