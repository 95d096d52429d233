"""A loaded program on the CPU: the records its code reads, and dispatching."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TargetError
from ..base import ArrayReader, Dispatch, Int64s, Outcome, Slices, Uint64s
from ..executable import Executable
from ..layout import Job
from ..records import instantiation, job_record, prepare, shared_record
from .launcher import Launch, launch
from .machine import LoadedCode
from .prelude import STACK_MARGIN
from .slices import CpuSlices, Reservation

#: Bytes of stack for each unit of call depth; what needs more ends by the stack check.
STACK_PER_UNIT = 16 << 10
STACK_MINIMUM = 64 << 20

_DRAIN = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64)


class CpuKernel:
    """See :class:`~swarmc.targets.base.Kernel`.

    Args:
        run_workers: how workers are run at once.
    """

    arrays: ArrayReader | None = None

    def __init__(
        self, executable: Executable, hosts: Sequence[int], run_workers: Launch = launch
    ) -> None:
        if len(hosts) != len(executable.hosts):
            raise TargetError(
                f"the program needs {len(executable.hosts)} host functions, got {len(hosts)}"
            )
        self.executable = executable
        self._code = LoadedCode(executable.objects)
        self._worker = self._code.address("swarm_worker")
        self._launch = run_workers
        self._workers = len(os.sched_getaffinity(0))
        self._keep = _Keeper()
        self._shared = shared_record(executable, self._functions(), hosts, self._keep)
        self._stacks: Reservation | None = None
        self._stack_size = max(STACK_MINIMUM, executable.call_depth * STACK_PER_UNIT + STACK_MARGIN)

    def allocate(self, capacity: int, output_size: int, outbox_size: int = 0) -> CpuSlices:
        self._stack_address()  # what does not fit is refused now, not when agents run
        return CpuSlices(self.executable.layout, capacity, output_size, outbox_size)

    def instantiate(self, slices: Slices, slots: Int64s) -> None:
        if len(slots):
            self.dispatch(slices, instantiation(slots))

    def dispatch(self, slices: Slices, request: Dispatch) -> Outcome:
        assert isinstance(slices, CpuSlices)
        workers = max(min(self._workers, len(request.slots)), 1)
        outcome = prepare(self.executable, request)
        keep = _Keeper()
        job = job_record(request, outcome, slices, keep)
        for field, value in (
            (Job.SHARED, self._shared.ctypes.data), (Job.STOP, request.stop.ctypes.data),
            (Job.STACKS, self._stack_address()), (Job.STACK_SIZE, self._stack_size),
            (Job.RESULTS, outcome.results.ctypes.data),
        ):  # fmt: skip
            job[int(field) // 8] = value
        request.drain = partial(self._drain, job)
        self._launch(self._worker, job.ctypes.data, workers)
        del keep
        return outcome

    def _drain(self, job: Uint64s) -> int:
        """Let workers draw no more agents; how many they have drawn."""
        drained: int = _DRAIN(self._code.address("swarm_drain"))(job.ctypes.data)
        return min(drained, int(job[int(Job.COUNT) // 8]))

    def _stack_address(self) -> int:
        if self._stacks is None:
            size = self._stack_size * self._workers
            self._stacks = Reservation(size, "the workers' stacks")
            for worker in range(self._workers):
                _guard(self._stacks.address + worker * self._stack_size)
        return self._stacks.address

    def _functions(self) -> Uint64s:
        """Address of each function that something refers to, by number."""
        count = len(self.executable.signatures)
        code = np.zeros(count, np.uint64)
        if count:
            table = self._code.address("swarm_functions")
            pointer = ctypes.cast(table, ctypes.POINTER(ctypes.c_uint64))
            code[:] = np.ctypeslib.as_array(pointer, (count,))
        return code


class _Keeper:
    """Arrays that records point to, kept as long as this object."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []

    def __call__(self, array: NDArray[Any]) -> int:
        self._arrays.append(array)
        return array.ctypes.data


def _guard(address: int) -> None:
    """Make the page at ``address`` inaccessible: a last defence below the stack check."""
    libc = ctypes.CDLL(None, use_errno=True)
    protect = libc.mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(address, mmap.PAGESIZE, 0) != 0:
        raise TargetError(f"cannot protect the end of a stack: errno {ctypes.get_errno()}")
