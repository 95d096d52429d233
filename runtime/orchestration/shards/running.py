"""Running a run that is split: bounded batches of tasks out, columns of results in."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ....errors import ArgumentError
from ....targets.executable import Executable
from ...results import SwarmResult
from ..codec import dumps
from ..errors import OrchestrationError
from ..executors.shard import NAME
from ..tasks import Task, TaskState, new_id
from ..verify.shard import Shard
from .modules import ModuleMissingError
from .payload import to_payload
from .places import Finished, Place
from .splitting import SHARD_SIZE, Plan, merge, split

if TYPE_CHECKING:
    from ..verify import ShardCertificate

_LOG = logging.getLogger(__name__)
_LOOK = 1.0  # seconds that one question for finished tasks takes at most

#: Called with how many shards are done, and how many there are.
Progress = Callable[[int, int], None]


class ShardFailedError(OrchestrationError):
    """A shard could not be run, so that there is no result of the run."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is run; what comes of it does not depend on this.

    Args:
        shard_size: agents of a shard.
        memories: offset and length of the part of each agent's memory that is wanted.
        at_once: shards that are submitted and not done, at most.
        timeout: seconds that one attempt at a shard may take.
        retries: attempts beyond the first, of which each may be on another worker.
        requires: capabilities that workers must have.
        priority: of the tasks.
        key: the same in two runs that are one: what of it is done already is not done again.
        progress: called as shards are done.
        notice: called with what people should know while they wait; by default it is logged as a
            warning, which is on standard error unless the program has it elsewhere.
    """

    shard_size: int = SHARD_SIZE
    memories: tuple[int, int] | None = None
    at_once: int = 64
    timeout: float = 3600.0
    retries: int = 3
    requires: Iterable[str] = ()
    priority: int = 0
    key: str | None = None
    progress: Progress = lambda done, all: None
    notice: Callable[[str], None] = _LOG.warning

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise ArgumentError(f"at_once is 1 or more, not {self.at_once}")


class ClusterResult(SwarmResult):
    """The result of a run, as one dispatch would give it.

    Attributes:
        memories: uint8[agents, length], if they were asked for.
        targets: what the agents ran on.
        shards: the shards that were run.
        certificates: one a shard, if the run was certified.
    """

    memories: NDArray[np.uint8] | None
    targets: tuple[str, ...]
    shards: tuple[Shard, ...]
    certificates: tuple[ShardCertificate, ...]

    @property
    def program(self) -> Executable:
        """What the agents ran, without machine code: functions and their types."""
        return self._executable

    @classmethod
    def of(
        cls, result: SwarmResult, shards: Sequence[Shard], outcomes: Sequence[ShardOutcome],
        certificates: Sequence[ShardCertificate] = (),
    ) -> Self:  # fmt: skip
        """A merged result, and what there is besides."""
        found = cls.__new__(cls)
        found.__dict__.update(result.__dict__)
        memories = [one.memories for one in outcomes if one.memories is not None]
        found.memories = np.concatenate(memories) if memories else None
        found.targets = tuple(sorted({one.target for one in outcomes}))
        found.shards, found.certificates = tuple(shards), tuple(certificates)
        return found


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What one shard gave."""

    result: SwarmResult
    target: str
    memories: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, plan: Plan, place: int, data: Any) -> Self:
        """Read what the executor gave.

        Raises:
            ArgumentError: it is not that.
        """
        if not isinstance(data, Mapping):
            raise ArgumentError(f"a shard gave a {type(data).__name__}")
        memories = data.get("memories")
        if memories is not None:
            agents = plan.shards[place].agents
            if not isinstance(memories, np.ndarray) or memories.shape[:1] != (agents,):
                raise ArgumentError(f"a shard gave no memories of {agents} agents")
        return cls(plan.result(place, data), str(data.get("target")), memories)


def run_shards(
    place: Place, run: Shard | Plan, options: RunOptions | None = None
) -> ClusterResult:
    """Run all agents of a run somewhere else, and give what one dispatch of them would give.

    If this is interrupted, what has not run is cancelled.

    Raises:
        ShardFailedError: a shard failed; the others are cancelled.
        UnsplittableError, ArgumentError, SwarmcError: as :func:`~.splitting.split`.
    """
    options = options or RunOptions()
    started = time.perf_counter()
    plan = run if isinstance(run, Plan) else split(run, options.shard_size)
    place.put_module(plan.run.module)
    outcomes = _Running(place, plan, options).outcomes()
    took = (time.perf_counter() - started) * 1000
    result = merge([outcome.result for outcome in outcomes], took)
    return ClusterResult.of(result, plan.shards, outcomes)


