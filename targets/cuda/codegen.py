"""From the IR to PTX, and from a program to an executable for a GPU."""

from __future__ import annotations

from collections.abc import Callable

from ...ir import module as ir
from ..addressing import MemoryLayout
from ..executable import CompileOptions
from ..layout import plan_layout
from ..llvm.program import Lowering, entry_exports, lower
from .abi import CudaAbi
from .machine import DEFAULT_ARCH, nvptx_compilation, parse_arch

#: How agents lie in the memory of a GPU where nothing else is asked for.
DEFAULT_LAYOUT = MemoryLayout.INTERLEAVED_8

#: LLVM's optimisation level where nothing else is asked for.
_LEVEL = 2


def cuda_lowering(module: ir.Module, options: CompileOptions) -> Lowering:
    """How a program is written for a GPU."""
    layout = plan_layout(
        module,
        max_memory=options.max_memory,
        memory_layout=options.layout or DEFAULT_LAYOUT,
    )
    entries = entry_exports(module, options.entry_points)
    return Lowering(module, layout, CudaAbi(layout), entries, options.call_depth)


def compile_to_ptx(
    module: ir.Module,
    options: CompileOptions,
    progress: Callable[[str, float], None] | None = None,
) -> str:
    """An optimised program as PTX.

    Raises:
        TargetError: there is no such architecture.
        UnsupportedFeatureError: the program uses what GPUs do not run yet.
    """
    arch = parse_arch(options.arch or DEFAULT_ARCH)
    level = _LEVEL if options.opt_level is None else options.opt_level
    report = progress or _silent
    (text,) = lower(
        cuda_lowering(module, options), progress=lambda share: report("lower", share)
    )
    report("compile", 0.0)
    compilation = nvptx_compilation(text, arch, level)
    compilation.optimise()
    return compilation.assembly()


def _silent(stage: str, share: float) -> None:
    """Report no progress."""
