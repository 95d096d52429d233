"""What fails half-way leaves nothing on the GPU; what is current in a thread stays so."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from swarmc.errors import CapacityError, SwarmcError, TargetError
from swarmc.targets.cuda.driver import Driver, DriverError
from swarmc.targets.cuda.gpu import Gpu

from .fake_driver import FakeDriver
from .test_gpu import swarm

pytestmark = pytest.mark.usefixtures("only_ptx")


def test_what_was_current_in_a_thread_stays_current(fake: FakeDriver) -> None:
    assert fake.current() == 0
    gpu = Gpu(driver=Driver(fake))
    address = gpu.allocate(64, "a test")
    gpu.write_pieces(address, np.array([0, 32]), np.ones((2, 8), np.uint8))
    with pytest.raises(CapacityError):
        gpu.allocate(1 << 40, "a test")
    assert fake.current() == 0
    manager = swarm(fake)
    manager.spawn_agent()
    manager.dispatch(None, "sum", args=[(1, 2)])
    assert fake.current() == 0
    fake.fail_launches = fake.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(DriverError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        manager.dispatch(None, "sum", args=[(1, 2)])
    with pytest.raises(TargetError, match=r"stopped working: .*ILLEGAL_ADDRESS"):
        manager.dispatch(None, "sum", args=[(1, 2)])


def held(fake: FakeDriver) -> tuple[int, ...]:
    """How much of everything there is."""
    return tuple(len(kind) for kind in (
        fake.device, fake.pinned, fake.streams, fake.events, fake.modules
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("function", "calls"),
    [("cuMemHostAlloc", 2), ("cuMemHostGetDevicePointer", 2), ("cuEventCreate", 2),
     ("cuStreamCreate", 1), ("cuMemGetInfo", 1)],
)  # fmt: skip
def test_a_gpu_that_fails_half_way_leaves_nothing(
    fake: FakeDriver, function: str, calls: int
) -> None:
    for call in range(1, calls + 1):
        fake.run_out(function, call)
        with pytest.raises(DriverError, match=f"{function}: CUDA_ERROR_OUT_OF_MEMORY"):
            Gpu(driver=Driver(fake))
        assert held(fake) == (0, 0, 0, 0, 0)
        assert fake.calls.count("cuDevicePrimaryCtxRelease") == call
        fake.cuInit(0)


@pytest.mark.parametrize(
    "function", ["cuMemHostAlloc", "cuMemHostGetDevicePointer", "cuStreamCreate"]
)
def test_a_stream_that_fails_half_way_leaves_nothing(gpu: Gpu, fake: FakeDriver, function: str
                                                     ) -> None:  # fmt: skip
    before = held(fake)
    fake.run_out(function, 1)
    with pytest.raises(DriverError, match="OUT_OF_MEMORY"):
        gpu.stream()
    assert held(fake) == before
    gpu.stream().close()


@pytest.mark.parametrize(
    "function", ["cuModuleGetFunction", "cuFuncGetAttribute", "cuMemAlloc", "cuMemcpyHtoDAsync"]
)
def test_a_program_that_fails_half_way_leaves_nothing(fake: FakeDriver, function: str) -> None:
    manager = swarm(fake)
    executable = manager.executable
    before = held(fake)
    fake.run_out(function, 1)
    with pytest.raises(SwarmcError):
        manager.target.load(executable, ())
    gc.collect()
    assert held(fake) == before
    manager.spawn_agent()
    assert manager.dispatch(None, "sum", args=[(1, 2)]).agent_results[0] == 3
