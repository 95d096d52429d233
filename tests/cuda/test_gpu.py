"""The device interface on a driver: what it asks of the driver, against one made for tests."""

from __future__ import annotations

import ctypes
import gc
import inspect
import re
import threading
import time
from typing import Any

import numpy as np
import pytest
import wasmtime

from swarmc.errors import ArgumentError, CapacityError, TargetError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.targets.addressing import Rows
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda.driver import Driver, DriverError
from swarmc.targets.cuda.gpu import Gpu
from swarmc.targets.cuda.pieces import UNITS
from swarmc.targets.device_array import DeviceArray

from .fake_driver import _FUNCTIONS, FakeDriver
from .tools import without_tools

bindings = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")


pytestmark = pytest.mark.usefixtures("only_ptx")


def test_the_driver_of_the_tests_has_the_real_ones_functions() -> None:
    for name, function in _FUNCTIONS.items():
        real = getattr(bindings, name).__doc__.partition("\n")[0]
        wanted = re.findall(r"[^,()]+", real.replace("list[Any]", "").partition("(")[2])
        params = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
        if not any(p.kind is p.VAR_POSITIONAL for p in params):
            real_count = 4 if name == "cuModuleLoadDataEx" else len(wanted)
            assert len(params) == real_count, (name, real)


def test_properties(gpu: Gpu) -> None:
    found = gpu.properties
    assert (found.name, found.arch) == ("a GPU of the tests", "sm_90")
    assert (found.multiprocessors, found.threads_per_multiprocessor) == (4, 2048)
    assert found.memory == 1 << 32


def test_copies_of_any_length(gpu: Gpu, fake: FakeDriver) -> None:
    random = np.random.default_rng(1)
    for size in (1, 255, 4 << 20, (4 << 20) + 1, (13 << 20) + 5):
        data = random.integers(0, 256, size, np.uint8)
        address = gpu.allocate(size + 3, "a test")
        gpu.write(address + 3, data)
        assert (gpu.read(address + 3, size) == data).all()
        gpu.fill(address + 3, size, 0x5A)
        assert (gpu.read(address + 3, size) == 0x5A).all()
        gpu.free(address)
    assert not fake.device


@pytest.mark.parametrize("unit", UNITS)
def test_rows_and_pieces(gpu: Gpu, unit: int) -> None:
    random = np.random.default_rng(unit)
    address = gpu.allocate(1 << 16, "a test")
    whole = random.integers(0, 256, 1 << 16, np.uint8)
    gpu.write(address, whole)
    rows = Rows(offset=3 * unit, pitch=5 * unit, width=2 * unit, count=100)
    wanted = np.lib.stride_tricks.as_strided(
        whole[rows.offset :], (rows.count, rows.width), (rows.pitch, 1)
    )
    assert (gpu.read_rows(address, rows) == wanted).all()
    offsets = random.permutation(1000)[:77] * (2 * unit)
    pieces = np.array([whole[place : place + 2 * unit] for place in offsets])
    assert (gpu.read_pieces(address, offsets, 2 * unit) == pieces).all()

    fresh = random.integers(0, 256, pieces.shape, np.uint8)
    gpu.write_pieces(address, offsets, fresh)
    for place, piece in zip(offsets, fresh, strict=True):
        whole[place : place + 2 * unit] = piece
    fresh = random.integers(0, 256, (rows.count, rows.width), np.uint8)
    gpu.write_rows(address, rows, fresh)
    wanted[:] = fresh
    assert (gpu.read(address, 1 << 16) == whole).all()
    assert gpu.read_pieces(address, np.zeros(0, np.int64), 8).shape == (0, 8)


def test_rows_of_more_than_a_batch(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarmc.targets.cuda.pieces._BATCH", 100)
    address = gpu.allocate(10_000, "a test")
    whole = np.random.default_rng(3).integers(0, 256, 10_000, np.uint8)
    gpu.write(address, whole)
    rows = Rows(offset=7, pitch=30, width=11, count=300)
    assert (gpu.read_rows(address, rows)[299] == whole[7 + 299 * 30 :][:11]).all()
    gpu.write_rows(address, rows, np.zeros((300, 11), np.uint8))
    assert not gpu.read_rows(address, rows).any()
    offsets = np.arange(250) * 40 + 18
    assert (gpu.read_pieces(address, offsets, 20)[249] == gpu.read(address + 249 * 40 + 18, 20)
            ).all()  # fmt: skip


def test_memory_that_is_not_there(gpu: Gpu) -> None:
    with pytest.raises(CapacityError, match=r"agents' memory needs 8,589,934,592 bytes, and of the"
                       r" GPU's 4,294,967,296 there are 4,294,967,296 free"):  # fmt: skip
        gpu.allocate(1 << 33, "100 agents' memory")


def test_it_works_from_any_thread(gpu: Gpu) -> None:
    found: list[Any] = []

    def work() -> None:
        address = gpu.allocate(64, "a test")
        gpu.write(address, np.arange(64, dtype=np.uint8))
        found.append(gpu.read(address, 64).tolist())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(64))] * 4


