"""A loaded program on the CPU: the records its code reads, and dispatching."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence

import numpy as np

from ...errors import TargetError
from ..base import Dispatch, Int64s, Outcome, Slices, Strings, Uint64s
from ..executable import Executable
from ..layout import Job, Shared
from ..llvm.types import slots_of
from .machine import LoadedCode
from .prelude import STACK_MARGIN
from .slices import CpuSlices, Reservation

#: Bytes of stack for each unit of call depth; what needs more ends by the stack check.
STACK_PER_UNIT = 16 << 10
STACK_MINIMUM = 64 << 20

_WORKER = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)


class CpuKernel:
    """See :class:`~swarmc.targets.base.Kernel`."""

    def __init__(self, executable: Executable, hosts: Sequence[int]) -> None:
        if len(hosts) != len(executable.hosts):
            raise TargetError(
                f"the program needs {len(executable.hosts)} host functions, got {len(hosts)}"
            )
        self.executable = executable
        self._code = LoadedCode(executable.objects)
        self._worker = self._code.address("swarm_worker")
        self._call = _WORKER(self._worker)
        self._workers = len(os.sched_getaffinity(0))
        self._keep: list[np.ndarray] = []  # what records point to
        self._shared = self._build_shared(hosts)
        self._result_slots = max((slots_of(e.type.results) for e in executable.entries), default=0)
        self._arg_slots = max((slots_of(e.type.params) for e in executable.entries), default=0)
        self._stacks: Reservation | None = None
        self._stack_size = max(STACK_MINIMUM, executable.call_depth * STACK_PER_UNIT + STACK_MARGIN)

    def allocate(self, capacity: int, output_size: int) -> CpuSlices:
        self._stack_address()  # what does not fit is refused now, not when agents run
        return CpuSlices(self.executable.layout, capacity, output_size)

    def instantiate(self, slices: Slices, slots: Int64s) -> None:
        count = len(slots)
        if not count:
            return
        none = Strings(np.zeros(0, np.uint8), np.zeros((count, 2), np.int64))
        request = Dispatch(
            slots, np.zeros(count, np.int64), np.full(count, -1, np.int32),
            np.zeros((count, 0), np.uint64), none, none, none,
        )  # fmt: skip
        self.dispatch(slices, request)

    def dispatch(self, slices: Slices, request: Dispatch) -> Outcome:
        assert isinstance(slices, CpuSlices)
        count = len(request.slots)
        workers = max(min(self._workers, count), 1)
        outcome = Outcome(
            np.zeros((count, self._result_slots), np.uint64),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )
        job, keep = self._build_job(slices, request, outcome)
        if workers == 1:
            self._call(job.ctypes.data, 0)  # importing Numba takes longer than most single runs
        else:
            from .dispatcher import launch

            launch(self._worker, job.ctypes.data, workers)
        del keep
        return outcome

    def _build_job(
        self, slices: CpuSlices, request: Dispatch, outcome: Outcome
    ) -> tuple[Uint64s, list[object]]:
        job = np.zeros(int(Job.END) // 8, np.uint64)
        keep: list[object] = []

        def put(field: Job, value: int) -> None:
            job[int(field) // 8] = value

        def point(field: Job, array: np.ndarray, dtype: str) -> None:
            array = np.ascontiguousarray(array, dtype)
            keep.append(array)
            put(field, array.ctypes.data)

        if request.args.shape[1] < self._arg_slots:
            missing = self._arg_slots - request.args.shape[1]
            request.args = np.pad(request.args, ((0, 0), (0, missing)))
        put(Job.COUNT, len(request.slots))
        point(Job.SLOTS, request.slots, "i8")
        put(Job.STATE, slices.state.address)
        put(Job.SHARED, self._shared.ctypes.data)
        point(Job.ENTRIES, request.entries, "i4")
        point(Job.ARGS, request.args, "u8")
        put(Job.ARG_STRIDE, 8 * request.args.shape[1])
        put(Job.RESULTS, outcome.results.ctypes.data)
        put(Job.RESULT_STRIDE, 8 * outcome.results.shape[1])
        put(Job.STATUS, outcome.status.ctypes.data)
        put(Job.USED, outcome.used.ctypes.data)
        put(Job.FUEL, request.fuel)
        put(Job.STOP, request.stop.ctypes.data)
        put(Job.STACKS, self._stack_address())
        put(Job.STACK_SIZE, self._stack_size)
        point(Job.AGENT_IDS, request.agent_ids, "i8")
        put(Job.OUTPUT, slices.stdout.address)
        put(Job.ERRORS, slices.stderr.address)
        put(Job.OUTPUT_SIZE, slices.output_size)
        put(Job.CLOCK_NS, request.clock_ns)
        put(Job.SEED, request.seed & 0xFFFFFFFFFFFFFFFF)
        for data, spans, strings in (
            (Job.STDIN, Job.STDIN_SPANS, request.stdin),
            (Job.ARGV, Job.ARGV_SPANS, request.argv),
            (Job.ENVIRON, Job.ENVIRON_SPANS, request.environ),
        ):
            point(data, strings.data, "u1")
            point(spans, strings.spans, "i8")
        addresses = np.array([memory.address for memory in slices.memories], np.uint64)
        point(Job.MEMORIES, addresses, "u8")
        return job, keep

    def _stack_address(self) -> int:
        if self._stacks is None:
            size = self._stack_size * self._workers
            self._stacks = Reservation(size, "the workers' stacks")
            for worker in range(self._workers):
                _guard(self._stacks.address + worker * self._stack_size)
        return self._stacks.address

    def _build_shared(self, hosts: Sequence[int]) -> Uint64s:
        executable = self.executable
        shared = np.zeros(int(Shared.END) // 8, np.uint64)

        def point(field: Shared, array: np.ndarray) -> None:
            self._keep.append(array)
            shared[int(field) // 8] = array.ctypes.data

        def blob(data: bytes) -> np.ndarray:
            array = np.frombuffer(data, np.uint8)
            self._keep.append(array)
            return array

        def rows(lists: Sequence[Sequence[int]], width: int) -> Uint64s:
            return np.array(lists, np.uint64).reshape(len(lists), width)

        signatures = np.array(executable.signatures, np.uint64)
        code = np.zeros(len(signatures), np.uint64)
        if len(signatures):
            table = self._code.address("swarm_functions")
            code[:] = np.ctypeslib.as_array(
                ctypes.cast(table, ctypes.POINTER(ctypes.c_uint64)), (len(signatures),)
            )
        point(Shared.FUNCS, np.stack([code, signatures], axis=1).copy())
        point(Shared.HOSTS, np.array(hosts, np.uint64))
        point(Shared.TEMPLATE, blob(executable.template))
        state = executable.layout.memory_layout.state_cells
        bases = [state.spread(int(memory.base)) for memory in executable.layout.memories]
        runs = [
            (bases[run.memory], run.offset, blob(run.data).ctypes.data, len(run.data))
            for run in executable.runs
        ]
        point(Shared.RUNS, rows(runs, 4))
        shared[int(Shared.RUN_COUNT) // 8] = len(runs)
        data = [(blob(item).ctypes.data, len(item)) for item in executable.data]
        point(Shared.DATA, rows(data, 2))
        handles = [np.frombuffer(items, "<u8") for items in executable.elems]
        self._keep += handles
        point(Shared.ELEMS, rows([(a.ctypes.data, len(a)) for a in handles], 2))
        tables = [np.frombuffer(items, "<u8") for items in executable.tables]
        self._keep += tables
        point(Shared.TABLES, np.array([a.ctypes.data for a in tables], np.uint64))
        return shared


def _guard(address: int) -> None:
    """Make the page at ``address`` inaccessible: a last defence below the stack check."""
    libc = ctypes.CDLL(None, use_errno=True)
    protect = libc.mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(address, mmap.PAGESIZE, 0) != 0:
        raise TargetError(f"cannot protect the end of a stack: errno {ctypes.get_errno()}")
