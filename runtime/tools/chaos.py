"""Router and workers are killed, frozen and cut off at random; all tasks finish once all the same.

``python -m swarmc.runtime.tools.chaos --minutes 30 --seed 1``. Clients have tasks, workflows and
shards of agents run all the time. At the end, the store's history and what the clients were told
are compared with each other, and with the results of an undisturbed run, known beforehand.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..orchestration.store import Store
from . import chaos_history
from .chaos_load import PATIENCE, Load, Record, TaskLoad, WorkflowLoad
from .chaos_shards import ShardLoad
from .chaos_world import World
from .faults import Storm, plan

_PAUSE = 0.2  # seconds between looks at workers


@dataclass(slots=True)
class Report:
    """What happened, and what was wrong."""

    seed: int
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)  #: by target and kind
    tasks: int = 0
    workflows: int = 0
    shards: int = 0
    attempts: int = 0
    failovers: int = 0
    router_lives: int = 0
    worker_lives: int = 0
    workers_ended: int = 0
    reconnects: int = 0
    answers_lost: int = 0
    slowest_s: float = 0.0
    settled_s: float = 0.0
    findings: list[str] = field(default_factory=list)


def run(
    folder: Path, seconds: float, seed: int, *, workers: int = 3, every: float = 3.0,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:  # fmt: skip
    """Have it happen in a folder.

    Args:
        every: seconds from one fault to the next, on average.
    """
    report, record = Report(seed), Record()
    port = random.SystemRandom().randrange(15_000, 32_000)
    with World(folder, workers, port) as world:
        world.start()
        loads: list[Load] = [
            TaskLoad("tasks", world.client, record, seed),
            WorkflowLoad("workflows", world.client, record, seed),
            ShardLoad(world.url, world.token, world.client, record, seed),
        ]
        begun = time.monotonic()
        for load in loads:
            load.start()
        _storm(world, report, seconds, every, record, tell)
        report.seconds = time.monotonic() - begun
        tell("the storm has passed")
        _settle(world, loads, report)
        report.findings += world.stop()
        report.findings += world.failures()
        report.router_lives = world.router.starts
        report.worker_lives = sum(worker.starts for worker in world.workers.values())
        report.workers_ended = len(world.ended)
    _compare(folder, record, report)
    return report


def _storm(
    world: World, report: Report, seconds: float, every: float, record: Record,
    tell: Callable[[str], None],
) -> None:  # fmt: skip
    faults = plan(report.seed, seconds, world.kinds(), every=every)
    storm = Storm(faults, world.targets, tell)
    storm.start()
    looked = time.monotonic()
    while storm.alive:
        time.sleep(_PAUSE)
        world.tend()
        if time.monotonic() - looked > 30:
            looked = time.monotonic()
            tell(f"{len(record.seen)} tasks, {len(record.workflows_seen)} workflows have ended,"
                 f" {len(record.findings)} findings")  # fmt: skip
    storm.join()
    report.faults = dict(sorted(Counter(
        f"{fault.kind.value} {fault.target}" for fault in storm.happened
    ).items()))  # fmt: skip


def _settle(world: World, loads: list[Load], report: Report) -> None:
    """No more faults: all that was accepted comes to its end."""
    begun = time.monotonic()
    for load in loads:
        load.stopping.set()
    while any(load.alive for load in loads) and time.monotonic() - begun < 2 * PATIENCE:
        time.sleep(_PAUSE)
        world.tend()
    for load in loads:
        load.join()
    report.settled_s = time.monotonic() - begun


def _compare(folder: Path, record: Record, report: Report) -> None:
    with Store(folder / "swarm-state.db") as store:
        history = chaos_history.read(store.events())
    report.findings += record.findings
    report.findings += chaos_history.check(
        history, record.tasks, record.workflows, ("shard ",)
    )
    report.tasks, report.workflows = len(record.seen), len(record.workflows_seen)
    report.shards = record.shards
    report.attempts = history.attempts.total()
    report.failovers = history.failovers
    report.reconnects, report.answers_lost = record.reconnects, record.retried
    report.slowest_s = record.slowest


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between faults (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--folder", type=Path, help="keep everything in this folder")
    options = parser.parse_args()

    def tell(line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="swarmc-chaos-") as folder:
        where = options.folder or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        report = run(
            where, options.minutes * 60, options.seed, workers=options.workers,
            every=options.every, tell=tell,
        )  # fmt: skip
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show(report)
    return 1 if report.findings else 0


def show(report: Report) -> None:
    """Print it for people."""
    for line in (
        f"{report.seconds:.0f} s of faults, seed {report.seed}: "
        + ", ".join(f"{name} {count}" for name, count in report.faults.items()),
        f"{report.tasks:,} tasks, {report.workflows:,} workflows and {report.shards:,} shards "
        "were accepted, finished once, with the results of an undisturbed run",
        f"{report.attempts:,} attempts, {report.failovers:,} of them lost with their worker; "
        f"{report.router_lives} lives of the router, {report.worker_lives} of workers",
        f"{report.answers_lost:,} answers were lost and asked for again; the slowest task took "
        f"{report.slowest_s:.1f} s; everything had ended {report.settled_s:.1f} s after the storm",
        *(f"FOUND: {finding}" for finding in report.findings[:50]),
        f"{len(report.findings)} findings",
    ):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
