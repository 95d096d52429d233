"""LLVM IR to PTX: the only place that talks to LLVM's back end for NVIDIA's GPUs."""

from __future__ import annotations

import functools
import re
from itertools import chain, islice

import llvmlite
import llvmlite.binding as llvm

from ..cpu.machine import Compilation
from .abi import TRIPLE
from .arch import Arch

#: LLVM's threshold for inlining, which its back end multiplies by 11. Its own makes twice the code
#: of a program compiled from C, and takes the assembler three times as long.
_INLINING = 20

#: LLVM instructions of one function from which on its back end does not optimise it again: it takes
#: time that grows with their square ("straight-line strength reduction"), and the assembler
#: optimises anyhow.
_LARGE_FUNCTION = 2_000

#: Names that are the same in PTX once their dots are replaced, as the back end does.
_PLAIN_NAME = re.compile(r"[\w.$]+")
_VISIBLE = re.compile(r"^\.visible (?=\.func\b)", re.MULTILINE)


class PtxCompilation(Compilation):
    """An LLVM module on its way to PTX."""

    def assembly(self) -> str:
        """The program as PTX; it is used up by that.

        At each call of a function that is known to the module alone, the back end looks at all its
        other calls, which takes minutes where there are many. So they are made known to all, and
        their names in the text are not.
        """
        for function in self._module.functions:
            if function.is_declaration:
                continue
            if function.linkage is llvm.Linkage.internal and _PLAIN_NAME.fullmatch(function.name):
                function.linkage = llvm.Linkage.external
                function.name = function.name.replace(".", "_$_")
            if _is_large(function):
                function.add_function_attribute("noinline")
                function.add_function_attribute("optnone")
        return _VISIBLE.sub("", super().assembly())


def _is_large(function: llvm.ValueRef) -> bool:
    insts = chain.from_iterable(block.instructions for block in function.blocks)
    return sum(1 for _ in islice(insts, _LARGE_FUNCTION)) == _LARGE_FUNCTION


@functools.cache
def _initialise() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def llvm_version() -> str:
    """LLVM's version, as part of a fingerprint."""
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    return f"{version} (llvmlite {llvmlite.__version__})"


def nvptx_compilation(text: str, arch: Arch, level: int) -> PtxCompilation:
    """An LLVM module on its way to PTX.

    Raises:
        TargetError: LLVM refuses the text, which is a bug of the lowering.
    """
    _initialise()
    machine = llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=str(arch), features=f"+ptx{arch.ptx_version}", opt=level
    )
    return PtxCompilation(text, level, machine, _INLINING)
