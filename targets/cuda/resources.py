"""What a kernel takes of a GPU: registers, stack, and how many threads that leaves room for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any

from ...ir.module import Module
from .arch import Arch
from .call_graph import CallGraph
from .cubin import read_functions
from .kernel import BLOCK
from .prelude import KERNEL
from .toolchain import Assembly, build, tool_version

_SPILLS = re.compile(
    r"Function properties for (\S+)\n.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
)
_CONSTANTS = re.compile(r"(\d+) bytes cmem\[\d+\]")
_SHARED = re.compile(r"(\d+) bytes smem")
_GLOBALS = re.compile(r"(\d+) bytes gmem")


@dataclass(frozen=True, slots=True)
class FunctionResources:
    """One function of the machine code; ``name`` is the module's own where it has one.

    ``frame``, ``spill_stores`` and ``spill_loads`` are bytes.
    """

    symbol: str
    name: str
    registers: int
    frame: int
    spill_stores: int
    spill_loads: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What the assembler said of a program, and what follows.

    Attributes:
        registers: of each thread: as many as any function takes that the kernel may call.
        linked: whether the assembler's code was linked, and is what runs; otherwise a driver
            assembles the PTX once more.
        occupancy: share of a multiprocessor's warps that there is room for, with ``block``
            threads in a block; ``warps`` is their number.
        stack: bytes that a thread may need at most, within ``call_depth``; None: host functions
            that call each other in a circle set no limit.
        constants, shared, globals: bytes. ptx, cubin: bytes. assembling_ms: how long it took.
        functions: those that take the most registers first.
    """

    arch: str
    assembler: str
    linked: bool
    registers: int
    block: int
    warps: int
    occupancy: float
    stack: int | None
    call_depth: int
    constants: int
    shared: int
    globals: int
    ptx: int
    cubin: int
    assembling_ms: float
    functions: tuple[FunctionResources, ...]

    @property
    def kernel(self) -> FunctionResources:
        """The kernel itself."""
        return next(f for f in self.functions if f.symbol == KERNEL)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def measure(
    ptx: str, arch: Arch, module: Module, call_depth: int, *, level: int = 3
) -> Resources:
    """Assemble a program for what the assembler says of it; see :func:`resources_of`.

    Args:
        level: the assembler's optimisation level.

    Raises:
        TargetError: the assembler is not installed, or refuses the program.
    """
    return resources_of(build(ptx, arch, level=level), ptx, arch, module, call_depth)


def resources_of(
    assembly: Assembly, ptx: str, arch: Arch, module: Module, call_depth: int
) -> Resources:
    """What a program takes that was assembled.

    Args:
        module: the program that the PTX was made of.
    """
    log = assembly.log
    names = {symbol_of(id_): f.name for id_, f in module.functions.items()}
    functions = _functions(assembly, names)
    registers = _registers(assembly, functions, CallGraph.of(ptx).reached())
    return Resources(
        arch.name, f"ptxas {tool_version('ptxas')}", assembly.cubin is not None, registers, BLOCK,
        arch.resident_warps(registers, BLOCK), arch.occupancy(registers, BLOCK),
        stack_of(assembly, ptx, module, call_depth), call_depth,
        _total(_CONSTANTS, log), _total(_SHARED, log), _total(_GLOBALS, log),
        len(ptx), len(assembly.cubin or assembly.code), round(assembly.ms, 1), functions,
    )  # fmt: skip


def stack_of(assembly: Assembly, ptx: str, module: Module, call_depth: int) -> int | None:
    """Bytes of stack that a thread may need at most; None: there is no limit."""
    units = {symbol_of(id_): f.units for id_, f in module.functions.items()}
    frames = {name: info.frame for name, info in read_functions(assembly.code).items()}
    return CallGraph.of(ptx).stack(frames, units, call_depth)


def _registers(
    assembly: Assembly, functions: tuple[FunctionResources, ...], reached: Set[str]
) -> int:
    """Registers of a thread: the linker writes them to the kernel, else they are computed."""
    if assembly.cubin is not None:
        return read_functions(assembly.cubin)[KERNEL].registers
    return max(f.registers for f in functions if f.symbol in reached)


def symbol_of(id_: tuple[int, int]) -> str:
    """Name of a function in PTX, which knows no dots."""
    return f"f{id_[0]}_$_{id_[1]}"


def _functions(assembly: Assembly, names: Mapping[str, str]) -> tuple[FunctionResources, ...]:
    spills = {
        symbol: (int(stores), int(loads)) for symbol, stores, loads in _SPILLS.findall(assembly.log)
    }
    found = [
        FunctionResources(
            symbol, names.get(symbol, ""), info.registers, info.frame, *spills.get(symbol, (0, 0))
        )
        for symbol, info in read_functions(assembly.code).items()
    ]
    return tuple(sorted(found, key=lambda f: (-f.registers, -f.frame, f.symbol)))


def _total(pattern: re.Pattern[str], log: str) -> int:
    return sum(map(int, pattern.findall(log)))
