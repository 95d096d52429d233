"""A driver made for tests, and a GPU on it."""

from __future__ import annotations

import pytest

from swarmc.targets.cuda import toolchain
from swarmc.targets.cuda.driver import Driver
from swarmc.targets.cuda.gpu import Gpu

from .fake_driver import FakeDriver


@pytest.fixture
def only_ptx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver of the tests runs PTX; what it is given of machine code, others test."""
    monkeypatch.setattr(toolchain, "can_link", lambda: False)


@pytest.fixture
def fake() -> FakeDriver:
    bindings = pytest.importorskip(
        "cuda.bindings.driver", reason="cuda-bindings is not installed"
    )
    driver = FakeDriver(bindings)
    driver.cuInit(0)
    return driver


@pytest.fixture
def gpu(fake: FakeDriver) -> Gpu:
    return Gpu(driver=Driver(fake))
