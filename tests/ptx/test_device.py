"""The stand-in as a device: memory, copies, launches, and who may touch what."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from swarmc.errors import TargetError
from swarmc.targets.addressing import Cells, Placement, Rows
from swarmc.targets.cuda.device import Device, Use
from swarmc.targets.layout import Job
from swarmc.targets.ptx.code import PtxFaultError
from swarmc.targets.ptx.device import PtxDevice
from swarmc.targets.ptx.records import Violation

from .run import HEAD

#: Reads the agent's slot and the address of slices from the Job record, and does something there.
KERNEL = """
.visible .entry k(.param .u64 k_0)
{{
    .reg .b64 %j, %s, %a, %i, %x; .reg .b32 %t, %n, %b; .reg .pred %p;
    ld.param.b64 %j, [k_0];
    mov.b32 %t, %tid.x; mov.b32 %n, %ntid.x; mov.b32 %b, %ctaid.x;
    mad.lo.s32 %t, %b, %n, %t; cvt.u64.u32 %i, %t;
    ld.b64 %x, [%j+{count}]; setp.ge.u64 %p, %i, %x; @%p ret;
    shl.b64 %i, %i, 3;
    ld.b64 %s, [%j+{slots}]; add.s64 %s, %s, %i; ld.b64 %s, [%s];
    ld.b64 %a, [%j+{state}];
    {body}
    ret;
}}
"""


class Swarm:
    """A device with slices of 64 bytes for 40 slots, and what a dispatch of agents needs."""

    def __init__(self, place: Placement, slots: list[int]) -> None:
        self.device: Device = PtxDevice()
        self.slots = np.array(slots)
        self.slices = self.device.allocate(place.extent(40), "slices", Use(place))
        self.device.fill(self.slices, place.extent(40), 0)
        self.job = self.device.allocate(4096, "records")
        record = np.zeros(int(Job.END) // 8, np.int64)
        values = {
            Job.COUNT: len(slots), Job.SLOTS: self.job + 512, Job.STATE: self.slices,
            Job.RESULTS: self.job + 1024, Job.RESULT_STRIDE: 16, Job.STATUS: self.job + 2048,
            Job.USED: self.job + 3072,
        }  # fmt: skip
        for field, value in values.items():
            record[int(field) // 8] = value
        self.device.write(self.job, record.view(np.uint8))
        self.device.write(self.job + 512, self.slots.astype(np.int64).view(np.uint8))

    def launch(self, body: str, stop: np.ndarray | None = None) -> None:
        places = {"count": int(Job.COUNT), "slots": int(Job.SLOTS), "state": int(Job.STATE)}
        module = self.device.load(HEAD + KERNEL.format(body=body, **places))
        stream = self.device.stream()
        try:
            stream.launch(module.function("k"), 2, 64, self.job, 1024)
            stream.wait(np.zeros(1, np.int64) if stop is None else stop)
        finally:
            stream.close()
            module.unload()


FLAT, CELLS = Placement(64, Cells(0)), Placement(64, Cells(8))
OWN_FLAT = "mad.lo.s64 %a, %s, 64, %a;"
#: Slot s has its first cell at (s / 32) * 32 * 64 + (s % 32) * 8.
OWN_CELL = """
    and.b64 %x, %s, 31; shl.b64 %x, %x, 3; add.s64 %a, %a, %x;
    shr.u64 %x, %s, 5; mad.lo.s64 %a, %x, 2048, %a;
