"""The target for GPUs: compile to PTX, load and run it on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import TargetError
from ...ir import module as ir
from ..addressing import MemoryLayout
from ..base import Kernel
from ..executable import CompileOptions, Executable
from ..packing import pack
from .codegen import DEFAULT_LAYOUT, cuda_lowering, ptx_of
from .machine import DEFAULT_ARCH, llvm_version, parse_arch


class PtxCompiler:
    """What targets that run PTX have in common: see :class:`~swarmc.targets.base.Target`.

    Args:
        layout, arch: of programs whose options name none.
    """

    name = "cuda"

    def __init__(self, layout: MemoryLayout = DEFAULT_LAYOUT, arch: str = DEFAULT_ARCH) -> None:
        self.layout = layout
        self.arch: str | None = str(parse_arch(arch))

    def fingerprint(self) -> str:
        return f"{self.name} PTX by LLVM {llvm_version()}"

    def compile(
        self,
        module: ir.Module,
        options: CompileOptions,
        progress: Callable[[str, float], None] | None = None,
    ) -> Executable:
        lowering = cuda_lowering(module, options, self.layout)
        ptx = ptx_of(lowering, options.arch or self.arch, options.opt_level, progress)
        return pack(
            lowering, target=self.name, fingerprint=self.fingerprint(), objects=(ptx.encode(),)
        )


class CudaTarget(PtxCompiler):
    """NVIDIA's GPUs."""

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        raise TargetError(
            "programs can be compiled for GPUs, but not run on them yet",
            hint="swarmc compile --target cuda shows the code; run agents with target cpu",
        )
