"""Where agents run if nobody says: on the GPU if there is one that works, else on the CPU.

Where there is no GPU, finding that out takes some microseconds and imports nothing.
"""

from __future__ import annotations

import functools
import logging
import os

from ..errors import ArgumentError, TargetError
from ..targets.addressing import MemoryLayout
from ..targets.base import Target

log = logging.getLogger(__name__)

#: Files that NVIDIA's driver makes: on Linux, for Jetson's GPUs, and within Windows.
_DRIVER_FILES = ("/dev/nvidiactl", "/dev/nvgpu", "/usr/lib/wsl/lib/libcuda.so.1")


def target_named(name: str, layout: MemoryLayout | None = None) -> Target:
    """The target of that name.

    Args:
        layout: how it lays agents out where the options do not say; None: as is best.

    Raises:
        TargetError: there is none, or this machine cannot run it.
    """
    if name == "cpu":
        from ..targets.cpu import CpuTarget  # LLVM is loaded when it is needed

        return CpuTarget(layout or MemoryLayout.FLAT)
    if name == "cuda":
        from ..targets.cuda import CudaTarget

        return CudaTarget(layout) if layout else CudaTarget()
    if name == "ptx":
        from ..targets.ptx import PtxTarget

        return PtxTarget(layout) if layout else PtxTarget()
    raise TargetError(f"no target {name!r}", hint="the targets are: cpu, cuda, and ptx for checks")


def choose_target(target: str | Target | None) -> Target:
    """A target that was given, the one of that name, or for None the best of this machine."""
    if target is None:
        return target_named("cpu" if why_no_gpu() else "cuda")
    if isinstance(target, str):
        return target_named(target)
    if not hasattr(target, "fingerprint"):
        raise ArgumentError(f"target must be the name of one, or a target, not {target!r}")
    return target


def driver_is_there() -> bool:
    """Whether NVIDIA's driver is installed, by a look at the file system."""
    return any(map(os.path.exists, _DRIVER_FILES))


@functools.cache
def why_no_gpu() -> str:
    """Why agents run on the CPU where nobody says; empty: there is a GPU that works.

    If there is a GPU that cannot be used, a warning says why, once a process.
    """
    if not driver_is_there():
        return "there is no NVIDIA driver on this machine"
    from ..targets.cuda.target import NoGpuError, usable_gpu  # takes a while, as does the driver

    try:
        usable_gpu()
    except NoGpuError as error:
        return str(error)
    except TargetError as error:
        log.warning("agents run on the CPU, for the GPU cannot be used: %s", error)
        return str(error)
    return ""
