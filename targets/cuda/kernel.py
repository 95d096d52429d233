"""A loaded program on a device: its records, and dispatching."""

from __future__ import annotations

import weakref
from contextlib import ExitStack

import numpy as np

from ..addressing import Rows
from ..base import ArrayReader, Bytes, Dispatch, Int64s, Outcome, Slices, Uint64s
from ..executable import Executable
from ..layout import Job, Shared
from ..records import Place, instantiation, job_record, prepare, shared_record
from .arena import Arena
from .device import Device, DeviceModule, Stream, Use
from .moves import Moves
from .prelude import KERNEL
from .slices import DeviceSlices

#: Threads in a block.
BLOCK = 128

#: Bytes of stack for each unit of call depth of a program that was compiled where there was no
#: assembler to say (see :mod:`.call_graph`): a guess; nothing in the corpus needs more than 52.
STACK_PER_UNIT = 64


class DeviceKernel:
    """See :class:`~swarmc.targets.base.Kernel`.

    Attributes:
        stack: bytes of stack that launches ask for, for each thread.
    """

    def __init__(self, device: Device, executable: Executable) -> None:
        self.executable = executable
        self.device = device
        self.arrays: ArrayReader | None = device if isinstance(device, Moves) else None
        ptx, *cubin = executable.objects
        self._module = device.load(ptx.decode(), *cubin)
        with ExitStack() as undo:
            undo.callback(self._module.unload)
            self._function = self._module.function(KERNEL)
            self._shared, allocation = self._place_shared()
            undo.pop_all()
        guess = executable.call_depth * STACK_PER_UNIT
        self.stack = guess if executable.stack is None else executable.stack
        weakref.finalize(self, _release, device, self._module, allocation)

    def allocate(self, capacity: int, output_size: int, outbox_size: int = 0) -> DeviceSlices:
        layout = self.executable.layout
        return DeviceSlices(self.device, layout, capacity, output_size, outbox_size)

    def instantiate(self, slices: Slices, slots: Int64s) -> None:
        if len(slots):
            self.dispatch(slices, instantiation(slots))

    def dispatch(self, slices: Slices, request: Dispatch) -> Outcome:
        assert isinstance(slices, DeviceSlices)
        outcome = prepare(self.executable, request)
        count = len(request.slots)
        outcome.words = words = ResultWords(self.device, outcome.results.nbytes)
        if not count:
            return outcome
        stream = self.device.stream()
        arena = None
        try:
            measured = Arena()
            self._build_job(slices, request, outcome, words, stream.stop_address, measured)
            arena = Arena.allocate(self.device, measured, "the records of a dispatch", Use())
            job, record = self._build_job(
                slices, request, outcome, words, stream.stop_address, arena
            )
            arena.write(self.device)
            _place_columns(stream, request, record)
            stream.launch(self._function, -(-count // BLOCK), BLOCK, job, self.stack)
            stream.wait(request.stop)
            written = (outcome.status, outcome.used, outcome.mail, outcome.trace)
            arena.read(self.device, [array for array in written if array is not None])
            words.read(outcome.results)
        finally:
            try:
                if arena is not None:
                    self.device.free(arena.address)
            finally:
                stream.close()
        return outcome

    def _build_job(
        self, slices: DeviceSlices, request: Dispatch, outcome: Outcome, words: ResultWords,
        stop: int, place: Place,
    ) -> tuple[int, Uint64s]:
        """Place the Job record and what it points to; gives its address, and it."""
        job = job_record(request, outcome, slices, place)
        job[int(Job.SHARED) // 8] = self._shared
        job[int(Job.STOP) // 8] = stop
        job[int(Job.RESULTS) // 8] = words.address
        return place(job), job

    def _place_shared(self) -> tuple[int, int]:
        """Address of the Shared record, and of the allocation that it is in."""
        measured = Arena()
        self._build_shared(measured)
        use = Use(writable=False)
        arena = Arena.allocate(self.device, measured, "the program's constants", use)
        with ExitStack() as undo:
            undo.callback(self.device.free, arena.address)
            address = self._build_shared(arena)
            arena.write(self.device)
            undo.pop_all()
        return address, arena.address

    def _build_shared(self, place: Place) -> int:
        none: Uint64s = np.zeros(len(self.executable.signatures), np.uint64)
        shared = shared_record(self.executable, none, (), place)
        assert shared.nbytes == Shared.END
        return place(shared)


class ResultWords:
    """Results of a dispatch on the device, 0 at first: see :class:`~..base.DeviceBytes`.

    An allocation of their own, not a part of the records, so that who holds results holds no more.
    """

    def __init__(self, device: Device, size: int) -> None:
        self._device = device
        self.address = 0
        if size:
            # An agent writes its own row alone, which the stand-in knows from the Job record.
            self.address = device.allocate(size, "the results of a dispatch", Use(writable=False))
            weakref.finalize(self, device.free, self.address)
            device.fill(self.address, size, 0)

    def read(self, into: Uint64s) -> None:
        """Copy all of them to an array."""
        if into.nbytes:
            data = self._device.read(self.address, into.nbytes)
            into[...] = data.view(into.dtype).reshape(into.shape)

    def read_rows(self, rows: Rows) -> Bytes:
        return self._device.read_rows(self.address, rows)


def _place_columns(stream: Stream, request: Dispatch, job: Uint64s) -> None:
    """Have arguments that lie on the device copied to where the others are."""
    first, pitch = int(job[int(Job.ARGS) // 8]), int(job[int(Job.ARG_STRIDE) // 8])
    for column in request.columns:
        stream.place_column(column, len(request.slots), first + 8 * column.slot, pitch)


def _release(device: Device, module: DeviceModule, address: int) -> None:
    """Take a program off its device, when nothing uses it any more."""
    device.free(address)
    module.unload()
