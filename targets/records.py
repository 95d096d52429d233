"""The records that compiled code reads, built from arrays that a target puts where it can.

A target gives a function that keeps an array where its code finds it, and says the address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CapacityError
from .base import Dispatch, Int64s, Outcome, Strings, TraceShape, Uint64s
from .executable import Executable
from .layout import Job, Shared
from .llvm.types import slots_of
from .slices import AgentSlices

#: Keeps an array for as long as it is needed and gives its address.
Place = Callable[[NDArray[Any]], int]


def shared_record(
    executable: Executable, code: Uint64s, hosts: Sequence[int], place: Place
) -> Uint64s:
    """The Shared record of a program.

    Args:
        code: address of each function, by number.
        hosts: addresses of the functions of the host.
    """
    shared = np.zeros(int(Shared.END) // 8, np.uint64)

    def point(field: Shared, array: NDArray[Any]) -> None:
        shared[int(field) // 8] = place(array)

    def blob(data: bytes) -> int:
        return place(np.frombuffer(data, np.uint8))

    def rows(lists: Sequence[Sequence[int]], width: int) -> Uint64s:
        return np.array(lists, np.uint64).reshape(len(lists), width)

    signatures = np.array(executable.signatures, np.uint64)
    point(Shared.FUNCS, np.stack([code, signatures], axis=1).copy())
    point(Shared.HOSTS, np.array(hosts, np.uint64))
    shared[int(Shared.TEMPLATE) // 8] = blob(executable.template)
    state = executable.layout.memory_layout.state_cells
    bases = [state.spread(int(memory.base)) for memory in executable.layout.memories]
    runs = [
        (bases[run.memory], run.offset, blob(run.data), len(run.data)) for run in executable.runs
    ]
    point(Shared.RUNS, rows(runs, 4))
    shared[int(Shared.RUN_COUNT) // 8] = len(runs)
    point(Shared.DATA, rows([(blob(item), len(item)) for item in executable.data], 2))
    elems = [(blob(items), len(items) // 8) for items in executable.elems]
    point(Shared.ELEMS, rows(elems, 2))
    point(Shared.TABLES, np.array([blob(items) for items in executable.tables], np.uint64))
    return shared


def job_record(request: Dispatch, outcome: Outcome, slices: AgentSlices, place: Place) -> Uint64s:
    """The Job record of a dispatch, but for what concerns the target's way of launching.

    Those fields are ``SHARED``, ``STOP``, ``STACKS`` and ``STACK_SIZE``, and ``RESULTS``.

    Args:
        outcome: arrays whose places are what code writes to, but for the results.
    """
    job = np.zeros(int(Job.END) // 8, np.uint64)

    def put(field: Job, value: int) -> None:
        job[int(field) // 8] = value

    def point(field: Job, array: NDArray[Any], dtype: str) -> None:
        put(field, place(np.ascontiguousarray(array, dtype)))

    put(Job.COUNT, len(request.slots))
    point(Job.SLOTS, request.slots, "i8")
    put(Job.STATE, slices.state.address)
    point(Job.ENTRIES, request.entries, "i4")
    point(Job.ARGS, request.args, "u8")
    put(Job.ARG_STRIDE, 8 * request.args.shape[1])
    put(Job.RESULT_STRIDE, 8 * outcome.results.shape[1])
    put(Job.STATUS, place(outcome.status))
    put(Job.USED, place(outcome.used))
    put(Job.FUEL, request.fuel)
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
    point(Job.MEMORIES, np.array([memory.address for memory in slices.memories], np.uint64), "u8")
    if request.mail is not None and outcome.mail is not None:
        put(Job.MAIL_ROWS, place(outcome.mail))
        point(Job.MAIL_ENTRIES, request.mail.entries, "i8")
        point(Job.MAIL_DATA, request.mail.data, "u8")
        point(Job.PEERS, request.mail.peers, "i8")
        put(Job.OUTBOX, slices.outbox.address)
        put(Job.OUTBOX_SIZE, slices.outbox_size)
    if request.trace is not None and outcome.trace is not None:
        put(Job.TRACE, place(outcome.trace))
        put(Job.TRACE_STRIDE, 8 * request.trace.row)
        put(Job.TRACE_LIMIT, request.trace.limit)
        put(Job.TRACE_SIZE, request.trace.size)
    return job


def prepare(executable: Executable, request: Dispatch) -> Outcome:
    """Make a request's rows of arguments long enough, and arrays for what it gives."""
    wanted = max((slots_of(e.type.params) for e in executable.entries), default=0)
    if request.args.shape[1] < wanted:
        request.args = np.pad(request.args, ((0, 0), (0, wanted - request.args.shape[1])))
    count = len(request.slots)
    slots = max((slots_of(e.type.results) for e in executable.entries), default=0)
    mail = None if request.mail is None else np.ascontiguousarray(request.mail.rows.copy())
    return Outcome(
        np.zeros((count, slots), np.uint64), np.zeros(count, np.int64), np.zeros(count, np.int64),
        mail=mail, trace=None if request.trace is None else _trace(request.trace, count),
    )  # fmt: skip


def _trace(shape: TraceShape, count: int) -> Int64s:
    try:
        return np.zeros((count, shape.row), np.int64)
    except (MemoryError, ValueError) as error:  # too many bytes, even to be said
        raise CapacityError(
            f"{shape.limit:,} host calls of each of {count:,} agents do not fit in memory",
            hint="trace fewer of them",
        ) from error


def instantiation(slots: NDArray[np.int64]) -> Dispatch:
    """The request that gives agents their initial state and runs nothing of theirs."""
    count = len(slots)
    none = Strings(np.zeros(0, np.uint8), np.zeros((count, 2), np.int64))
    return Dispatch(
        slots, np.zeros(count, np.int64), np.full(count, -1, np.int32),
        np.zeros((count, 0), np.uint64), none, none, none,
    )  # fmt: skip
