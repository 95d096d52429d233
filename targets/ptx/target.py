"""The target ``ptx``: what runs on a GPU, on the host, to check it. It is never chosen by itself.

Programs are compiled as for a GPU, to the same PTX; what differs is the device.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import TargetError
from ..base import Kernel
from ..cuda.kernel import DeviceKernel
from ..cuda.target import PtxCompiler
from ..executable import Executable
from .device import PtxDevice


class PtxTarget(PtxCompiler):
    """See :class:`~swarmc.targets.base.Target`."""

    name = "ptx"

    def load(self, executable: Executable, hosts: Sequence[int]) -> Kernel:
        return DeviceKernel(PtxDevice(), executable)

    def reset_device(self, kernel: Kernel | None) -> None:
        raise TargetError("there is nothing to reset: agents run on the stand-in for a GPU")
