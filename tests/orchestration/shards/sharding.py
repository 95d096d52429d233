"""What tests of shards share: programs, workers of this process, and what must be equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from swarmc import SwarmManager
from swarmc.runtime.orchestration import AgentRegistry, Scheduler, Worker
from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.coordinator import Ed25519Signer
from swarmc.runtime.orchestration.executors.shard import ShardExecutor
from swarmc.runtime.orchestration.shards import ModuleTable, SchedulerPlace, Shard, WorkerInfo
from swarmc.runtime.orchestration.tasks import Task, TaskContext
from swarmc.runtime.results import SwarmResult

CORPUS = Path(__file__).parents[3] / "corpus"


def program(name: str) -> bytes:
    return (CORPUS / f"{name}.wasm").read_bytes()


class Travelling(ShardExecutor):
    """Payloads and results go through text, as they do between processes."""

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        sent = replace(task, payload=loads(dumps(task.payload)))
        found: dict[str, Any] = loads(dumps(super().run(sent, context)))
        return found


class Cheat(Travelling):
    """Flips one bit of the memory of agent 37 of the run, if it has it."""

    def _ran(self, swarm: SwarmManager, result: SwarmResult) -> None:
        if 37 in result.ids:
            (byte,) = swarm.get_agent_memory(37, 65535, 1)
            swarm.set_agent_memory(37, bytes([byte ^ 4]), 65535)


@contextmanager
def workers(
    *kinds: type[ShardExecutor], modules: ModuleTable | None = None, names: str = "w"
) -> Iterator[SchedulerPlace]:
    """A scheduler with a worker of each kind, pinned and signing, of domains of their own."""
    modules = modules or ModuleTable()
    registry = AgentRegistry()
    infos = []
    for number, kind in enumerate(kinds):
        name = f"{names}{number}"
        signer = Ed25519Signer(bytes([number + 1]) * 32)
        executor = kind(modules, replica=name, signer=signer, target="cpu")
        registry.register(Worker(
            name, [executor], id=name, capabilities=[f"worker:{name}"], max_concurrent_tasks=1
        ))  # fmt: skip
        infos.append(WorkerInfo(name, f"host{number}", signer.public_key))
    with Scheduler(registry) as scheduler:
        yield SchedulerPlace(scheduler, modules, workers=infos)


def at_once(run: Shard) -> SwarmResult:
    """What one dispatch of one swarm gives."""
    with SwarmManager.from_wasm(
        run.module, target="cpu", max_agents=max(1, run.agents), max_memory=run.max_memory,
        output_size=run.output_size,
    ) as swarm:  # fmt: skip
        memory = run.memory
        return swarm.run_agents(
            run.agents, run.entry_point, run.args,
            memory if memory is None or isinstance(memory, bytes) else list(memory),
            fuel=run.fuel, seed=run.seed, clock=run.clock,
            stdin=run.stdin if isinstance(run.stdin, bytes) else list(run.stdin),
            argv=list(run.argv), env=run.env or {},
        )  # fmt: skip


def assert_same(found: SwarmResult, wanted: SwarmResult, results: Sequence[int] = (0,)) -> None:
    """All that can be seen of two results is the same, bit for bit, but for the time."""
    for name in ("ids", "status", "counts_array", "truncated_array"):
        left, right = getattr(found, name), getattr(wanted, name)
        assert left.dtype == right.dtype and np.array_equal(left, right), name
    for index in results:
        left, right = found.results_array(index), wanted.results_array(index)
        assert left.dtype == right.dtype and left.tobytes() == right.tobytes()
    for name in (
        "agent_outputs", "agent_errors", "instruction_counts", "truncated", "traps", "exit_codes",
        "endings",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(wanted, name), name
    left, right = found.to_dict(), wanted.to_dict()
    del left["total_time_ms"], right["total_time_ms"]
    assert left == right
