"""LLVM IR to PTX: the only place that talks to LLVM's back end for NVIDIA's GPUs."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import llvmlite
import llvmlite.binding as llvm

from ...errors import TargetError
from ..cpu.machine import Compilation
from .abi import TRIPLE

#: Version of the PTX language that is written for a compute capability: the oldest that knows it,
#: and not older than CUDA 12.0's, so that as many assemblers and drivers as possible take it.
_PTX_VERSIONS = {
    75: 80, 80: 80, 86: 80, 87: 80, 89: 80, 90: 80,
    100: 86, 101: 86, 103: 88, 120: 87, 121: 88,
}  # fmt: skip

#: LLVM's threshold for inlining, which its back end multiplies by 11. Its own makes twice the code
#: of a program compiled from C, and takes the assembler three times as long.
_INLINING = 20

DEFAULT_ARCH = "sm_90"
ARCHES = tuple(f"sm_{number}" for number in _PTX_VERSIONS)


@dataclass(frozen=True, slots=True)
class Arch:
    """A compute capability: ``sm_90`` is number 90."""

    number: int

    def __str__(self) -> str:
        return f"sm_{self.number}"

    @property
    def ptx_version(self) -> int:
        """Version of the PTX language, times ten."""
        return _PTX_VERSIONS[self.number]


def parse_arch(text: str) -> Arch:
    """The architecture of that name.

    Raises:
        TargetError: there is none, or it is too old.
    """
    match = re.fullmatch(r"sm_(\d+)", text)
    if match is None or int(match[1]) not in _PTX_VERSIONS:
        raise TargetError(
            f"no architecture {text!r}", hint=f"the architectures are: {', '.join(ARCHES)}"
        )
    return Arch(int(match[1]))


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def llvm_version() -> str:
    """LLVM's version, as part of a fingerprint."""
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    return f"{version} (llvmlite {llvmlite.__version__})"


def nvptx_compilation(text: str, arch: Arch, level: int) -> Compilation:
    """An LLVM module on its way to PTX.

    Raises:
        TargetError: LLVM refuses the text, which is a bug of the lowering.
    """
    _initialise()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=str(arch), features=f"+ptx{arch.ptx_version}", opt=level
    )
    return Compilation(text, level, machine, _INLINING)
