"""Certificates of shards: f + 1 replicas of 2f + 1 have signed the same, so one of them is right.

At most f replicas lie or are broken: then among f + 1 there is one that is not. Execution is
deterministic, so that those which are not give equal bits, on every target.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from ..coordinator.errors import BadCertificateError, CoordinationError
from ..coordinator.signing import Ed25519Verifier
from .replica import FORMAT, Attestation, ShardReplica, Statement
from .shard import PARTS, Shard

_NAMED = 16  # agents of an accusation that are named
#: What text that is no certificate raises where it is taken for one.
_NONE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class CertificationError(CoordinationError):
    """Too few replicas said the same.

    Args:
        accusations: what each of them said, and where they differ.
    """

    def __init__(
        self, message: str, accusations: tuple[Accusation, ...] = (), *, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.accusations = accusations


@dataclass(frozen=True, slots=True)
class Accusation:
    """A replica that did not say what f + 1 others said.

    Args:
        reason: what is wrong, for people.
        statement, signature: what it has signed instead; None: nothing that holds.
        differences: agents, and of what their hashes differ: the first few.
    """

    replica: str
    reason: str
    statement: Statement | None = None
    signature: bytes = b""
    differences: tuple[tuple[int, str], ...] = ()

    def to_data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "replica": self.replica, "reason": self.reason,
            "statement": None if self.statement is None else self.statement.to_data(),
            "signature": self.signature.hex(),
            "differences": [list(difference) for difference in self.differences],
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """What :meth:`to_data` gave. Raises KeyError, TypeError or ValueError."""
        said = data["statement"]
        differences = tuple((int(agent), str(part)) for agent, part in data["differences"])
        return cls(
            str(data["replica"]), str(data["reason"]),
            None if said is None else Statement.from_data(said),
            bytes.fromhex(data["signature"]), differences,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShardCertificate:
    """What a shard gave, and who signed it.

    Args:
        f: how many replicas may lie.
        signatures: of f + 1 or more, by replica.
        keys: the replicas' public keys, as whoever made the certificate knew them.
        accused: replicas that said something else, or nothing.
    """

    statement: Statement
    f: int
    signatures: Mapping[str, bytes]
    keys: Mapping[str, bytes]
    accused: tuple[Accusation, ...] = ()

    def to_json(self) -> str:
        """As text."""
        return json.dumps({
            "format": FORMAT, "statement": self.statement.to_data(), "f": self.f,
            "signatures": {name: value.hex() for name, value in self.signatures.items()},
            "keys": {name: value.hex() for name, value in self.keys.items()},
            "accused": [accusation.to_data() for accusation in self.accused],
        }, indent=1)  # fmt: skip

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What :meth:`to_json` gave. Raises :class:`BadCertificateError`."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']!r}")
            if type(data["f"]) is not int or data["f"] < 0:
                raise ValueError(f"f is {data['f']!r}")
            return cls(
                Statement.from_data(data["statement"]), data["f"],
                {str(name): bytes.fromhex(v) for name, v in data["signatures"].items()},
                {str(name): bytes.fromhex(v) for name, v in data["keys"].items()},
                tuple(Accusation.from_data(accused) for accused in data["accused"]),
            )  # fmt: skip
        except _NONE as error:
            raise BadCertificateError(f"not a certificate: {error}") from error


def certify(
    shard: Shard, replicas: Sequence[ShardReplica], f: int = 1, *, known_liars: int = 0
) -> ShardCertificate:
    """Have 2f + 1 replicas run a shard, and certify what f + 1 of them agree upon.

    All of them are waited for, so that whoever lies is named.

    Args:
        replicas: 2f + 1 or more, no two of one fault domain.
        known_liars: how many of the f are known and not among the replicas: so many replicas fewer
            will do, though never fewer than f + 1.

    Raises:
        CertificationError: they are too few, or too near, or no f + 1 said the same.
    """
    _check_replicas(replicas, f, known_liars)
    keys = {replica.id: replica.public_key for replica in replicas}
    verifier = Ed25519Verifier(keys)
    said: dict[str, list[Attestation]] = defaultdict(list)
    accused: list[Accusation] = []
    with ThreadPoolExecutor(len(replicas), "swarmc-certify") as pool:
        answers = {replica.id: pool.submit(replica.execute, shard) for replica in replicas}
    for name, answer in answers.items():
        error = answer.exception()
        if error is not None:
            accused.append(Accusation(name, f"did not answer: {error}"))
            continue
        attestation = answer.result()
        wrong = _wrong(attestation, name, shard, verifier)
        if wrong is not None:
            accused.append(Accusation(name, wrong))
        else:
            said[attestation.statement.digest].append(attestation)
    groups = sorted(said.values(), key=len, reverse=True)
    agreeing = groups[0] if groups else []
    for others in groups[1:]:
        accused += [_accuse(attestation, agreeing[0]) for attestation in others]
    if len(agreeing) <= f:
        raise CertificationError(
            f"no {f + 1} of {len(replicas)} replicas said the same", tuple(accused)
        )
    signatures = {attestation.replica: attestation.signature for attestation in agreeing}
    return ShardCertificate(agreeing[0].statement, f, signatures, keys, tuple(accused))


def check_certificate(
    certificate: ShardCertificate,
    keys: Mapping[str, bytes],
    *,
    f: int,
    shard: Shard | None = None,
) -> None:
    """Make sure of a certificate, without asking anyone.

    What accused replicas have signed is checked, too. An accusation without a signed statement
    (of not answering) is what the maker of the certificate says.

    Args:
        keys: the replicas whom the one who asks knows, and their keys: what the certificate itself
            says of them proves nothing.
        f: how many of them may lie.
        shard: what it should be of.

    Raises:
        BadCertificateError: fewer than f + 1 of them have signed it, or it is of something else.
    """
    statement = certificate.statement
    if shard is not None:
        if statement.module != shard.module_digest:
            raise BadCertificateError("the certificate is of another module")
        if (statement.inputs, statement.agents) != (shard.inputs_digest, shard.agents):
            raise BadCertificateError("the certificate is of other inputs")
    if len({bytes(key) for key in keys.values()}) != len(keys):
        raise BadCertificateError("two replicas have one key")
    verifier = Ed25519Verifier(keys)
    signed = 0
    for replica, signature in certificate.signatures.items():
        if replica not in keys:
            continue  # whoever that is
        if not verifier.verify(replica, statement.signed_bytes(replica), signature):
            raise BadCertificateError(f"the signature of {replica} is not its own")
        signed += 1
    if signed <= f:
        raise BadCertificateError(f"{signed} known replicas have signed it: it takes {f + 1}")
    for accusation in certificate.accused:
        _check_accusation(accusation, statement, verifier, keys)


def _check_accusation(
    accusation: Accusation,
    right: Statement,
    verifier: Ed25519Verifier,
    keys: Mapping[str, bytes],
) -> None:
    """Make sure that a replica has signed what it is said to have signed."""
    said, name = accusation.statement, accusation.replica
    if said is None or name not in keys:
        return
    same_shard = (said.module, said.inputs) == (right.module, right.inputs)
    if not same_shard or said.digest == right.digest:
        raise BadCertificateError(f"what {name} said does not contradict the others")
    if not verifier.verify(name, said.signed_bytes(name), accusation.signature):
        raise BadCertificateError(f"{name} has not signed what it is accused of")


def _check_replicas(replicas: Sequence[ShardReplica], f: int, known_liars: int) -> None:
    needed = max(f + 1, 2 * f + 1 - known_liars)
    if f < 0 or len(replicas) < needed:
        raise CertificationError(
            f"{len(replicas)} replicas do not bear {f} that lie: it takes {max(needed, 1)}"
        )
    for what in ("id", "domain", "public_key"):
        seen = {getattr(replica, what) for replica in replicas}
        if len(seen) < len(replicas):
            raise CertificationError(f"two replicas have one {what.replace('_', ' ')}")


def _wrong(
    attestation: Attestation, name: str, shard: Shard, verifier: Ed25519Verifier
) -> str | None:
    """Why an attestation counts for nothing; None: it counts."""
    statement = attestation.statement
    data = statement.signed_bytes(name)
    if attestation.replica != name or not verifier.verify(name, data, attestation.signature):
        return "the signature is not its own"
    if (statement.module, statement.inputs, statement.agents) != (
        shard.module_digest, shard.inputs_digest, shard.agents
    ):  # fmt: skip
        return "it is of another shard"
    if len(attestation.hashes) != shard.agents or not attestation.consistent:
        return "the hashes are not those of its root"
    return None


def _accuse(attestation: Attestation, right: Attestation) -> Accusation:
    """What a replica said that others did not, by agent and by what differs."""
    found = [
        (agent, PARTS[part])
        for agent, (mine, others) in enumerate(
            zip(attestation.hashes, right.hashes, strict=True)
        )
        for part in range(len(PARTS))
        if mine[part] != others[part]
    ]
    agents = len({agent for agent, _ in found})
    text = ", ".join(f"the {part} of agent {agent}" for agent, part in found[:3])
    more = f" and more, of {agents} agents" if len(found) > 3 else ""
    reason = f"differs in {text}{more}" if found else "counts other instructions"
    return Accusation(
        attestation.replica, reason, attestation.statement, attestation.signature,
        tuple(found[:_NAMED]),
    )  # fmt: skip
