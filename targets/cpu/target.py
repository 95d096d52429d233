"""The CPU target: compile through LLVM for this very processor, run on all its cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ...errors import TargetError
from ...ir import module as ir
from ...ir import ops
from ..addressing import MemoryLayout
from ..base import HostCodes, Kernel
from ..executable import CompileOptions, Executable
from ..layout import plan_layout
from ..llvm.program import Lowering, entry_exports, lower
from ..packing import pack
from .abi import CpuAbi
from .kernel import CpuKernel
from .machine import Compilation, host_machine, optimised
from .parallel import compile_modules

#: IR instructions of one LLVM module. A larger program is compiled in several processes at once.
PART_SIZE = 12_000

#: IR instructions from which on a program is compiled without optimisation first: LLVM takes
#: about 0.2 ms for each otherwise, and 0.01 ms then.
LARGE_PROGRAM = 40_000

#: LLVM's level for large programs, when there is time. Level 2 takes longer for next to no gain.
LARGE_LEVEL = 1

#: Fuel checks of one function from which on it is taken as large, too: level 2 takes time that
#: grows with the square of them (2 s for 3,000, minutes for 12,000).
MANY_CHECKS = 1_000

Progress = Callable[[str, float], None]


class CpuTarget:
    """See :class:`~swarmc.targets.base.Target`.

    Args:
        layout: of programs whose options name none. Agents run fastest flat here; interleaved,
            their code is what a GPU runs.
    """

    name = "cpu"
    embeds_hosts = False
    arch: str | None = None

    def __init__(self, layout: MemoryLayout = MemoryLayout.FLAT) -> None:
        self.layout = layout

    def fingerprint(self) -> str:
        machine = host_machine()
        return f"cpu {machine.triple} {machine.cpu} {machine.features} LLVM {machine.llvm_version}"

    def tools(self) -> str:
        return ""

    def compile(
        self,
        module: ir.Module,
        options: CompileOptions,
        progress: Progress | None = None,
        hosts: HostCodes | None = None,
    ) -> Executable:
        lowering = self._lowering(module, options)
        size = program_size(module)
        provisional = options.opt_level is None and not options.patient and size >= LARGE_PROGRAM
        level = 0 if provisional else level_for(module, options.opt_level, size)
        return pack(
            lowering,
            target=self.name,
            fingerprint=self.fingerprint(),
            objects=_objects(lowering, size, level, progress or _silent),
            provisional=provisional,
        )

    def llvm_text(self, module: ir.Module, options: CompileOptions, *, optimised: bool) -> str:
        """The program as LLVM IR, before or after LLVM's own passes."""
        compilation = self._in_one(module, options)
        if optimised:
            compilation.optimise()
        return compilation.text()

    def assembly(self, module: ir.Module, options: CompileOptions) -> str:
        """The program in the processor's assembly language."""
        (text,) = lower(self._lowering(module, options))
        return optimised(text, level_for(module, options.opt_level, 0)).assembly()

    def _in_one(self, module: ir.Module, options: CompileOptions) -> Compilation:
        (text,) = lower(self._lowering(module, options))
        return Compilation(text, level_for(module, options.opt_level, 0))

    def _lowering(self, module: ir.Module, options: CompileOptions) -> Lowering:
        layout = plan_layout(
            module, max_memory=options.max_memory, memory_layout=options.layout or self.layout
        )
        machine = host_machine()
        return Lowering(
            module,
            layout,
            CpuAbi(machine.triple, machine.data_layout, layout),
            entry_exports(module, options.entry_points),
            options.call_depth,
        )

    def load(self, executable: Executable, hosts: Sequence[int]) -> CpuKernel:
        return CpuKernel(executable, hosts)

    def reset_device(self, kernel: Kernel | None) -> None:
        raise TargetError("there is nothing to reset: agents run on the CPU")


def _objects(
    lowering: Lowering, size: int, level: int, report: Progress
) -> tuple[bytes, ...]:
    """Machine code of a program of ``size`` instructions, in parts compiled at once."""
    parts = -(-size // PART_SIZE) or 1
    texts = lower(
        lowering,
        parts if level else min(parts, len(os.sched_getaffinity(0))),
        progress=lambda share: report("lower", share),
    )
    return compile_modules(texts, level, lambda share: report("compile", share))


def program_size(module: ir.Module) -> int:
    """Number of its instructions."""
    return sum(len(b.insts) for f in module.functions.values() for b in f.blocks)


def level_for(module: ir.Module, wanted: int | None, size: int) -> int:
    """LLVM's level for a program of ``size`` instructions, where there is time."""
    if wanted is not None:
        return wanted
    return LARGE_LEVEL if size >= LARGE_PROGRAM or _has_many_checks(module) else 2


def _has_many_checks(module: ir.Module) -> bool:
    """Whether some function has very many loops or calls of bulk operations."""
    return any(
        sum(inst.op is ops.FUEL_CHECK for inst in function.insts()) >= MANY_CHECKS
        for function in module.functions.values()
    )


def _silent(stage: str, share: float) -> None:
    """Report no progress."""
