"""``swarmc start-worker`` that flips one bit of the memory of agent 37 before it looks at it."""

from __future__ import annotations

from swarmc import SwarmManager
from swarmc.runtime.cli import main
from swarmc.runtime.orchestration.executors.shard import ShardExecutor
from swarmc.runtime.results import SwarmResult


def lie(self: ShardExecutor, swarm: SwarmManager, result: SwarmResult) -> None:
    if 37 in result.ids:
        (byte,) = swarm.get_agent_memory(37, 65535, 1)
        swarm.set_agent_memory(37, bytes([byte ^ 4]), 65535)


if __name__ == "__main__":
    ShardExecutor._ran = lie  # type: ignore[method-assign]
    main()
