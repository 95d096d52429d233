"""Speed of swarmc on a GPU beside handwritten CUDA C, which must give the same results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import SwarmcError, TargetError
from ...targets.cuda.device import Device
from .bench_engines import Lap, SwarmcEngine
from .bench_workloads import Inputs, Seeds, Workload, load_workloads
from .handwritten import Handwritten, HandwrittenLap, compile_kernel, run_on_gpu, sources

_LAPS = 3


def beside_handwritten(
    corpus: Path, target: str, device: Device, counts: Sequence[int],
    names: Sequence[str] = (), size: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure the workloads that there is handwritten code of, both ways; the best of three laps.

    Args:
        target: of swarmc's agents. device: of the handwritten kernels.
        counts: of agents. names: of workloads; none: all. size: of an agent's work; None: the
            workload's.

    Raises:
        SwarmcError: results differ.
        TargetError: NVRTC is not installed.
    """
    written = sources(corpus)
    report: dict[str, Any] = {}
    for workload in load_workloads(corpus, [name for name in names or written if name in written]):
        if size is not None:
            workload = replace(workload, bench=replace(workload.bench, size=size))
        kernel = compile_kernel(written[workload.name], device.properties.arch)
        row: dict[str, Any] = {}
        for count in counts:
            for inputs in Inputs:
                seeds = inputs.seeds(count)
                row[f"{count} {inputs.value}"] = _case(workload, kernel, target, device, seeds)
        report[workload.name] = row
    return report


def _case(
    workload: Workload, kernel: Handwritten, target: str, device: Device, seeds: Seeds
) -> dict[str, Any]:
    try:
        laps = [run_on_gpu(device, kernel, seeds, workload.bench.size) for _ in range(_LAPS)]
        ours, fresh = _ours(workload, target, seeds)
    except TargetError as error:
        return {"refused": str(error)}
    theirs = min(laps, key=lambda lap: lap.ms)
    if not (ours.results.view("uint64") == theirs.results).all():
        raise SwarmcError(f"{workload.name}: handwritten code gives other results")
    return _ratios(ours, fresh, theirs, min(lap.end_to_end_ms for lap in laps))


def _ours(workload: Workload, target: str, seeds: Seeds) -> tuple[Lap, Lap]:
    """The best lap of the kernel alone, and one from the start."""
    session = SwarmcEngine(target).open(workload, len(seeds))
    try:
        session.settle(seeds)
        best = min((session.again() for _ in range(_LAPS)), key=lambda lap: lap.ms)
        return best, session.fresh(seeds)
    finally:
        session.close()


def _ratios(ours: Lap, fresh: Lap, theirs: HandwrittenLap, end_to_end: float) -> dict[str, Any]:
    return {
        "ms": ours.ms, "handwritten_ms": theirs.ms, "times_handwritten": ours.ms / theirs.ms,
        "end_to_end_ms": fresh.ms, "handwritten_end_to_end_ms": end_to_end,
        "times_handwritten_end_to_end": fresh.ms / end_to_end,
    }  # fmt: skip