"""


@pytest.mark.parametrize(("place", "own"), [(FLAT, OWN_FLAT), (CELLS, OWN_CELL)])
def test_agents_touch_their_own_slices(place: Placement, own: str) -> None:
    swarm = Swarm(place, [3, 0, 39, 17])
    swarm.launch(f"{own} add.s64 %x, %s, 1; st.b64 [%a], %x;")
    for slot in (3, 0, 39, 17):
        data = swarm.device.read(swarm.slices + place.base(slot), 8)
        assert data.view(np.int64)[0] == slot + 1
    swarm.device.close()


@pytest.mark.parametrize(
    ("place", "body"),
    [
        (FLAT, f"{OWN_FLAT} st.b64 [%a+64], 1;"),
        (FLAT, f"{OWN_FLAT} ld.b64 %x, [%a+-8];"),
        (CELLS, f"{OWN_CELL} st.b64 [%a+8], 1;"),
        (CELLS, f"{OWN_CELL} ld.b64 %x, [%a+2048];"),
    ],
)
def test_agents_do_not_touch_those_of_others(place: Placement, body: str) -> None:
    swarm = Swarm(place, [5, 6])
    with pytest.raises(PtxFaultError, match="of slices, belongs to another agent") as caught:
        swarm.launch(body)
    assert caught.value.violation is Violation.FOREIGN


@pytest.mark.parametrize("array", [Job.RESULTS, Job.STATUS, Job.USED])
def test_agents_write_their_own_row_alone(array: Job) -> None:
    stride = 16 if array is Job.RESULTS else 8
    body = f"ld.b64 %a, [%j+{int(array)}]; "
    if stride == 16:
        body += "shl.b64 %i, %i, 1; "
    swarm = Swarm(FLAT, [1, 2, 3])
    swarm.launch(f"{body} add.s64 %a, %a, %i; st.b64 [%a+{stride - 8}], %s;")
    with pytest.raises(PtxFaultError, match="belongs to another agent"):
        swarm.launch(f"{body} add.s64 %a, %a, %i; st.b64 [%a+{stride}], %s;")


def test_records_are_only_read() -> None:
    swarm = Swarm(FLAT, [1])
    with pytest.raises(PtxFaultError, match="of records, must not be written"):
        swarm.launch("st.b64 [%j], 1;")


def test_constants_are_only_read() -> None:
    swarm = Swarm(FLAT, [1])
    address = swarm.device.allocate(64, "constants", Use(writable=False))
    swarm.launch(f"mov.b64 %a, {address}; ld.global.nc.b64 %x, [%a];")
    with pytest.raises(PtxFaultError, match="of constants, must not be written"):
        swarm.launch(f"mov.b64 %a, {address}; st.b64 [%a], 1;")


def test_memory_that_was_given_back() -> None:
    swarm = Swarm(FLAT, [1])
    address = swarm.device.allocate(64, "more")
    swarm.device.free(address)
    with pytest.raises(PtxFaultError, match="outside all buffers"):
        swarm.launch(f"mov.b64 %a, {address}; ld.b64 %x, [%a];")
    with pytest.raises(TargetError, match="nothing was allocated"):
        swarm.device.free(address)
    with pytest.raises(TargetError, match="in no allocation"):
        swarm.device.read(address, 1)


def test_new_memory_holds_rubbish() -> None:
    device = PtxDevice()
    address = device.allocate(1000, "something")
    assert set(device.read(address, 1000).tolist()) == {0xDB}
    device.fill(address + 100, 10, 7)
    device.fill(address + 500, 500, 0)
    data = device.read(address, 1000)
    assert set(data[100:110]) == {7} and not data[500:].any() and data[499] == 0xDB
    rows = Rows(8, 16, 4, 3)
    device.write_rows(address, rows, np.arange(12, dtype=np.uint8))
    assert device.read_rows(address, rows).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert address % 256 == 0
    device.close()


def test_a_launch_is_told_to_stop() -> None:
    """The word that says so is in no record here: its address comes from the stream."""
    swarm = Swarm(FLAT, [1])
    stop = np.zeros(1, np.int64)
    stream = swarm.device.stream()
    body = f"mov.b64 %a, {stream.stop_address}; wait: ld.relaxed.sys.b64 %x, [%a]; "
    body += "setp.eq.b64 %p, %x, 0; @%p bra wait; ld.b64 %a, [%j+{state}]; "
    body += f"{OWN_FLAT} st.b64 [%a], %x;"
    places = {"count": int(Job.COUNT), "slots": int(Job.SLOTS), "state": int(Job.STATE)}
    text = KERNEL.replace("{body}", body).format(**places)
    module = swarm.device.load(HEAD + text)
    stream.launch(module.function("k"), 1, 1, swarm.job, 0)
    timer = threading.Timer(0.1, stop.fill, (5,))
    timer.start()
    started = time.monotonic()
    stream.wait(stop)
    assert time.monotonic() - started < 20
    assert swarm.device.read(swarm.slices + 64, 8).view(np.int64)[0] == 5
    stream.close()


def test_launches_of_a_stream_run_in_order() -> None:
    swarm = Swarm(FLAT, [0])
    stream = swarm.device.stream()
    places = {"count": int(Job.COUNT), "slots": int(Job.SLOTS), "state": int(Job.STATE)}
    bodies = [f"ld.b64 %x, [%a]; mad.lo.s64 %x, %x, 10, {n}; st.b64 [%a], %x;" for n in (1, 2, 3)]
    modules = [swarm.device.load(HEAD + KERNEL.format(body=b, **places)) for b in bodies]
    for module in modules:
        stream.launch(module.function("k"), 1, 32, swarm.job, 0)
    stream.wait(np.zeros(1, np.int64))
    assert swarm.device.read(swarm.slices, 8).view(np.int64)[0] == 123
    stream.close()


def test_nothing_runs_after_a_fault() -> None:
    swarm = Swarm(FLAT, [0])
    stream = swarm.device.stream()
    places = {"count": int(Job.COUNT), "slots": int(Job.SLOTS), "state": int(Job.STATE)}
    bad, good = (
        swarm.device.load(HEAD + KERNEL.format(body=body, **places))
        for body in ("trap;", "st.b64 [%a], 1;")
    )
    for module in (bad, good):
        stream.launch(module.function("k"), 1, 1, swarm.job, 0)
    with pytest.raises(PtxFaultError, match="ends the whole launch"):
        stream.wait(np.zeros(1, np.int64))
    assert swarm.device.read(swarm.slices, 8).view(np.int64)[0] == 0
    stream.close()


def test_what_a_module_does_not_have() -> None:
    device = PtxDevice()
    module = device.load(HEAD)
    with pytest.raises(TargetError, match="no kernel swarm_kernel"):
        module.function("swarm_kernel")
    with pytest.raises(TargetError, match="nothing provides these functions: swarm_host_1"):
        device.load(HEAD + ".extern .func swarm_host_1 (.param .b64 a);\n")
