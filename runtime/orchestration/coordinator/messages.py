"""What replicas say to each other, and what proves what."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

from .errors import BadCertificateError
from .quorum import Group
from .signing import Verifier

#: A round before all rounds: "never".
NEVER = -1


class Step(enum.Enum):
    """The two votes that a replica casts in a round."""

    PREVOTE = "prevote"  #: this value could be decided
    PRECOMMIT = "precommit"  #: a quorum said so: decide it


def value_id(value: bytes) -> str:
    """What votes name a value by: its SHA-256."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class Vote:
    """A replica's signed vote.

    Args:
        value: id of the value; None: for none in this round.
    """

    replica: str
    height: int
    round: int
    step: Step
    value: str | None
    signature: bytes = b""

    def signed_bytes(self, group: Group) -> bytes:
        """What the signature is over."""
        return (
            f"swarmc agreement 1|{group.digest}|{self.step.value}|{self.height}|{self.round}"
            f"|{self.value}|{self.replica}"
        ).encode()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A quorum's votes for one value, in one step of one round."""

    height: int
    round: int
    step: Step
    value: str
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the replica whose turn it is proposes in a round.

    Args:
        proof: prevotes of a quorum for this value in an earlier round, if there were: who is
            locked on another value since before that round may let go of it.
    """

    replica: str
    height: int
    round: int
    value: bytes
    proof: Certificate | None = None
    signature: bytes = b""
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", value_id(self.value))

    def signed_bytes(self, group: Group) -> bytes:
        """What the signature is over."""
        valid_round = NEVER if self.proof is None else self.proof.round
        return (
            f"swarmc agreement 1|{group.digest}|propose|{self.height}|{self.round}|{self.id}"
            f"|{valid_round}|{self.replica}"
        ).encode()


@dataclass(frozen=True, slots=True)
class Polka:
    """A value that a quorum prevoted; also the record of a replica's lock on it."""

    value: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Entry:
    """Why a replica entered a round: the votes that make others follow it, should they not have
    got them. A record only."""

    height: int
    round: int
    votes: tuple[Vote, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The value of a height, and a quorum's precommits for it. Anyone can check it."""

    height: int
    value: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed messages of one replica for one step that differ: proof that it is faulty."""

    replica: str
    first: Vote | Proposal
    second: Vote | Proposal


@dataclass(frozen=True, slots=True)
class Request:
    """A value that somebody wants decided. Not signed: whether it may be is the group's rule."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Gossip:
    """All that a replica holds of its round, said again now and then, because messages get lost.

    Args:
        votes: its own and others'; they are signed, so it does not matter who passes them on.
        requests: values that it wants decided.
    """

    replica: str
    height: int
    votes: tuple[Vote, ...] = ()
    proposal: Proposal | None = None
    polka: Polka | None = None
    requests: tuple[bytes, ...] = ()


Message = Vote | Proposal | Decision | Request | Gossip
#: What a replica must find again after a crash: what it has signed, its lock, why it is in its
#: round, what was decided.
Record = Vote | Proposal | Polka | Entry | Decision


def check_certificate(certificate: Certificate, group: Group, verifier: Verifier) -> None:
    """Make sure that a quorum of a group voted as a certificate says.

    Raises:
        BadCertificateError: it did not, or the certificate does not show it.
    """
    for vote in certificate.votes:
        if (vote.height, vote.round, vote.step, vote.value) != (
            certificate.height, certificate.round, certificate.step, certificate.value
        ):  # fmt: skip
            raise BadCertificateError(f"the vote of {vote.replica} is for something else")
    voters = {vote.replica for vote in certificate.votes}
    if len(voters) != len(certificate.votes):
        raise BadCertificateError("a replica voted twice in it")
    if not voters <= group.keys.keys():
        strangers = ", ".join(sorted(voters - group.keys.keys()))
        raise BadCertificateError(f"no members of the group: {strangers}")
    if len(voters) < group.quorum:
        raise BadCertificateError(f"{len(voters)} votes are no quorum: it takes {group.quorum}")
    for vote in certificate.votes:
        if not verifier.verify(vote.replica, vote.signed_bytes(group), vote.signature):
            raise BadCertificateError(f"the signature of {vote.replica} is not its own")


def check_decision(decision: Decision, group: Group, verifier: Verifier) -> None:
    """Make sure that a group decided a value at a height. Raises :class:`BadCertificateError`."""
    certificate = decision.certificate
    if certificate.step is not Step.PRECOMMIT or certificate.height != decision.height:
        raise BadCertificateError("the certificate is for another step or height")
    if certificate.value != value_id(decision.value):
        raise BadCertificateError("the certificate is for another value")
    check_certificate(certificate, group, verifier)


def check_evidence(evidence: Evidence, group: Group, verifier: Verifier) -> None:
    """Make sure that evidence proves a fault of the replica that it names.

    Raises:
        BadCertificateError: it does not.
    """
    first, second = evidence.first, evidence.second
    if isinstance(first, Vote) and isinstance(second, Vote):
        same = first.step is second.step and first.value != second.value
    elif isinstance(first, Proposal) and isinstance(second, Proposal):
        same = first.signed_bytes(group) != second.signed_bytes(group)
    else:
        same = False
    if not same or (first.height, first.round) != (second.height, second.round):
        raise BadCertificateError("these two messages do not contradict each other")
    for message in (first, second):
        data = message.signed_bytes(group)
        if message.replica != evidence.replica or not verifier.verify(
            evidence.replica, data, message.signature
        ):
            raise BadCertificateError(f"{evidence.replica} has not signed both")
