"""What the desk of workers knows of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ..agents.registry import AgentRegistry
from ..cluster.agent import RemoteAgent, pin_of
from ..cluster.exclusions import Excluded
from ..cluster.proof import proves, statement
from ..verify.evidence import check_evidence
from .protocol_workers import Worker, WorkerJoin, WorkerState
from .swarms import RouterConfig
from .wire import Connection

#: Bytes that a worker says of itself, its certificate request aside.
MAX_SAID = 8192


@dataclass(eq=False, slots=True)
class WorkerEntry:
    """A worker.

    Args:
        agent: what stands for it in the registry; another one each time it joins.
        connection: None: it is not there.
        heard: when it last beat; or when it was lost, on the clock.
        completed: attempts that it has ended, as far as is known.
    """

    join: WorkerJoin
    agent: RemoteAgent
    connection: Connection | None
    heard: float
    state: WorkerState = "joining"
    completed: int = 0
    reason: str | None = None

    @property
    def worker_id(self) -> str:
        """The same each time it joins."""
        return self.agent.id

    @property
    def domain(self) -> str:
        """What fails together with it."""
        return self.join.domain or self.join.host

    def has_key(self, public_key: str | None) -> bool:
        """Whether it signs with this key."""
        return public_key is not None and self.join.public_key == public_key

    def beats_elsewhere(self, join: WorkerJoin, now: float, config: RouterConfig) -> bool:
        """Whether it is another process than the one that joins, and there.

        Two that take each other's place, again and again, would never end a task.
        """
        other = (join.host, join.pid) != (self.join.host, self.join.pid)
        return other and now - self.heard <= config.heartbeat_timeout / 2

    def describe(self, registry: AgentRegistry, now: float) -> Worker:
        """As clients see it."""
        running = self._count(registry)
        state = "busy" if self.state == "ready" and running else self.state
        join = self.join
        return Worker(
            worker_id=self.worker_id, name=join.name, state=state, host=join.host, pid=join.pid,
            domain=self.domain, targets=join.targets, executors=join.executors,
            capabilities=join.capabilities, resources=join.resources, capacity=join.capacity,
            running=running, completed=self.completed, public_key=join.public_key,
            heard_ms=None if self.connection is None else max(0, round((now - self.heard) * 1000)),
            reason=self.reason,
        )  # fmt: skip

    def _count(self, registry: AgentRegistry) -> int:
        """How many attempts it runs; notes how many it has ended."""
        with registry.lock:
            if self.worker_id not in registry:
                return 0
            entry = registry.entry(self.worker_id)
            if entry.agent is not self.agent:
                return 0
            self.completed = entry.served - entry.running
            return entry.running


def absent(excluded: Excluded) -> Worker:
    """One that is excluded, and not there any more, as clients see it."""
    return Worker(
        worker_id=excluded.worker_id, name=excluded.name, state="excluded",
        public_key=excluded.public_key, reason=excluded.reason,
    )  # fmt: skip


def refusal(join: WorkerJoin, challenge: str | None, excluded: Excluded | None) -> str | None:
    """Why a worker may not join, whoever else is there.

    Args:
        challenge: what its connection was welcomed with.
        excluded: who has its name or its key.
    """
    why = _unproven(join, challenge)
    if why is not None:
        return why
    if excluded is not None:
        return f"worker {excluded.name} is excluded: {excluded.reason or 'no reason was given'}"
    if join.certificate_request is None:
        return "there is no certificate_request in it"
    said = len(msgspec.json.encode(msgspec.structs.replace(join, certificate_request=None)))
    if said > MAX_SAID:  # else a thousand workers would not fit into an answer
        return f"a worker says at most {MAX_SAID:,} bytes of itself, and this one {said:,}"
    names = (*join.executors, *join.capabilities, *join.targets)
    pins = [name for name in names if name.startswith(pin_of(""))]
    return f"{pins[0]} is no capability to choose: tasks are pinned by it" if pins else None


def _unproven(join: WorkerJoin, challenge: str | None) -> str | None:
    """Why it is not shown that a worker has the key that it announces."""
    if join.public_key is None:
        return None  # it signs nothing, and nobody believes it anything
    if join.proof is None:
        return "there is no proof in it that the worker has the private key of its public_key"
    stated = statement(
        challenge or "", join.name, join.public_key, join.certificate_request or ""
    )
    if challenge is None or not proves(join.proof, join.public_key, stated):
        return "its proof is no signature by public_key under this connection's challenge"
    return None


def check_lie(evidence: Any, entry: WorkerEntry, known: Sequence[WorkerEntry]) -> None:
    """Make sure that a certificate shows that a worker lied, by the keys of those who are known.

    Raises:
        BadCertificateError: it does not.
    """
    keys = {e.worker_id: bytes.fromhex(e.join.public_key) for e in known if e.join.public_key}
    domains = {e.worker_id: e.domain for e in known}
    check_evidence(json.dumps(evidence), entry.worker_id, keys, domains=domains)
