"""Who runs shards and signs what came of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..coordinator.signing import Ed25519Signer, Signer
from .merkle import merkle_root
from .shard import Hashes, Shard, hash_agents

if TYPE_CHECKING:
    from ...manager import SwarmManager
    from ...results import SwarmResult

FORMAT = "swarmc shard 1"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a replica says: this module, with these inputs, gave this.

    Args:
        module, inputs: SHA-256, as :class:`Shard` has them.
        agents: how many.
        root: Merkle root over the agents: results, memories, outputs, instruction counts.
        instructions: of all agents.
    """

    module: str
    inputs: str
    agents: int
    root: str
    instructions: int

    @property
    def digest(self) -> str:
        """SHA-256 over all of it: replicas agree if these are equal."""
        text = json.dumps([FORMAT, self.to_data()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def signed_bytes(self, replica: str) -> bytes:
        """What a replica's signature is over."""
        return f"{FORMAT}|{self.digest}|{replica}".encode()

    def to_data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "module": self.module, "inputs": self.inputs, "agents": self.agents,
            "root": self.root, "instructions": self.instructions,
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """What :meth:`to_data` gave. Raises KeyError or TypeError."""
        for name in ("agents", "instructions"):
            if type(data[name]) is not int:
                raise TypeError(f"{name} is {data[name]!r}")
        texts = [data[name] for name in ("module", "inputs", "root")]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("hashes are text")
        return cls(texts[0], texts[1], data["agents"], texts[2], data["instructions"])


@dataclass(frozen=True, slots=True)
class Attestation:
    """A replica's signed statement, and the hashes behind it, which show where replicas differ."""

    replica: str
    statement: Statement
    signature: bytes
    hashes: tuple[Hashes, ...]

    @property
    def consistent(self) -> bool:
        """Whether the hashes are those of the statement's root."""
        leaves = [b"".join(hashes) for hashes in self.hashes]
        return merkle_root(leaves).hex() == self.statement.root


class ShardReplica(Protocol):
    """A place where shards can be run, and that signs for it."""

    @property
    def id(self) -> str: ...

    @property
    def domain(self) -> str:
        """What fails, or is broken into, together: a process, a machine, a site."""

    @property
    def public_key(self) -> bytes: ...

    def execute(self, shard: Shard) -> Attestation:
        """Run it. What is raised counts as an answer that did not come."""


class LocalReplica:
    """Runs shards in this process.

    Several of them in one process bear a broken target or a broken machine's part at best: who
    can lie in one can lie in all. It is the same code that workers elsewhere run.

    Args:
        target: where agents run; None: where swarms run that name none.
        domain: None: the id, so that any two are distinct.
    """

    def __init__(
        self,
        id: str,
        signer: Signer | None = None,
        *,
        target: str | None = None,
        domain: str | None = None,
    ) -> None:
        self.id = id
        self.domain = id if domain is None else domain
        self._signer = signer or Ed25519Signer()
        self.public_key = self._signer.public_key
        self._target = target

    def execute(self, shard: Shard) -> Attestation:
        """Run a shard in a swarm of its own."""
        with shard.manager(self._target) as swarm:
            result = shard.run(swarm)
            self._ran(swarm, result)
            return attest(shard, swarm, result, self.id, self._signer)

    def _ran(self, swarm: SwarmManager, result: SwarmResult) -> None:
        """The shard has run, and is not hashed yet: a place for those who look, or lie."""


def attest(
    shard: Shard, swarm: SwarmManager, result: SwarmResult, replica: str, signer: Signer
) -> Attestation:
    """Sign what came of a shard whose agents are still there."""
    hashes = tuple(hash_agents(shard, swarm, result))
    statement = Statement(
        shard.module_digest, shard.inputs_digest, shard.agents,
        merkle_root([b"".join(of_agent) for of_agent in hashes]).hex(),
        int(result.counts_array.sum()),
    )  # fmt: skip
    return Attestation(replica, statement, signer.sign(statement.signed_bytes(replica)), hashes)
