"""Arguments and results that stay on the GPU, on a driver made for tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import wasmtime
from numpy.typing import NDArray

from swarmc.errors import ArgumentError
from swarmc.runtime import Columns, SwarmManager
from swarmc.runtime.tools.array_check import check_arrays
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda.gpu import Gpu

from .fake_driver import FakeDriver

pytestmark = pytest.mark.usefixtures("only_ptx")

PROGRAM = """(module
  (func (export "same") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
    local.get 0 local.get 1 local.get 2 local.get 3)
  (func (export "less") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
  (func (export "twice") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_u (local.get 0) (local.get 1)))
  (func (export "handle") (param externref) (result externref) (local.get 0))
  (func (export "vector") (param i32) (result v128) (i32x4.splat (local.get 0)))
  (func (export "is_null") (param externref i32) (result i32) (ref.is_null (local.get 0))))"""

COUNT = 300  # more than a block
DTYPES = (np.int32, np.int64, np.float32, np.float64)


class OnGpu:
    """An array on the GPU, of a library that copies nothing to the host."""

    def __init__(self, gpu: Gpu, array: NDArray[Any], **interface: Any) -> None:
        base = array if array.base is None else array.base
        assert isinstance(base, np.ndarray)
        self.start = gpu.allocate(max(base.nbytes, 8), "an array of the tests")
        gpu.write(self.start, np.ascontiguousarray(base).view(np.uint8).reshape(-1))
        first = array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
        strides = None if array.flags.c_contiguous else array.strides
        self.__cuda_array_interface__ = {
            "shape": array.shape, "typestr": array.dtype.str, "strides": strides,
            "data": (self.start + first, False), "version": 3, "stream": None,
        } | interface  # fmt: skip


def numbers(dtype: Any, count: int = COUNT) -> NDArray[Any]:
    """Elements of any bits, NaNs of any payload among them."""
    size = np.dtype(dtype).itemsize
    found = np.random.default_rng(size).integers(0, 256, count * size, np.uint8).view(dtype)
    if found.dtype.kind == "f":
        found.view(f"u{size}")[:3] = [0x7FA00001, 0xFFC12345, 0x80000000]
    return np.asarray(found)


@pytest.fixture
def swarm(gpu: Gpu) -> Iterator[SwarmManager]:
    target = CudaTarget(connect=lambda: gpu)
    with SwarmManager.from_wasm(
        wasmtime.wat2wasm(PROGRAM), target=target, max_agents=COUNT
    ) as manager:
        yield manager


def bits(swarm: SwarmManager, name: str, args: Any) -> list[list[int]]:
    """All results of all agents, as bits."""
    result = swarm.dispatch(None, name, args)
    assert result.returned_array.all()
    columns = [result.results_array(n) for n in range(len(swarm.functions[name].results))]
    return [column.view(f"u{column.itemsize}").tolist() for column in columns]


def test_columns_of_all_types_keep_their_bits(swarm: SwarmManager, gpu: Gpu) -> None:
    swarm.spawn_agents(COUNT)
    here = [numbers(dtype) for dtype in DTYPES]
    wanted = bits(swarm, "same", Columns(*here))
    assert wanted == [column.view(f"u{column.itemsize}").tolist() for column in here]
    assert bits(swarm, "same", Columns(*[OnGpu(gpu, column) for column in here])) == wanted
    unsigned = [OnGpu(gpu, here[0].view(np.uint32)), OnGpu(gpu, here[1].view(np.uint64))]
    assert bits(swarm, "same", Columns(*unsigned, *here[2:])) == wanted


@pytest.mark.parametrize("part", [np.s_[::3], np.s_[::-1], np.s_[5::2], np.s_[-2::-4]])
def test_columns_of_any_stride(swarm: SwarmManager, gpu: Gpu, part: slice) -> None:
    whole = [numbers(dtype, COUNT // 2) for dtype in DTYPES]
    here = [column[part] for column in whole]
    swarm.spawn_agents(len(here[0]))
    wanted = bits(swarm, "same", Columns(*here))
    assert bits(swarm, "same", Columns(*[OnGpu(gpu, column) for column in here])) == wanted


def test_columns_of_the_host_and_the_gpu(swarm: SwarmManager, gpu: Gpu) -> None:
    ids = swarm.spawn_agents(COUNT)
    here = [numbers(dtype) for dtype in DTYPES]
    there = [OnGpu(gpu, column) for column in here]
    for args in (
        (here[0], there[1], here[2], there[3]), (there[0], here[1].tolist(), there[2], here[3]),
    ):  # fmt: skip
        assert bits(swarm, "same", Columns(*args)) == bits(swarm, "same", Columns(*here))
    column = OnGpu(gpu, np.arange(COUNT, dtype=np.int32))
    assert bits(swarm, "less", Columns(column, -7)) == [list(range(7, COUNT + 7))]
    one = OnGpu(gpu, np.array(5, np.int32))  # one value for all
    assert bits(swarm, "less", Columns(column, one))[0][5:] == list(range(COUNT - 5))
    assert bits(swarm, "is_null", Columns([None] * COUNT, column)) == [[1] * COUNT]
    result = swarm.dispatch(ids[::2], "twice", OnGpu(gpu, np.arange(150, dtype=np.int32)))
    assert result.results_array().tolist() == list(range(0, 300, 2))


def test_rows(swarm: SwarmManager, gpu: Gpu) -> None:
    swarm.spawn_agents(COUNT)
    rows = np.arange(6 * COUNT, dtype=np.int32).reshape(COUNT, 6)
    for array in (rows[:, :2].copy(), rows[:, 1:5:3], rows[::-1, 4:2:-1]):
        wanted = (array[:, 0] - array[:, 1]).view(np.uint32).tolist()
        assert bits(swarm, "less", OnGpu(gpu, array)) == [wanted]
    turned = np.arange(2 * COUNT, dtype=np.uint32).reshape(2, COUNT).T
    assert bits(swarm, "less", OnGpu(gpu, turned)) == [[(1 << 32) - COUNT] * COUNT]
    assert bits(swarm, "twice", OnGpu(gpu, rows[:, 0])) == [(2 * rows[:, 0]).tolist()]


def test_what_produces_an_array_is_awaited(
    swarm: SwarmManager, gpu: Gpu, fake: FakeDriver
) -> None:
    swarm.spawn_agents(COUNT)
    swarm.dispatch(None, "twice", [1])
    fake.cuCtxPushCurrent(gpu._context)
    _, stream = fake.cuStreamCreate(fake.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
    for interface in ({"stream": stream}, {"version": 2}):
        array = OnGpu(gpu, np.zeros(COUNT, np.int32), **interface)
        fake.cuMemsetD8Async(array.start, 1, 4 * COUNT, stream)
        assert bits(swarm, "twice", array) == [[0x02020202] * COUNT]
    # Who says that no stream is at work is believed.
    array = OnGpu(gpu, np.zeros(COUNT, np.int32))
    fake.cuMemsetD8Async(array.start, 1, 4 * COUNT, stream)
    assert bits(swarm, "twice", array) == [[0] * COUNT]
    fake.cuStreamDestroy(stream)
    fake.cuCtxPopCurrent()


class WithCopy(OnGpu):
    """One that its library copies."""

    def __init__(self, gpu: Gpu, array: NDArray[Any], **interface: Any) -> None:
        super().__init__(gpu, array, **interface)
        self.array, self.copies = array, 0

    def copy_to_host(self) -> NDArray[Any]:
        self.copies += 1
        return self.array


def test_others_are_copied_by_their_library(swarm: SwarmManager, gpu: Gpu) -> None:
    swarm.spawn_agents(COUNT)
    plain = np.arange(COUNT, dtype=np.int32)
    for array, interface in (
        (plain.astype(np.int64), {}), (plain.astype(np.uint8), {}),
        (plain, {"mask": object()}), (plain, {"data": (4097, False)}),
        (plain, {"strides": (6,)}),
    ):  # fmt: skip
        one = WithCopy(gpu, array, **interface)
        wanted = [(2 * array.astype(np.int64)).tolist()]
        assert bits(swarm, "twice", one) == bits(swarm, "twice", Columns(one)) == wanted
        assert one.copies == 2
        with pytest.raises(ArgumentError, match="does not say how it is copied"):
            swarm.dispatch(None, "twice", OnGpu(gpu, array, **interface))
    stays: Any = WithCopy(gpu, plain)
    bits(swarm, "twice", stays)
    assert stays.copies == 0
    swarm.kill_agents()
    swarm.spawn_agents(COUNT, "twice", stays)  # is kept with the agents until they run
    assert stays.copies == 1
    assert swarm.dispatch().results_array().tolist() == (2 * plain).tolist()


@pytest.mark.parametrize(
    ("shape", "columns", "complaint"),
    [
        ((299,), True, "argument 0 of less: 299 values for 300 agents"),
        ((300, 1), True, r"argument 0 of less: a column has one dimension, not 2 \(shape"),
        ((299, 2), False, "arguments of less: 299 rows for 300 agents"),
        ((300, 3), False, r"less takes 2 arguments \(i32, i32\), got 3"),
        ((300,), False, r"less takes 2 arguments \(i32, i32\), got 1"),
        ((300, 2, 1), False, "arguments of less: an array of 3 dimensions"),
    ],
)
def test_wrong_shapes(
    swarm: SwarmManager, gpu: Gpu, shape: tuple[int, ...], columns: bool, complaint: str
) -> None:
    ids = swarm.spawn_agents(COUNT)
    array = np.ones(shape, np.int32)
    for one in (array, OnGpu(gpu, array)):
        with pytest.raises(ArgumentError, match=complaint):
            swarm.dispatch(ids, "less", Columns(one, 1) if columns else one)


def test_another_gpu_is_refused_by_name(
    swarm: SwarmManager, gpu: Gpu, fake: FakeDriver
) -> None:
    swarm.spawn_agents(COUNT)
    array = OnGpu(gpu, np.zeros(COUNT, np.int32))
    fake.elsewhere[1] = range(array.start, array.start + 4 * COUNT)
    complaint = (
        r"argument 1 of less: the array lies on GPU 1 \(another GPU of the tests\), the agents are"
        r" on GPU 0 \(a GPU of the tests\)"
    )
    with pytest.raises(ArgumentError, match=complaint):
        swarm.dispatch(None, "less", Columns(1, array))
    nowhere = OnGpu(gpu, np.zeros(COUNT, np.int32), data=(64, False))
    with pytest.raises(ArgumentError, match=r"arguments of twice: there is no memory of a GPU at"):
        swarm.dispatch(None, "twice", nowhere)
    assert bits(swarm, "twice", [3]) == [[6] * COUNT]


def test_results_stay_on_the_gpu(swarm: SwarmManager, gpu: Gpu, fake: FakeDriver) -> None:
    swarm.spawn_agents(COUNT)
    here = [numbers(dtype) for dtype in DTYPES]
    result = swarm.dispatch(None, "same", Columns(*here))
    there = [result.results_device(n) for n in range(4)]
    allocated = len(fake.device)
    for array, wanted in zip(there, here, strict=True):
        described = array.__cuda_array_interface__
        assert described["shape"] == (COUNT,) and described["strides"] == (32,)
        assert described["typestr"] == wanted.dtype.str and described["version"] == 3
        address = described["data"][0] + 32 * 41
        assert gpu.read(address, wanted.itemsize).tobytes() == wanted[41].tobytes()
        assert array.copy_to_host().tobytes() == wanted.tobytes()
        assert array.view(f"u{wanted.itemsize}").copy_to_host().tobytes() == wanted.tobytes()
    with pytest.raises(ArgumentError, match="elements of 4 bytes cannot be seen as int64"):
        there[0].view(np.int64)
    with pytest.raises(ArgumentError, match="same has no result 4"):
        result.results_device(4)
    assert len(fake.device) == allocated

    # Another dispatch, of these very arrays, changes nothing of them; nor does the swarm's end.
    assert bits(swarm, "same", Columns(there[0], *here[1:3], there[3])) == [
        column.view(f"u{column.itemsize}").tolist() for column in here
    ]
    bits(swarm, "same", Columns(1, 2, 3.0, 4.0))
    del result
    swarm.close()
    for array, wanted in zip(there, here, strict=True):
        assert array.copy_to_host().tobytes() == wanted.tobytes()


def test_results_are_freed_with_what_shows_them(gpu: Gpu, fake: FakeDriver) -> None:
    target = CudaTarget(connect=lambda: gpu)
    swarm = SwarmManager.from_wasm(wasmtime.wat2wasm(PROGRAM), target=target, max_agents=9)
    swarm.spawn_agents(9)
    view = swarm.dispatch(None, "twice", np.arange(9)).results_device()
    del swarm
    gc.collect()
    assert len(fake.device) == 1
    assert view.copy_to_host().tolist() == list(range(0, 18, 2))
    del view
    gc.collect()
    assert not fake.device


def test_results_of_agents_that_did_not_return(swarm: SwarmManager) -> None:
    swarm.spawn_agents(COUNT)
    swarm.dispatch(None, "twice", np.arange(COUNT))
    result = swarm.dispatch(None, "divide", Columns(np.arange(COUNT), np.arange(COUNT) % 3))
    found = result.results_device().copy_to_host()
    assert found.tolist() == result.results_array().tolist() and not found[::3].any()
    none = swarm.dispatch([], "twice").results_device()
    assert none.__cuda_array_interface__["data"] == (0, False) and none.shape == (0,)


def test_results_that_are_not_there(swarm: SwarmManager, gpu: Gpu) -> None:
    wasm = wasmtime.wat2wasm(PROGRAM)
    for target in ("cpu", "ptx"):
        with SwarmManager.from_wasm(wasm, target=target) as other:
            other.spawn_agent("twice", args=[2])
            with pytest.raises(ArgumentError, match=f"not on a GPU: .* target {target}"):
                other.dispatch().results_device()
    result = swarm.run_agents(COUNT + 1, "twice", np.arange(COUNT + 1), waves=True)
    with pytest.raises(ArgumentError, match="several waves"):
        result.results_device()
    assert swarm.run_agents(3, "twice", [4]).results_device().copy_to_host().tolist() == [8] * 3
    swarm.spawn_agents(2)
    with pytest.raises(ArgumentError, match="result 0 is a reference"):
        swarm.dispatch(None, "handle", [5]).results_device()
    vectors = swarm.dispatch(None, "vector", [7]).results_device()
    assert vectors.copy_to_host().tolist() == [[7, 0, 0, 0] * 4] * 2


def test_the_check_of_a_gpu(gpu: Gpu) -> None:
    def make(layout: MemoryLayout) -> CudaTarget:
        return CudaTarget(layout, connect=lambda: gpu)

    assert check_arrays(make, 40) == {"agents": 40, "arrays": 8}
