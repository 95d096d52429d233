"""How many tasks and shards a second one router bears.

``python -m swarmc.runtime.tools.bench_shards``. Router, workers and client are processes of this
machine, on loopback. Tasks do nothing; agents of shards return at once. What each process spends
on a task says which of them is the bound.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ..orchestration.cluster.client import Cluster
from ..orchestration.codec import dumps
from ..orchestration.router.client import RouterClient
from ..orchestration.router.protocol import Nothing
from ..orchestration.router.protocol_tasks import TaskSpec, TaskStatus, TaskSubmit
from .faults import Process

_BATCH = 250
_WAIT = 300.0  # seconds; only something broken takes so long
_MODULES = Path(__file__).parents[2] / "corpus"


@contextmanager
def cluster_of(workers: int, folder: Path) -> Iterator[tuple[str, dict[str, Process]]]:
    """A router without a worker of its own, and so many workers; its address, and all of them."""
    python = (sys.executable, "-m", "swarmc")
    router = Process(
        "router", [*python, "start-dispatcher", "--json", "--no-worker", "--port", "0"], folder,
        announces=True,
    )  # fmt: skip
    processes = {"router": router}
    try:
        url: str = router.start()["router"]
        for number in range(workers):
            name = f"worker-{number}"
            command = [*python, "start-worker", "--json", "--router", url]
            processes[name] = worker = Process(
                name, [*command, "swarm-config.toml", name], folder, announces=True
            )
            worker.start()
        yield url, processes
    finally:
        for process in reversed(processes.values()):
            process.close()


class Clock:
    """Seconds and processor time of processes, from its start to :meth:`read`."""

    def __init__(self, processes: Mapping[str, Process]) -> None:
        self._who = {name: psutil.Process(process.pid) for name, process in processes.items()}
        self._who["client"] = psutil.Process(os.getpid())
        self._used = self._processor()
        self._begun = time.perf_counter()

    def _processor(self) -> dict[str, float]:
        return {name: sum(who.cpu_times()[:2]) for name, who in self._who.items()}

    def read(self, things: int) -> dict[str, float]:
        """Things a second, and milliseconds of each process for one."""
        seconds = time.perf_counter() - self._begun
        used = {name: now - self._used[name] for name, now in self._processor().items()}
        workers = sum(value for name, value in used.items() if name.startswith("worker"))
        each = {"router": used["router"], "workers": workers, "client": used["client"]}
        return {"per_second": things / seconds} | {
            f"{name}_ms": value / things * 1e3 for name, value in each.items()
        }  # fmt: skip


def no_ops(url: str, processes: Mapping[str, Process], count: int) -> dict[str, float]:
    """Tasks that do nothing, submitted in batches; then all are waited for."""
    payload = msgspec.Raw(dumps({"parameters": {"operation": "noop"}}).encode())
    with RouterClient(url) as client:
        clock = Clock(processes)
        ids: list[str] = []
        for first in range(0, count, _BATCH):
            specs = [
                TaskSpec(name="no-op", executor="internal", payload=payload)
                for _ in range(min(_BATCH, count - first))
            ]
            ids += client.call("task_submit", TaskSubmit(tasks=specs)).task_ids
        for first in range(0, count, _BATCH):
            _wait(client, ids[first : first + _BATCH])
        return clock.read(count)


def _wait(client: RouterClient, ids: list[str]) -> None:
    end = time.monotonic() + _WAIT
    while True:
        infos = client.call("task_status", TaskStatus(task_ids=ids, wait_ms=5000)).tasks
        if all(info.state == "completed" for info in infos):
            return
        if time.monotonic() > end or any(info.state == "failed" for info in infos):
            raise AssertionError(f"tasks did not complete: {infos[:3]}")


def shards(
    url: str, processes: Mapping[str, Process], count: int, size: int
) -> dict[str, float]:
    """Shards of so many agents that return at once, in one run."""
    module = (_MODULES / "lib.wasm").read_bytes()
    with Cluster(url) as cluster:
        clock = Clock(processes)
        result = cluster.run(
            module, agents=count * size, shard_size=size, entry_point="fib", args=(1,),
            at_once=256,
        )  # fmt: skip
        found = clock.read(count)
    if len(result) != count * size:
        raise AssertionError(f"{len(result)} of {count * size} agents have results")
    return found


def measure(workers: int, repeats: int, scale: float) -> dict[str, dict[str, float]]:
    """All figures; of each the median."""
    runs: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as folder:
        (Path(folder) / "swarm-config.toml").write_text("[dispatcher]\n")
        with cluster_of(workers, Path(folder)) as (url, processes):
            cases: dict[str, Callable[[], dict[str, float]]] = {
                "tasks that do nothing": lambda: no_ops(url, processes, int(4000 * scale)),
                "shards of 4 agents": lambda: shards(url, processes, int(2000 * scale), 4),
                "shards of 1,024 agents": lambda: shards(url, processes, int(400 * scale), 1024),
            }
            for name, run in cases.items():
                run()  # everything is loaded and compiled
                runs[name] = [run() for _ in range(repeats)]
            with RouterClient(url) as client:
                listed: Any = client.call("worker_list", Nothing())
                assert len(listed.workers) == workers
    return {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="processes that run tasks (2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each figure (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each (1.0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.workers, options.repeats, options.scale)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(f"{name:24}" + "".join(f"  {key} {value:,.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
