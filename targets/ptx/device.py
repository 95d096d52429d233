"""The stand-in for a GPU: the device interface on the host's memory, running PTX with checks.

A launch may touch what :class:`~..cuda.device.Use` says of each allocation: of slices, an agent
those of its own slot. Of the allocation that holds the Job record, it may write the agent's
places for results, status, fuel, mail and trace, and read the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import TargetError
from ..addressing import GROUP, Placement, Rows
from ..base import Bytes, DeviceColumn, Int64s, Uint64s
from ..cuda.device import SHARED_USE, DeviceFunction, DeviceProperties, Use
from ..layout import Job, MailRow
from .buffer import Buffer
from .code import Grant, PtxCode
from .module import Function
from .records import Rights, Rule

#: How often the host looks whether a launch is to stop, in seconds.
_POLL = 0.01

#: What new memory is full of, where that does not cost too much.
_RUBBISH = 0xDB
_LITTERED = 1 << 20


@dataclass(slots=True)
class PtxFunction:
    """A kernel; see :class:`~..cuda.device.DeviceFunction`."""

    code: PtxCode
    kernel: Function
    registers: int = 0  # nobody assembled it
    threads: int = 1024


class PtxDeviceModule:
    """See :class:`~..cuda.device.DeviceModule`."""

    def __init__(self, code: PtxCode) -> None:
        self._code = code

    def function(self, name: str) -> PtxFunction:
        return PtxFunction(self._code, self._code.kernel(name))

    def unload(self) -> None:
        self._code.close()


@dataclass(frozen=True, slots=True)
class _Allocation:
    buffer: Buffer
    use: Use


class PtxDevice:
    """See :class:`~..cuda.device.Device`. One thread runs at a time."""

    properties = DeviceProperties(
        name="stand-in that runs PTX on the host, for checking only",
        arch="sm_90", memory=1 << 40, multiprocessors=1, threads_per_multiprocessor=1,
    )  # fmt: skip

    def __init__(self) -> None:
        self._allocations: dict[int, _Allocation] = {}
        self._lock = threading.Lock()

    def allocate(self, size: int, purpose: str, use: Use = SHARED_USE) -> int:
        buffer = Buffer(size, purpose)
        if size <= _LITTERED:
            buffer.array()[:] = _RUBBISH  # new memory of a GPU holds anything
        with self._lock:
            self._allocations[buffer.address] = _Allocation(buffer, use)
        return buffer.address

    def free(self, address: int) -> None:
        with self._lock:
            allocation = self._allocations.pop(address, None)
        if allocation is None:
            raise TargetError(f"nothing was allocated at {address:#x}")
        allocation.buffer.close()

    def write(self, address: int, data: Bytes) -> None:
        buffer, offset = self._find(address, data.nbytes)
        buffer.array()[offset : offset + data.nbytes] = data.reshape(-1).view(np.uint8)

    def read(self, address: int, size: int) -> Bytes:
        buffer, offset = self._find(address, size)
        return buffer.array()[offset : offset + size].copy()

    def write_rows(self, address: int, rows: Rows, data: Bytes) -> None:
        buffer, offset = self._find(address, 0)
        buffer.write_rows(_moved(rows, offset), data)

    def read_rows(self, address: int, rows: Rows) -> Bytes:
        buffer, offset = self._find(address, 0)
        return buffer.read_rows(_moved(rows, offset))

    def write_pieces(self, address: int, offsets: Int64s, data: Bytes) -> None:
        buffer, offset = self._find(address, 0)
        buffer.scatter(1, offsets + offset, data)

    def read_pieces(self, address: int, offsets: Int64s, width: int) -> Bytes:
        buffer, offset = self._find(address, 0)
        return buffer.gather(1, offsets + offset, width)

    def fill(self, address: int, size: int, byte: int) -> None:
        buffer, offset = self._find(address, size)
        if byte == 0:
            buffer.discard(offset, size)  # which gives its pages back
        else:
            buffer.array()[offset : offset + size] = byte

    def load(self, ptx: str, cubin: bytes | None = None) -> PtxDeviceModule:
        return PtxDeviceModule(PtxCode(ptx, {}))

    def stream(self) -> PtxStream:
        return PtxStream(self)

    def close(self) -> None:
        with self._lock:
            allocations, self._allocations = self._allocations, {}
        for allocation in allocations.values():
            allocation.buffer.close()

    def _find(self, address: int, size: int) -> tuple[Buffer, int]:
        """The buffer that holds a range, and the offset in it."""
        with self._lock:
            for start, allocation in self._allocations.items():
                buffer = allocation.buffer
                if start <= address and address + size <= start + buffer.size:
                    return buffer, address - start
        raise TargetError(f"{size} bytes at {address:#x} are in no allocation of the device")

    def grants(self, job: int, stop: int) -> tuple[list[Grant], Int64s]:
        """What threads that run the agents of a Job record may touch, and their slots."""
        buffer, offset = self._find(job, int(Job.END))
        record: Uint64s = buffer.array()[offset : offset + int(Job.END)].view(np.uint64)

        def get(field: Job) -> int:
            return int(record[int(field) // 8])

        count = get(Job.COUNT)
        slots = self.read(get(Job.SLOTS), 8 * count).view(np.int64)
        rows = [
            ("results", get(Job.RESULTS), get(Job.RESULT_STRIDE)),
            ("statuses", get(Job.STATUS), 8),
            ("fuel used", get(Job.USED), 8),
        ]
        if get(Job.MAIL_ROWS):
            rows.append(("mail", get(Job.MAIL_ROWS), int(MailRow.END)))
        if get(Job.TRACE):
            rows.append(("the trace of host calls", get(Job.TRACE), get(Job.TRACE_STRIDE)))
        found = [
            Grant(name, address, count * stride, rule=Rule.INDEX_ROW, stride=stride)
            for name, address, stride in rows if stride
        ]  # fmt: skip
        found.append(Grant("the word that stops a launch", stop, 8, Rights.READ))
        with self._lock:
            for allocation in self._allocations.values():
                fixed = allocation.buffer is buffer
                found.append(_grant(allocation, fixed=fixed))
        # Slices are what is touched most: they come first.
        found.sort(key=lambda grant: grant.rule is Rule.ALL)
        return found, slots


def _moved(rows: Rows, offset: int) -> Rows:
    return Rows(rows.offset + offset, rows.pitch, rows.width, rows.count)


def _grant(allocation: _Allocation, *, fixed: bool) -> Grant:
    buffer, use = allocation.buffer, allocation.use
    rights = Rights.WRITE if use.writable and not fixed else Rights.READ
    place = use.place
    if place is None:
        return Grant(buffer.purpose, buffer.address, buffer.size, rights)
    rule, stride = _rule(place)
    return Grant(buffer.purpose, buffer.address, buffer.size, rights, rule, stride,
                 place.cells.size)  # fmt: skip


def _rule(place: Placement) -> tuple[Rule, int]:
    if place.cells.size:
        return Rule.SLOT_CELLS, GROUP * place.size
    return Rule.SLOT_ROW, place.size


class PtxStream:
    """See :class:`~..cuda.device.Stream`. A launch runs in a thread of its own."""

    def __init__(self, device: PtxDevice) -> None:
        self._device = device
        self._stop = Buffer(8, "the word that stops a launch")
        self.stop_address = self._stop.address
        self._running: list[threading.Thread] = []
        self._errors: list[TargetError] = []

    def launch(
        self, function: DeviceFunction, blocks: int, threads: int, argument: int, stack: int
    ) -> None:
        assert isinstance(function, PtxFunction)
        before = list(self._running)
        thread = threading.Thread(
            target=self._run, args=(function, blocks, threads, argument, before), daemon=True
        )
        self._running.append(thread)
        thread.start()

    def _run(
        self, function: PtxFunction, blocks: int, threads: int, argument: int,
        before: Sequence[threading.Thread],
    ) -> None:
        for thread in before:
            thread.join()
        if self._errors:
            return
        try:
            grants, slots = self._device.grants(argument, self.stop_address)
            args = [argument.to_bytes(8, "little")]
            function.code.launch(function.kernel.name, blocks, threads, args, grants, slots)
        except TargetError as error:
            self._errors.append(error)

    def place_column(self, column: DeviceColumn, count: int, to: int, pitch: int) -> None:
        raise TargetError("arrays of other libraries do not lie on the stand-in")

    def wait(self, stop: Int64s) -> None:
        while self._running:
            self._running[0].join(_POLL)
            if stop[0]:
                self._stop.write(0, int(stop[0]).to_bytes(8, "little", signed=True))
            if not self._running[0].is_alive():
                self._running.pop(0)
        if self._errors:
            errors, self._errors = self._errors, []
            raise errors[0]

    def close(self) -> None:
        for thread in self._running:
            thread.join()
        self._stop.close()
