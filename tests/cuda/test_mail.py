"""Messages between agents on a GPU, on a driver made for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.tools.mail_check import check_mail
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda.gpu import Gpu

pytestmark = pytest.mark.usefixtures("only_ptx")

FOLDER = Path(__file__).resolve().parents[2] / "corpus" / "swarm"


def test_agents_get_what_they_get_on_the_cpu(gpu: Gpu) -> None:
    def make(layout: MemoryLayout) -> CudaTarget:
        return CudaTarget(layout, connect=lambda: gpu)

    found = check_mail(make, 40, FOLDER)
    assert found["agents"] == 40 and found["sent"] > 500 and found["refused"] > 10