def test_refused_code_shows_the_drivers_report(gpu: Gpu) -> None:
    with pytest.raises(TargetError, match=r"(?s)refuses the program.*INVALID_PTX.*line 4"):
        gpu.load(".version 8.0\n.target sm_90\n.address_size 64\n.nonsense\n")


PROGRAM = """(module (memory (export "memory") 1)
  (func (export "sum") (param i32 i32) (result i32)
    (i32.store offset=8 (i32.const 0) (i32.add (local.get 0) (local.get 1)))
    (i32.load offset=8 (i32.const 0)))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1)))
  (func (export "spin") (loop (br 0)))
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 7))
      (else (call $deep (i32.sub (local.get 0) (i32.const 1)))))))"""


def swarm(fake: FakeDriver, **options: Any) -> SwarmManager:
    gpus: list[Gpu] = []

    def connect() -> Gpu:
        if not gpus or gpus[-1].ended:
            gpus.append(Gpu(driver=Driver(fake)))
        return gpus[-1]

    target = CudaTarget(connect=connect)
    return SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=target, **options)


@pytest.mark.parametrize("layout", ["flat", "interleaved"])
def test_a_swarm(fake: FakeDriver, layout: str) -> None:
    manager = swarm(fake, max_agents=300, layout=layout)
    agents = manager.spawn_agents(300)
    result = manager.dispatch(None, "sum", args=[(n, 2 * n) for n in range(300)])
    assert result.results_array().tolist() == [3 * n for n in range(300)]
    assert manager.get_agent_memory(agents[41], 8, 4) == (3 * 41).to_bytes(4, "little")
    result = manager.dispatch(None, "divide", args=[(n, n % 3) for n in range(300)])
    traps = {agent for agent, trap in result.traps.items()
             if trap.code is Trap.INTEGER_DIVIDE_BY_ZERO}  # fmt: skip
    assert traps == set(agents[::3])
    assert not manager.mock
    manager.close()


def test_programs_are_for_the_device_at_hand(fake: FakeDriver) -> None:
    for capability, arch in (((7, 5), "sm_75"), ((9, 0), "sm_90"), ((10, 1), "sm_100"),
                             ((13, 0), "sm_121")):  # fmt: skip
        fake.arch = capability
        gpu = Gpu(driver=Driver(fake))
        target = CudaTarget(connect=lambda gpu=gpu: gpu)  # type: ignore[misc]
        assert target.arch == arch
        assert f".target {arch}" in SwarmManager.from_wasm(
            wasmtime.wat2wasm(PROGRAM), target=target
        ).executable.objects[0].decode()  # fmt: skip
    fake.arch = 7, 0
    gpu = Gpu(driver=Driver(fake))
    assert CudaTarget(connect=lambda: gpu).arch == "sm_90"
    with pytest.raises(TargetError, match="sm_70, and swarmc needs sm_75"):
        SwarmManager.from_wasm(
            wasmtime.wat2wasm(PROGRAM), target=CudaTarget(connect=lambda: gpu)
        )  # fmt: skip


def test_an_interrupt_reaches_the_device(fake: FakeDriver) -> None:
    manager = swarm(fake, fuel=1 << 62)
    agent = manager.spawn_agent()
    timer = threading.Timer(0.3, manager.interrupt)
    timer.start()
    begin = time.monotonic()
    result = manager.dispatch(None, "spin")
    assert result.traps[agent].code is Trap.INTERRUPTED
    assert time.monotonic() - begin < 60


