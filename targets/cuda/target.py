"""The target for GPUs: compile to PTX and machine code, load and run it on a device.

A program is its PTX and, where NVIDIA's assembler and linker are installed, the machine code that
they make of it. A GPU of that compute capability runs the machine code; for others, and where the
driver is too old for it, the driver assembles the PTX.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...errors import TargetError
from ...ir import module as ir
from ..addressing import MemoryLayout
from ..base import HostCodes, Kernel
from ..executable import CompileOptions, Executable
from ..llvm.program import Lowering
from ..packing import pack
from .arch import DEFAULT_ARCH, Arch, arch_for, find_arch
from .codegen import DEFAULT_LAYOUT, Progress, cuda_lowering, ptx_of
from .driver import NoGpuError
from .gpu import Gpu, shared_gpu
from .kernel import DeviceKernel
from .machine import llvm_version
from .resources import stack_of
from .toolchain import ToolTooOldError, build, builders, find_tool

__all__ = ["CudaTarget", "NoGpuError", "PtxCompiler", "usable_gpu"]

log = logging.getLogger(__name__)


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

    def tools(self) -> str:
        return ""

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
        cubin, stack = self.assemble(ptx, find_arch(arch), lowering, progress)
        return pack(
            lowering, target=self.name, fingerprint=self.fingerprint(),
            objects=(ptx.encode(),) if cubin is None else (ptx.encode(), cubin), stack=stack,
        )  # fmt: skip

    def assemble(
        self, ptx: str, arch: Arch, lowering: Lowering, progress: Progress | None
    ) -> tuple[bytes | None, int | None]:
        """Machine code, and bytes of stack that an agent may need at most.

        None where the driver is to make machine code of the PTX, where nobody knows how much stack
        there must be, or where it is all the same.
        """
        return None, None


def usable_gpu(connect: Callable[[], Gpu] = shared_gpu) -> Gpu:
    """The GPU to run on.

    Raises:
        NoGpuError: there is none.
        TargetError: it, or its driver, is too old, or something is not installed.
    """
    gpu = connect()
    here = gpu.properties
    needed = arch_for(here.arch).cuda  # one that is too old is named, not left to the driver
    if _version(here.cuda) < _version(needed):
        raise TargetError(
            f"the driver of the GPU ({here.name}, {here.arch}) is of CUDA {here.cuda}, and swarmc"
            f" needs {needed} or newer for it",
            hint="update NVIDIA's driver",
        )
    return gpu


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


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

    def tools(self) -> str:
        """The assembler and the linker: their machine code is kept with the program."""
        return builders()

    def assemble(
        self, ptx: str, arch: Arch, lowering: Lowering, progress: Progress | None
    ) -> tuple[bytes | None, int | None]:
        try:
            find_tool("ptxas")
        except TargetError:  # then the driver assembles
            return None, None
        if progress is not None:
            progress("assemble", 0.0)
        try:
            made = build(ptx, arch)
        except ToolTooOldError as error:
            log.info("the driver will assemble the program: %s", error)
            return None, None
        return made.cubin, stack_of(made, ptx, lowering.module, lowering.call_depth)

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        return DeviceKernel(usable_gpu(self._connect), executable)

    def reset_device(self, kernel: Kernel | None) -> None:
        gpu = kernel.device if isinstance(kernel, DeviceKernel) else self._connect()
        assert isinstance(gpu, Gpu)
        if not gpu.ended:
            gpu.reset()
