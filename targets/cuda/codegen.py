"""From the IR to PTX."""

from __future__ import annotations

from collections.abc import Callable

from ...ir import module as ir
from ..addressing import MemoryLayout
from ..base import HostCodes
from ..cpu.target import level_for, program_size
from ..executable import CompileOptions
from ..layout import plan_layout
from ..llvm.program import Lowering, entry_exports, lower
from ..packing import host_imports
from .abi import CudaAbi
from .arch import DEFAULT_ARCH, find_arch
from .hosts import link_hosts
from .machine import nvptx_compilation
from .signs import signs_by_bits

#: How agents lie in the memory of a GPU where nothing else is asked for.
DEFAULT_LAYOUT = MemoryLayout.INTERLEAVED_8

_HIGHEST = 3  # of LLVM's levels

Progress = Callable[[str, float], None]


def cuda_lowering(
    module: ir.Module, options: CompileOptions, default: MemoryLayout = DEFAULT_LAYOUT
) -> Lowering:
    """How a program is written for a GPU; ``default`` is the layout if the options name none."""
    layout = plan_layout(
        module, max_memory=options.max_memory, memory_layout=options.layout or default
    )
    entries = entry_exports(module, options.entry_points)
    abi = CudaAbi(layout, options.max_registers)
    return Lowering(module, layout, abi, entries, options.call_depth)


def ptx_of(
    lowering: Lowering, arch: str | None, level: int | None, progress: Progress | None = None,
    hosts: HostCodes | None = None,
) -> str:  # fmt: skip
    """A program as PTX.

    Args:
        arch, level: None where nothing is asked for; the level is by the program's size then.
        hosts: gives host functions; None: they stay external.

    Raises:
        TargetError: there is no such architecture.
        UnsupportedFeatureError: the program uses what GPUs do not run yet.
    """
    chosen = find_arch(arch or DEFAULT_ARCH)
    report = progress or _silent
    (text,) = lower(lowering, progress=lambda share: report("lower", share))
    report("compile", 0.0)
    level = _level(lowering.module, level)
    compilation = nvptx_compilation(text, chosen, level)
    if hosts is not None:
        link_hosts(compilation, hosts(host_imports(lowering.module)), chosen)
    compilation.optimise()
    return signs_by_bits(compilation.assembly())


def _level(module: ir.Module, wanted: int | None) -> int:
    """LLVM's level for a program: the highest where the CPU gets the one below it.

    That one unrolls loops by an even number more often, after which it is known where in a cell an
    access lies: of the address arithmetic of interleaved memories, nothing may be left.
    """
    level = level_for(module, wanted, program_size(module))
    return _HIGHEST if wanted is None and level == _HIGHEST - 1 else level


def llvm_text(module: ir.Module, options: CompileOptions) -> str:
    """An optimised program as LLVM IR for a GPU."""
    (text,) = lower(cuda_lowering(module, options))
    return text


def compile_to_ptx(
    module: ir.Module, options: CompileOptions, hosts: HostCodes | None = None
) -> str:
    """An optimised program as PTX; see :func:`ptx_of`."""
    return ptx_of(cuda_lowering(module, options), options.arch, options.opt_level, hosts=hosts)


def _silent(stage: str, share: float) -> None:
    """Report no progress."""
