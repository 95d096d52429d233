"""LLVM IR to PTX: the only place that talks to LLVM's back end for NVIDIA's GPUs."""

from __future__ import annotations

import functools

import llvmlite
import llvmlite.binding as llvm

from ..cpu.machine import Compilation
from .abi import TRIPLE
from .arch import Arch

#: LLVM's threshold for inlining, which its back end multiplies by 11. Its own makes twice the code
#: of a program compiled from C, and takes the assembler three times as long.
_INLINING = 20

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
