"""How workers of tasks bear loss and load: ``python -m swarmc.runtime.tools.bench_cluster``.

A dispatcher and two workers run as processes of their own, on loopback, with the heartbeats of the
default. Workers are killed and frozen; it is measured when the dispatcher tells of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from ..orchestration.codec import dumps
from ..orchestration.router.client import RouterClient
from ..orchestration.router.protocol_tasks import TaskSpec, TaskStatus, TaskSubmit
from .faults import Process

_LONG = 120.0
_BATCH = 1000  # tasks in one request
_CONFIG = "[worker]\nmax_concurrent_tasks = 8\n"


class Cluster:
    """A dispatcher that runs no tasks itself, and workers that do."""

    def __init__(self, folder: Path, workers: int) -> None:
        (folder / "swarm-config.toml").write_text(_CONFIG)
        self._ending = ExitStack()
        dispatcher = self._process(
            "dispatcher", folder, "start-dispatcher", "--no-worker", "--port", "0"
        )
        self.url = str(dispatcher.start()["router"])
        self.workers = [
            self._process(f"w{number}", folder, "start-worker", "swarm-config.toml", f"w{number}",
                          "--router", self.url)
            for number in range(workers)
        ]  # fmt: skip
        for worker in self.workers:
            worker.start()
        self.client = self._ending.enter_context(RouterClient(self.url, timeout=_LONG))
        self.client.subscribe()

    def _process(self, name: str, folder: Path, command: str, *options: str) -> Process:
        line = (sys.executable, "-m", "swarmc", command, "--json", *options)
        return self._ending.enter_context(Process(name, line, folder, announces=True))

    def close(self) -> None:
        """End all processes."""
        self._ending.close()

    def until(self, name: str, state: str) -> float:
        """Wait until a worker is said to be in a state; when that was."""
        for event in self.client.events(_LONG):
            worker: Any = event.data.get("worker", {})
            if event.type == "worker_changed" and worker["name"] == name:
                if worker["state"] == state:
                    return time.perf_counter()
        raise TimeoutError(f"{name} did not become {state}")


def measure_loss(
    cluster: Cluster, repeats: int, harm: Callable[[Process], None], help: Callable[[Process], None]
) -> list[float]:
    """Milliseconds from when a worker is harmed until the dispatcher says that it is lost."""
    found = []
    for number in range(repeats):
        worker = cluster.workers[number % len(cluster.workers)]
        begun = time.perf_counter()
        harm(worker)
        found.append((cluster.until(worker.name, "lost") - begun) * 1e3)
        help(worker)
        cluster.until(worker.name, "ready")
    return found


def kill(cluster: Cluster, repeats: int) -> list[float]:
    """With SIGKILL."""

    def harm(worker: Process) -> None:
        worker.signal(signal.SIGKILL)

    def help(worker: Process) -> None:
        worker.kill()  # waits for it
        worker.start()

    return measure_loss(cluster, repeats, harm, help)


def freeze(cluster: Cluster, repeats: int) -> list[float]:
    """With SIGSTOP."""

    def harm(worker: Process) -> None:
        worker.signal(signal.SIGSTOP)

    def help(worker: Process) -> None:
        worker.signal(signal.SIGCONT)

    return measure_loss(cluster, repeats, harm, help)


def spec() -> TaskSpec:
    """A task that does nothing."""
    payload = msgspec.Raw(dumps({"parameters": {"operation": "noop"}}).encode())
    return TaskSpec(name="noop", executor="internal", payload=payload)


def measure_tasks(cluster: Cluster, tasks: int, singles: int) -> dict[str, float]:
    """Tasks a second, all at once; milliseconds of one that is alone."""
    client = cluster.client
    times = []
    for _ in range(singles):
        begun = time.perf_counter()
        ids = client.call("task_submit", TaskSubmit(tasks=[spec()])).task_ids
        client.call("task_status", TaskStatus(task_ids=ids, wait_ms=round(_LONG * 1e3)))
        times.append((time.perf_counter() - begun) * 1e3)
    begun = time.perf_counter()
    ids = []
    for start in range(0, tasks, _BATCH):
        batch = TaskSubmit(tasks=[spec() for _ in range(min(_BATCH, tasks - start))])
        ids += client.call("task_submit", batch).task_ids
    for start in range(0, tasks, _BATCH):
        wanted = TaskStatus(task_ids=ids[start : start + _BATCH], wait_ms=round(_LONG * 1e3))
        found = client.call("task_status", wanted).tasks
        assert all(task.state == "completed" for task in found)
    took = time.perf_counter() - begun
    return {"tasks_per_second": tasks / took, "one_task_p50_ms": statistics.median(times)}


def measure(workers: int, repeats: int, tasks: int) -> dict[str, float]:
    """All of it."""
    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as folder:
        cluster = Cluster(Path(folder), workers)
        try:
            found = measure_tasks(cluster, tasks, 50)
            for name, losses in (("kill", kill), ("freeze", freeze)):
                times = losses(cluster, repeats)
                found[f"{name}_p50_ms"] = statistics.median(times)
                found[f"{name}_max_ms"] = max(times)
            return found
        finally:
            cluster.close()


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="losses of each kind")
    parser.add_argument("--tasks", type=int, default=2000)
    options = parser.parse_args()
    found = measure(options.workers, options.repeats, options.tasks)
    print(json.dumps({name: round(value, 1) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
