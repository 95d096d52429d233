"""The CPU target: compile through LLVM for this very processor, run on all its cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from ...errors import TargetError
from ...ir import module as ir
from ...ir import ops
from ..addressing import MemoryLayout
from ..base import HostCodes, Kernel
from ..executable import CompileOptions, Effort, Executable
from ..layout import plan_layout
from ..llvm.program import Lowering, entry_exports, lower
from ..packing import pack
from .abi import CpuAbi
from .kernel import CpuKernel
from .launcher import Launch, launch
from .machine import SELECTION_ONLY, Compilation, host_machine, optimised
from .parallel import compile_modules

#: IR instructions of one LLVM module. A larger program is compiled in several processes at once.
PART_SIZE = 12_000
QUICK_PART_SIZE = 4_000

#: IR instructions from which on LLVM's passes, which take about 0.25 ms for each of them, wait
#: until it shows that a program runs long: all but the passes takes 0.08 ms.
MEDIUM_PROGRAM = 3_000

#: IR instructions from which on a program is compiled without any optimisation first, which takes
#: 0.01 ms for each; so is one with a function of so many, because choosing registers well takes
#: time that grows with the square of its size.
LARGE_PROGRAM = 40_000
LARGE_FUNCTION = 10_000

#: Each function, and each that is exported once more, counts as so many instructions: LLVM takes
#: about 1 ms for it, whatever is in it.
FUNCTION_SIZE = 12

#: LLVM's level for large programs, when there is time. Level 2 takes longer for next to no gain.
LARGE_LEVEL = 1

#: Fuel checks of one function from which on it is taken as large, too: level 2 takes time that
#: grows with the square of them (2 s for 3,000, minutes for 12,000).
MANY_CHECKS = 1_000

_LEVELS = {Effort.LEAST: 0, Effort.LESS: SELECTION_ONLY}

Progress = Callable[[str, float], None]


class CpuTarget:
    """See :class:`~swarmc.targets.base.Target`.

    Args:
        layout: of programs whose options name none. Agents run fastest flat here; interleaved,
            their code is what a GPU runs.
        run_workers: how workers are run at once; :mod:`.dispatcher` has another way.
    """

    name = "cpu"
    embeds_hosts = False
    arch: str | None = None

    def __init__(
        self, layout: MemoryLayout = MemoryLayout.FLAT, run_workers: Launch = launch
    ) -> None:
        self.layout = layout
        self._run_workers = run_workers

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
        level = _LEVELS.get(options.effort)
        if level is None:
            level = level_for(module, options.opt_level, size)
        return pack(
            lowering,
            target=self.name,
            fingerprint=self.fingerprint(),
            objects=_objects(lowering, size, level, progress or _silent),
            effort=options.effort,
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
        return CpuKernel(executable, hosts, self._run_workers)

    def reset_device(self, kernel: Kernel | None) -> None:
        raise TargetError("there is nothing to reset: agents run on the CPU")


def _objects(
    lowering: Lowering, size: int, level: int, report: Progress
) -> tuple[bytes, ...]:
    """Machine code of a program of ``size`` instructions, in parts compiled at once."""
    cores = len(os.sched_getaffinity(0))
    if level == SELECTION_ONLY:  # parts lose nothing, as functions are compiled one by one
        parts = min(_parts(size, QUICK_PART_SIZE), cores)
    else:
        parts = _parts(size, PART_SIZE)
        if level == 0:
            parts = min(parts, cores)
    texts = lower(lowering, parts, progress=lambda share: report("lower", share))
    return compile_modules(texts, level, lambda share: report("compile", share))


def _parts(size: int, most: int) -> int:
    return -(-size // most) or 1


def program_size(module: ir.Module) -> int:
    """Number of its instructions."""
    return sum(_function_sizes(module))


def _function_sizes(module: ir.Module) -> list[int]:
    return [sum(len(b.insts) for b in f.blocks) for f in module.functions.values()]


def effort_for(module: ir.Module) -> Effort:
    """How well a program is optimised before it runs for the first time."""
    sizes = _function_sizes(module)
    size = sum(sizes) + FUNCTION_SIZE * (len(sizes) + len(list(module.function_exports())))
    if size >= LARGE_PROGRAM or max(sizes, default=0) >= LARGE_FUNCTION:
        return Effort.LEAST
    return Effort.LESS if size >= MEDIUM_PROGRAM else Effort.FULL


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