@dataclass(slots=True)
class _Running:
    """One run on its way."""

    place: Place
    plan: Plan
    options: RunOptions
    waiting: dict[str, int] = field(default_factory=dict)  # shards, by the ids of their tasks
    found: dict[int, ShardOutcome] = field(default_factory=dict)
    earlier: set[str] = field(default_factory=set)  # ids of tasks of an earlier run with this key

    def outcomes(self) -> list[ShardOutcome]:
        """Of all shards, in their order."""
        try:
            self._run()
        except BaseException:
            self.place.cancel(list(self.waiting), "the run was given up")
            raise
        return [self.found[number] for number in range(len(self.plan.shards))]

    def _run(self) -> None:
        key = self.options.key or new_id("run")
        count = len(self.plan.shards)
        following = 0
        while len(self.found) < count:
            room = min(count - following, self.options.at_once - len(self.waiting))
            if room > 0 and (room >= self.options.at_once // 4 or following + room == count):
                numbers = range(following, following + room)
                tasks = [shard_task(self.plan, number, self.options, key) for number in numbers]
                self._submit(tasks, numbers)
                following += room
            done = self.place.finished(list(self.waiting), _LOOK)
            for task_id, finished in done.items():
                number = self.waiting.pop(task_id)
                if task_id in self.earlier and finished.state is not TaskState.COMPLETED:
                    anew = shard_task(self.plan, number, self.options, key_after(key, task_id))
                    self._submit([anew], [number])
                    continue
                self.found[number] = read_outcome(self.plan, number, finished)
            if done:
                self.options.progress(len(self.found), count)

    def _submit(self, tasks: Sequence[Task], numbers: Sequence[int]) -> None:
        proposed = {task.id: number for task, number in zip(tasks, numbers, strict=True)}
        self.waiting |= proposed  # to be cancelled, should this be interrupted
        ids = submit(self.place, self.plan, tasks)
        for task_id in proposed:
            del self.waiting[task_id]
        self.waiting |= zip(ids, numbers, strict=True)
        self.earlier |= set(ids) - proposed.keys()


def submit(place: Place, plan: Plan, tasks: Sequence[Task]) -> list[str]:
    """Have tasks of a run run; the run's module is put again, if it was forgotten meanwhile.

    Those that were accepted already are known by their keys.
    """
    try:
        return place.submit(tasks)
    except ModuleMissingError:
        place.put_module(plan.run.module)
        return place.submit(tasks)


def key_after(key: str, task_id: str) -> str:
    """What a run is called in place of an earlier task with its key that failed or was cancelled.

    That one would be its answer for ever.
    """
    return f"{key}/after {task_id}"


def shard_task(
    plan: Plan, number: int, options: RunOptions, key: str, *, attest: bool = False,
    requires: Iterable[str] = (),
) -> Task:  # fmt: skip
    """The task that runs a shard."""
    shard = plan.shards[number]
    payload = to_payload(shard, memories=options.memories, attest=attest)
    digest = hashlib.sha256(dumps(payload).encode()).hexdigest()[:32]
    pinned = frozenset(requires)
    return Task(
        f"shard {number + 1} of {len(plan.shards)}", payload, NAME,
        requires=frozenset(options.requires) | pinned, priority=options.priority,
        timeout=options.timeout, retries=options.retries,
        idempotency_key="/".join([key, digest, *sorted(pinned)]),
    )  # fmt: skip


def read_outcome(plan: Plan, number: int, finished: Finished) -> ShardOutcome:
    """What a shard gave. Raises :class:`ShardFailedError`."""
    shard = plan.shards[number]
    where = f" on {finished.agent}" if finished.agent else ""
    who = f"agents {shard.first:,} to {shard.first + shard.agents - 1:,}"
    if finished.state is not TaskState.COMPLETED:
        raise ShardFailedError(f"{who}{where}: {finished.error or finished.state.value}")
    try:
        return ShardOutcome.of(plan, number, finished.result)
    except ArgumentError as error:
        raise ShardFailedError(f"{who}{where}: {error}") from error