def test_stack_that_is_not_there(fake: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    without_tools(monkeypatch)  # then much is asked for
    fake.stack_limit = 10_000
    manager = swarm(fake)
    manager.spawn_agent()
    with pytest.raises(CapacityError, match=r"bytes of stack a thread, .* for the 8,192 threads"):
        manager.dispatch(None, "deep", args=[(5,)])


def test_a_lost_device_says_so_and_can_be_reset(fake: FakeDriver) -> None:
    manager = swarm(fake)
    first = manager.spawn_agent()
    fake.fail_launches = bindings.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(DriverError, match="ILLEGAL_ADDRESS"):
        manager.dispatch(None, "sum", args=[(1, 2)])
    fake.fail_launches = None
    with pytest.raises(TargetError, match=r"the GPU stopped working: .*ILLEGAL_ADDRESS.*reset_dev"):
        manager.dispatch(None, "sum", args=[(1, 2)])
    manager.reset_device()
    assert len(manager) == 0
    agent = manager.spawn_agent()
    assert agent > first
    assert manager.dispatch(None, "sum", args=[(1, 2)]).agent_results[agent] == 3


def test_memories_are_seen_where_they_lie(fake: FakeDriver) -> None:
    manager = swarm(fake, max_agents=10, layout="flat")
    ids = manager.spawn_agents(6)
    data = np.arange(18, dtype=np.int32).reshape(6, 3)
    manager.set_agent_memories(data, ids, 16)
    view = manager.view_agent_memories(ids[1::2], 16, 3, np.int32)
    assert isinstance(view, DeviceArray)
    assert (view.copy_to_host() == data[1::2]).all()
    described = view.__cuda_array_interface__
    assert described["shape"] == (3, 3) and described["typestr"] == "<i4"
    first = (ctypes.c_int32 * 3).from_address(described["data"][0])  # memory of the fake device
    assert list(first) == [3, 4, 5]
    second = (ctypes.c_int32 * 3).from_address(described["data"][0] + described["strides"][0])
    assert list(second) == [9, 10, 11]
    manager.set_agent_memories(view, ids[:3], 16)  # taken as an array of any other library
    assert manager.get_agent_memories(ids[:1], 16, 3, np.int32).tolist() == [[3, 4, 5]]
    other = swarm(fake, max_agents=10, layout="interleaved")
    other.spawn_agents(2)
    with pytest.raises(ArgumentError, match="in the layout flat"):
        other.view_agent_memories()


def test_a_swarm_whose_device_another_reset(fake: FakeDriver) -> None:
    one = swarm(fake)
    one.spawn_agent()
    other = SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=one.target)
    other.spawn_agent()
    one.reset_device()
    with pytest.raises(TargetError, match="is gone: it was reset"):
        other.dispatch(None, "sum", args=[(1, 2)])
    other.close()
    agent = one.spawn_agent()
    assert one.dispatch(None, "sum", args=[(3, 4)]).agent_results[agent] == 7


def test_two_swarms_recover_one_after_the_other(fake: FakeDriver) -> None:
    one = swarm(fake)
    other = SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=one.target)
    one.reset_device()
    agent = one.spawn_agent()
    other.reset_device()  # which must not end what the first has made since
    assert one.dispatch(None, "sum", args=[(3, 4)]).agent_results[agent] == 7
    agent = other.spawn_agent()
    assert other.dispatch(None, "sum", args=[(5, 4)]).agent_results[agent] == 9


def test_a_device_is_not_reset_under_running_agents(fake: FakeDriver) -> None:
    manager = swarm(fake, fuel=1 << 62)
    other = SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=manager.target)
    manager.spawn_agent()
    handle = manager.dispatch_async(None, "spin")
    time.sleep(0.3)
    with pytest.raises(TargetError, match="agents are running on the GPU"):
        other.reset_device()
    handle.cancel()
    assert handle.result().interrupted


def test_a_swarm_that_is_dropped_gives_its_memory_back(fake: FakeDriver) -> None:
    manager = swarm(fake)
    manager.spawn_agent()
    manager.dispatch(None, "sum", args=[(1, 2)])
    assert fake.device
    del manager
    gc.collect()
    assert not fake.device
    fake.memory = 1 << 22
    with pytest.raises(CapacityError):
        swarm(fake, max_agents=1000)
    gc.collect()
    assert not fake.device


def test_other_targets_have_nothing_to_reset() -> None:
    for name in ("cpu", "ptx"):
        manager = SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=name)
        agent = manager.spawn_agent()
        with pytest.raises(TargetError, match="nothing to reset"):
            manager.reset_device()
        assert manager.agent_ids.tolist() == [agent]


def test_everything_is_given_back(fake: FakeDriver) -> None:
    gpu = Gpu(driver=Driver(fake))
    gpu.stream().close()
    gpu.write(gpu.allocate(8, "a test"), np.zeros(8, np.uint8))
    gpu.close()
    assert not fake.pinned and not fake.streams and not fake.events
    with pytest.raises(TargetError, match="reset or given back"):
        gpu.read(1, 1)
