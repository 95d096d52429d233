"""What is noted of host calls on a GPU, on a driver made for tests."""

from __future__ import annotations

import pytest

from swarmc.runtime.tools.trace_check import check_traces
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda.gpu import Gpu

pytestmark = pytest.mark.usefixtures("only_ptx")


def test_agents_do_the_same_with_a_trace(gpu: Gpu) -> None:
    def make(layout: MemoryLayout) -> CudaTarget:
        return CudaTarget(layout, connect=lambda: gpu)

    found = check_traces(make, 40, layouts=[MemoryLayout.INTERLEAVED_4])
    assert found["calls"] > found["noted"] > 300
