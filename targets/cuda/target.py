"""The target for GPUs: compile to PTX, load and run it on a device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from ...errors import TargetError
from ...ir import module as ir
from ..addressing import MemoryLayout
from ..base import HostCodes, Kernel
from ..executable import CompileOptions, Executable
from ..llvm.program import Lowering
from ..packing import pack
from .arch import DEFAULT_ARCH, Arch, arch_for, find_arch
from .codegen import DEFAULT_LAYOUT, cuda_lowering, ptx_of
from .gpu import Gpu, shared_gpu
from .kernel import DeviceKernel
from .machine import llvm_version
from .resources import measure
from .toolchain import ToolTooOldError, find_tool, tool_version


class PtxCompiler:
    """What targets that run PTX have in common: see :class:`~swarmc.targets.base.Target`.

    Args:
        layout, arch: of programs whose options name none.
    """

    name = "cuda"
    embeds_hosts = True

    def __init__(
        self, layout: MemoryLayout = DEFAULT_LAYOUT, arch: str | None = None
    ) -> None:
        self.layout = layout
        self._arch = None if arch is None else find_arch(arch)

    @property
    def arch(self) -> str:
        """The architecture of programs whose options name none."""
        return DEFAULT_ARCH if self._arch is None else self._arch.name

    def fingerprint(self) -> str:
        return f"{self.name} PTX by LLVM {llvm_version()}"

    def compile(
        self,
        module: ir.Module,
        options: CompileOptions,
        progress: Callable[[str, float], None] | None = None,
        hosts: HostCodes | None = None,
    ) -> Executable:
        lowering = cuda_lowering(module, options, self.layout)
        arch = options.arch or self.arch
        ptx = ptx_of(lowering, arch, options.opt_level, progress, hosts)
        return pack(
            lowering, target=self.name, fingerprint=self.fingerprint(), objects=(ptx.encode(),),
            stack=self.stack(ptx, find_arch(arch), lowering),
        )  # fmt: skip

    def stack(self, ptx: str, arch: Arch, lowering: Lowering) -> int | None:
        """Bytes of stack that an agent may need at most; None: it is not known, or all the same."""
        return None


class CudaTarget(PtxCompiler):
    """NVIDIA's GPUs.

    Args:
        arch: of programs whose options name none; None: the GPU's, or without one the default.
        connect: gives the GPU to run on, when it is first needed.
    """

    def __init__(
        self, layout: MemoryLayout = DEFAULT_LAYOUT, arch: str | None = None,
        connect: Callable[[], Gpu] = shared_gpu,
    ) -> None:  # fmt: skip
        super().__init__(layout, arch)
        self._connect = connect

    @property
    def arch(self) -> str:
        if self._arch is None:
            try:
                self._arch = arch_for(self._connect().properties.arch)
            except TargetError:  # compiling needs no GPU
                return DEFAULT_ARCH
        return self._arch.name

    def fingerprint(self) -> str:
        """The assembler is part of it: what it says of the stack is kept with the program."""
        return f"{super().fingerprint()}, {_assembler() or 'no assembler'}"

    def stack(self, ptx: str, arch: Arch, lowering: Lowering) -> int | None:
        if _assembler() is None:
            return None
        try:
            return measure(ptx, arch, lowering.module, lowering.call_depth).stack
        except ToolTooOldError:
            return None

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        gpu = self._connect()
        arch_for(gpu.properties.arch)  # one that is too old is named, not left to the driver
        return DeviceKernel(gpu, executable)

    def reset_device(self, kernel: Kernel | None) -> None:
        gpu = kernel.device if isinstance(kernel, DeviceKernel) else self._connect()
        assert isinstance(gpu, Gpu)
        if not gpu.ended:
            gpu.reset()


@functools.cache
def _assembler() -> str | None:
    """The assembler of this machine; None: there is none."""
    try:
        find_tool("ptxas")
    except TargetError:
        return None
    return f"ptxas {tool_version('ptxas')}"
