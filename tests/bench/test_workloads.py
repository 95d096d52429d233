"""The workloads as a set: what the manifest says of them, and that native code agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swarmc.runtime.tools.bench_workloads import Workload, load_workloads

from .machines import DIRECTORY, WORKLOADS, Native


@pytest.mark.parametrize("name", WORKLOADS)
def test_native_gives_what_the_manifest_promises(
    name: str, native_library: Callable[[Workload], Path]
) -> None:
    workload = WORKLOADS[name]
    native = Native(native_library(workload))
    calls = [call for call in workload.program.calls if call.export == "run"]
    assert len({call.results for call in calls}) == len(calls) >= 2
    for _ in range(2):  # nothing that a run leaves behind changes the next
        for call in calls:
            assert (native.call("run", *call.args),) == call.results


def test_there_are_workloads_enough() -> None:
    assert len(load_workloads(DIRECTORY, quick=True)) == 4
    assert sum(workload.bench.group == "throughput" for workload in WORKLOADS.values()) >= 12
