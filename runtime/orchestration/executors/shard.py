"""The executor ``shard``: some agents of a large run, with the same bits as in one dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....errors import SwarmcError
from ..errors import ClosedError, OrchestrationError, TaskError, TaskTimeoutError
from ..tasks import Task, TaskContext
from .calls import Call
from .swarm_pool import SwarmPool, interruptible

if TYPE_CHECKING:
    from ...manager import SwarmManager
    from ...results import SwarmResult
    from ..coordinator.signing import Signer
    from ..shards.modules import ModuleSource
    from ..shards.payload import Request
    from ..verify import Shard

NAME = "shard"
#: Agents of one shard at most, where nobody says otherwise.
MOST_AGENTS = 1024
#: Bytes of one shard's result at most: it travels in one message.
MOST_BYTES = 8 << 20


class ShardExecutor:
    """Runs what :func:`~..shards.payload.to_payload` made, and gives columns of results.

    Agents that trap or exit with a code are results, no failures of the task. Swarms are kept for
    the next shard of the same program.

    Args:
        modules: gives modules by their digests.
        replica: in whose name results are signed: the worker's id. May be set later.
        signer: the worker's key; None: it signs nothing.
        most_agents: of a shard.
        kept: most swarms that are kept while nobody uses them.
        options: of every :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    name = NAME

    def __init__(
        self,
        modules: ModuleSource,
        *,
        replica: str = "",
        signer: Signer | None = None,
        most_agents: int = MOST_AGENTS,
        kept: int = 4,
        **options: Any,
    ) -> None:
        self.replica = replica
        self.signer = signer
        self._modules = modules
        self._most_agents = most_agents
        self._pool, self._options = SwarmPool(kept), options

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Run the agents of a shard, and give what became of them.

        Raises:
            TaskError: the module or the payload is wrong. Agents are deterministic, so no attempt
                is made again; one is, if the module could not be had.
            TaskTimeoutError, TaskCancelledError: the agents were interrupted.
        """
        from ..shards.payload import from_payload

        try:
            request = from_payload(Call.of(task, context).parameters)
            self._check(request)
        except SwarmcError as error:
            raise TaskError(f"{task.name}: {error}", retry=False) from error
        context.check()
        shard = replace(request.shard, module=self._module(request.module, task.name))
        try:
            with self._pool.swarm(_key(request), lambda: self._make(shard)) as swarm:
                return self._run(swarm, shard, request, task.name, context)
        except SwarmcError as error:
            if isinstance(error, (TaskError, ClosedError)):
                raise
            raise TaskError(f"{task.name}: {error}", retry=False) from error

    def close(self) -> None:
        """Free the swarms that nobody uses; the others when they are done."""
        self._pool.close()

    def _check(self, request: Request) -> None:
        """Refuse what is too much, or cannot be had. Raises TaskError."""
        agents = request.shard.agents
        if not 0 <= agents <= self._most_agents:
            raise TaskError(
                f"a shard of {agents:,} agents: it may have {self._most_agents:,}", retry=False
            )
        if request.memories is not None and request.memories[1] * agents > MOST_BYTES:
            raise TaskError(
                f"{request.memories[1]:,} bytes of {agents:,} memories each are more than the"
                f" {MOST_BYTES:,} that a result may have", retry=False, hint="use smaller shards",
            )  # fmt: skip
        if request.attest and self.signer is None:
            raise TaskError("this worker has no key to sign with", retry=False)

    def _module(self, digest: str, name: str) -> bytes:
        try:
            return self._modules(digest)
        except OrchestrationError as error:
            raise TaskError(f"{name}: {error}") from error  # it may be had later, or elsewhere

    def _make(self, shard: Shard) -> SwarmManager:
        from ...manager import SwarmManager

        options = {**shard.options(), "max_agents": _slots(shard.agents)}
        return SwarmManager.from_wasm(shard.module, **options, **self._options)

    def _run(
        self, swarm: SwarmManager, shard: Shard, request: Request, name: str, context: TaskContext
    ) -> dict[str, Any]:
        try:
            result = interruptible(swarm, context, lambda: shard.run(swarm))
            if result.interrupted:
                context.check()
                raise TaskTimeoutError(f"the agents of {name} were interrupted")
            self._ran(swarm, result)
            return self._outcome(swarm, shard, request, result)
        finally:
            swarm.kill_agents()

    def _ran(self, swarm: SwarmManager, result: SwarmResult) -> None:
        """The shard has run, and is not looked at yet: a place for those who look, or lie."""

    def _outcome(
        self, swarm: SwarmManager, shard: Shard, request: Request, result: SwarmResult
    ) -> dict[str, Any]:
        from ...result_columns import to_columns

        data = {**to_columns(result), "target": swarm.target.name}
        if request.memories is not None:
            offset, length = request.memories
            data["memories"] = swarm.get_agent_memories(result.ids, offset, length)
        if request.attest:
            data["attestation"] = self._attest(swarm, shard, result)
        size = sum(value.nbytes for value in data.values() if hasattr(value, "nbytes"))
        if size > MOST_BYTES:
            raise TaskError(
                f"the result has {size:,} bytes, it may have {MOST_BYTES:,}", retry=False,
                hint="use smaller shards",
            )  # fmt: skip
        return data

    def _attest(
        self, swarm: SwarmManager, shard: Shard, result: SwarmResult
    ) -> Mapping[str, Any]:
        from ..shards.attestations import to_data
        from ..verify.replica import attest

        assert self.signer is not None
        return to_data(attest(shard, swarm, result, self.replica, self.signer))


def _slots(agents: int) -> int:
    """How many agents a swarm for a shard has room for: a power of two, so that it serves many."""
    return 1 << max(0, agents - 1).bit_length()


def _key(request: Request) -> tuple[Any, ...]:
    """Shards with one key can use one swarm."""
    options = {**request.shard.options(), "max_agents": _slots(request.shard.agents)}
    return request.module, *sorted((name, str(value)) for name, value in options.items())
