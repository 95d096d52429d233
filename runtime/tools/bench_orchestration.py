"""How fast tasks, the store and the memory pool are.

``python -m swarmc.runtime.tools.bench_orchestration``. Everything happens in one process, tasks do
nothing; of several runs the medians are shown.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..orchestration.agents import AgentRegistry
from ..orchestration.memory import MemoryManager
from ..orchestration.scheduler import Scheduler, SchedulerConfig
from ..orchestration.store import Store
from ..orchestration.tasks import Task, TaskContext

_BATCH = 1000  # tasks submitted at once where the figure is throughput
_WAIT = 120.0  # seconds; only something broken takes so long


class Idle:
    """An agent whose tasks do nothing."""

    kind = "generic"
    capabilities = frozenset({"idle"})
    resources: Mapping[str, float] = {}

    def __init__(self, number: int, capacity: int = 1) -> None:
        self.id = self.name = f"idle-{number}"
        self.capacity = capacity

    def execute(self, task: Task, context: TaskContext) -> Any:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@contextmanager
def scheduler_of(agents: int, store: bool) -> Iterator[Scheduler]:
    """A scheduler with so many agents, with a store in a temporary folder or without."""
    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as folder:
        kept = Store(Path(folder) / "bench.db") if store else None
        registry = AgentRegistry(kept, max_agents=agents)
        for number in range(agents):
            registry.register(Idle(number))
        try:
            with Scheduler(registry, kept, SchedulerConfig(keep_finished=10_000)) as scheduler:
                yield scheduler
        finally:
            if kept is not None:
                kept.close()


def throughput(tasks: int, agents: int, store: bool) -> dict[str, float]:
    """Tasks a second, submitted in batches by one thread as fast as the queue takes them."""
    with scheduler_of(agents, store) as scheduler:
        begun, used = time.perf_counter(), time.process_time()
        for start in range(0, tasks, _BATCH):
            batch = [Task("idle") for _ in range(min(_BATCH, tasks - start))]
            scheduler.submit_many(batch, timeout=_WAIT)
        if not scheduler.wait_idle(_WAIT):
            raise TimeoutError("the scheduler did not come to an end")
        seconds = time.perf_counter() - begun
        completed = scheduler.stats().completed
    if completed != tasks:
        raise AssertionError(f"{completed} of {tasks} tasks completed")
    processor = (time.process_time() - used) / tasks
    return {"tasks_per_second": tasks / seconds, "processor_us_per_task": processor * 1e6}


def latency(tasks: int, agents: int, rate: float, store: bool) -> dict[str, float]:
    """Seconds from being ready to the start, of tasks submitted one by one at a steady rate."""
    waits: list[float] = []
    accepted: list[float] = []
    with scheduler_of(agents, store) as scheduler:
        for entry in scheduler.registry:
            agent = entry.agent
            assert isinstance(agent, Idle)
            agent.execute = lambda task, context: waits.append(  # type: ignore[method-assign]
                time.perf_counter() - submitted[task.name]
            )
        submitted: dict[str, float] = {}
        due = time.perf_counter()
        for number in range(tasks):
            due += 1 / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            task = Task(str(number))
            submitted[task.name] = begun = time.perf_counter()
            scheduler.submit(task, timeout=_WAIT)
            accepted.append(time.perf_counter() - begun)
        if not scheduler.wait_idle(_WAIT):
            raise TimeoutError("the scheduler did not come to an end")
    return {**_quantiles("submit_to_start", waits), **_quantiles("accepted", accepted)}


def _quantiles(name: str, values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100)
    return {f"{name}_p50_us": cuts[49] * 1e6, f"{name}_p99_us": cuts[98] * 1e6}


def memory(rounds: int) -> dict[str, float]:
    """Microseconds of the memory pool's operations, on regions of 64 KiB and writes of 4 KiB."""
    data = bytes(4096)
    with MemoryManager() as manager:
        steps: dict[str, Callable[[int], object]] = {
            "write": lambda region: manager.write(region, data),
            "read": lambda region: manager.read(region, 0, len(data)),
            "transfer": lambda region: manager.transfer(region, "b"),
            "free": manager.free,
        }
        spent = dict.fromkeys(("allocate", *steps), 0.0)
        for _ in range(rounds):
            begun = time.perf_counter()
            region = manager.allocate("a", 65536)
            spent["allocate"] += time.perf_counter() - begun
            for name, step in steps.items():
                begun = time.perf_counter()
                step(region)
                spent[name] += time.perf_counter() - begun
    return {f"{name}_us": seconds / rounds * 1e6 for name, seconds in spent.items()}


def measure(repeats: int, scale: float) -> dict[str, dict[str, float]]:
    """All figures; of each the median."""
    tasks = int(50_000 * scale)
    cases: dict[str, Callable[[], dict[str, float]]] = {
        "no-op tasks, 4 agents": lambda: throughput(tasks, 4, store=False),
        "no-op tasks, 256 agents": lambda: throughput(tasks, 256, store=False),
        "no-op tasks, 4 agents, durable": lambda: throughput(tasks // 2, 4, store=True),
        "5,000 tasks a second, 4 agents": lambda: latency(tasks // 5, 4, 5000, store=False),
        "200 tasks a second, 4 agents, durable": lambda: latency(tasks // 50, 4, 200, store=True),
        "memory pool": lambda: memory(int(20_000 * scale)),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, run in cases.items():
            gc.collect()
            runs[name].append(run())
    return {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each figure (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each (1.0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.repeats, options.scale)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key:28} {value:12,.1f}")
    print(f"threads left: {threading.active_count() - 1}")


if __name__ == "__main__":
    main()
