"""Proposals of members, their signed votes, and certificates that anyone can check."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..codec import dumps, loads
from ..errors import OrchestrationError
from .errors import BadCertificateError
from .quorum import faults, quorum
from .signing import Ed25519Verifier

_FORMAT = "swarmc proposal 1"


class ProposalType(enum.Enum):
    """What a proposal is about."""

    TASK_ASSIGNMENT = "task_assignment"
    RESOURCE_ALLOCATION = "resource_allocation"
    CONFIGURATION_CHANGE = "configuration_change"
    #: data: ``{"add": {id: public key in hex, or None}, "remove": [id]}``; done when approved
    MEMBERSHIP_CHANGE = "membership_change"
    #: data: ``{"candidate": id, "epoch": number}``; done when approved
    LEADER_ELECTION = "leader_election"
    CUSTOM = "custom"


class VoteDecision(enum.Enum):
    """What a member says to a proposal."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"


class ProposalState(enum.Enum):
    """What became of a proposal. Only the first is not final."""

    OPEN = "open"
    APPROVED = "approved"  #: by a quorum
    REJECTED = "rejected"  #: a quorum for it is no longer possible
    EXPIRED = "expired"  #: its time was over before either


@dataclass(frozen=True, slots=True)
class CastVote:
    """A member's signed vote.

    Args:
        at: seconds since 1970, by the clock of who recorded it; not signed.
    """

    voter: str
    decision: VoteDecision
    reason: str | None = None
    signature: bytes = b""
    at: float = 0.0

    def signed_bytes(self, digest: str) -> bytes:
        """What the signature is over, for the proposal with this digest."""
        return json.dumps(
            [_FORMAT, digest, self.decision.value, self.voter, self.reason]
        ).encode()

    def to_data(self) -> dict[str, Any]:
        """As a value for a store or a file."""
        return {
            "voter": self.voter, "decision": self.decision.value, "reason": self.reason,
            "signature": self.signature.hex(), "at": self.at,
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """What :meth:`to_data` gave. Raises KeyError, TypeError or ValueError."""
        reason = data["reason"]
        if reason is not None and not isinstance(reason, str):
            raise TypeError(f"a reason is text, not {reason!r}")
        return cls(
            str(data["voter"]), VoteDecision(data["decision"]), reason,
            bytes.fromhex(data["signature"]), float(data["at"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What is voted about, and by whom: what does not change while votes come in.

    Args:
        members: public keys of those who may vote, by id.
    """

    id: str
    proposer: str
    type: ProposalType
    data: Any
    members: Mapping[str, bytes]

    @property
    def quorum(self) -> int:
        """How many approvals it takes."""
        return quorum(len(self.members))

    @property
    def faulty(self) -> int:
        """How many members may lie without effect."""
        return faults(len(self.members))

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, in what is signed."""
        text = json.dumps([_FORMAT, self.to_data()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_data(self) -> dict[str, Any]:
        """As a value for a store or a file."""
        return {
            "id": self.id, "proposer": self.proposer, "type": self.type.value,
            "data": dumps(self.data),
            "members": {member: key.hex() for member, key in self.members.items()},
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """What :meth:`to_data` gave. Raises KeyError, TypeError or ValueError."""
        members = {member: bytes.fromhex(key) for member, key in data["members"].items()}
        return cls(
            str(data["id"]), str(data["proposer"]), ProposalType(data["type"]),
            loads(data["data"]), members,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ProposalCertificate:
    """A quorum's signed approvals, or rejections, of a proposal.

    As text it can be checked by anyone who knows the members' keys, without the coordinator.
    """

    motion: Motion
    decision: VoteDecision
    votes: tuple[CastVote, ...]

    def to_json(self) -> str:
        """As text."""
        return json.dumps({
            "format": _FORMAT, "motion": self.motion.to_data(), "decision": self.decision.value,
            "votes": [vote.to_data() for vote in self.votes],
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """What :meth:`to_json` gave.

        Raises:
            BadCertificateError: it is something else.
        """
        try:
            data = json.loads(text)
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r}")
            votes = tuple(CastVote.from_data(vote) for vote in data["votes"])
            return cls(Motion.from_data(data["motion"]), VoteDecision(data["decision"]), votes)
        except (
            ValueError, KeyError, TypeError, AttributeError, RecursionError, OrchestrationError
        ) as error:  # fmt: skip
            raise BadCertificateError(f"not a certificate: {error}") from error

    def check(self, members: Mapping[str, bytes]) -> None:
        """Make sure that a quorum of these members has signed.

        Args:
            members: whom the one who asks knows to be the members, and their public keys: what
                the certificate itself says of them proves nothing.

        Raises:
            BadCertificateError: it has not.
        """
        if dict(self.motion.members) != dict(members):
            raise BadCertificateError("the certificate is of other members, or of other keys")
        if self.decision is VoteDecision.ABSTAIN:
            raise BadCertificateError("abstentions decide nothing")
        voters = {vote.voter for vote in self.votes}
        if len(voters) != len(self.votes):
            raise BadCertificateError("a member voted twice in it")
        if len(voters) < self.motion.quorum:
            raise BadCertificateError(
                f"{len(voters)} votes are no quorum: it takes {self.motion.quorum}"
            )
        verifier, digest = Ed25519Verifier(members), self.motion.digest
        for vote in self.votes:
            if vote.decision is not self.decision:
                raise BadCertificateError(f"the vote of {vote.voter} is for something else")
            if not verifier.verify(vote.voter, vote.signed_bytes(digest), vote.signature):
                raise BadCertificateError(f"the signature of {vote.voter} is not its own")


@dataclass(frozen=True, slots=True, eq=False)
class SwarmProposal:
    """A proposal as it is now.

    Args:
        opened, expires: seconds, by the coordinator's clock.
        votes: in the order in which they came.
        reason: why it is what it is.
        certificate: of a proposal that a quorum approved, or that a quorum rejected.
    """

    motion: Motion
    opened: float
    expires: float
    state: ProposalState = ProposalState.OPEN
    votes: tuple[CastVote, ...] = ()
    reason: str = ""
    certificate: ProposalCertificate | None = None

    @property
    def id(self) -> str:
        """Its name."""
        return self.motion.id

    def count(self, decision: VoteDecision) -> int:
        """How many voted so."""
        return sum(vote.decision is decision for vote in self.votes)

    def vote_of(self, member: str) -> CastVote | None:
        """What a member said; None: nothing yet."""
        return next((vote for vote in self.votes if vote.voter == member), None)

    def outcome(self) -> tuple[ProposalState, str]:
        """What the votes make of it, and why."""
        needed, members = self.motion.quorum, len(self.motion.members)
        approvals = self.count(VoteDecision.APPROVE)
        if approvals >= needed:
            return ProposalState.APPROVED, f"{approvals} of {members} approved"
        possible = approvals + members - len(self.votes)
        if possible < needed:
            return ProposalState.REJECTED, (
                f"{needed} of {members} would have to approve: no more than {possible} can"
            )
        return ProposalState.OPEN, ""

    def certify(self) -> ProposalCertificate | None:
        """The certificate that the votes make; None: there is no quorum of equal ones."""
        for decision in (VoteDecision.APPROVE, VoteDecision.REJECT):
            votes = tuple(vote for vote in self.votes if vote.decision is decision)
            if len(votes) >= self.motion.quorum:
                return ProposalCertificate(self.motion, decision, votes[: self.motion.quorum])
        return None


@dataclass(frozen=True, slots=True)
class CoordinationStats:
    """Counts since the beginning, earlier processes with the same store included."""

    members: int  #: who may vote now
    quorum: int  #: how many approvals it takes now; 0 without members
    tolerated: int  #: how many members may lie: strictly fewer than a third
    proposals: Mapping[ProposalState, int]
    votes: int
    equivocations: int  #: second votes that differ from the first
    leader: str | None
    epoch: int  #: of the latest leader; 0: there was none
    rounds: int  #: elections held, won or not

    @property
    def leads(self) -> Mapping[str, int]:
        """1 for who leads; empty if nobody does."""
        return {} if self.leader is None else {self.leader: 1}
