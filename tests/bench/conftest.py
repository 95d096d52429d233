"""Native builds of the benchmark's workloads, and instances of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swarmc.runtime.tools.bench_native import build_library
from swarmc.runtime.tools.bench_workloads import Workload

from .machines import WORKLOADS, Agent, Machine, Native


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Workload], Path]:
    """Compiles a workload to a native library, once."""
    folder = tmp_path_factory.mktemp("native")

    def library(workload: Workload) -> Path:
        path = folder / f"{workload.name}.so"
        if not path.exists():
            build_library(workload, path)
        return path

    return library


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compiled workloads are kept, as many tests use the same one."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=["native", "agent"])
def machine(
    request: pytest.FixtureRequest, native_library: Callable[[Workload], Path], cache: Path
) -> Callable[[str], Machine]:
    """Makes an instance of a workload by name."""

    def make(name: str) -> Machine:
        workload = WORKLOADS[name]
        if request.param == "native":
            return Native(native_library(workload))
        return Agent(workload.wasm, cache)

    return make
