"""The coordinator: members propose, vote, and elect a leader, and all of it is written down.

In one process this is a record of votes, not a protection: whoever runs the process can make every
vote of the members whose keys it holds. Votes of members that hold their own keys elsewhere it
cannot make; it could leave them out. :mod:`.agreement` is what bears liars among the processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..events import Event, EventKind
from ..hub.topology import Topology
from ..interfaces import EventLog
from ..tasks import new_id, seconds
from .errors import (
    BadSignatureError,
    CoordinationError,
    EquivocationError,
    ProposalClosedError,
    UnknownMemberError,
    UnknownProposalError,
)
from .leadership import LeaderElection
from .membership import Members, Membership, Role, lock_before
from .proposals import (
    CastVote,
    CoordinationStats,
    Motion,
    ProposalCertificate,
    ProposalState,
    ProposalType,
    SwarmProposal,
    VoteDecision,
)
from .quorum import faults, quorum
from .signing import Ed25519Verifier

DEFAULT_TIMEOUT = 30.0  #: seconds that a proposal is open
_KEPT = 10_000  # closed proposals that are remembered
_OURS = tuple(kind for kind in EventKind if kind.value.startswith("coordination."))

#: Called with a proposal that is closed, without any lock; it must not raise.
Listener = Callable[[SwarmProposal], None]


class SwarmCoordinator:
    """Proposals and votes of members. May be used from several threads.

    Args:
        members: a registry, whose living agents are the members; or ids; or ids with keys.
        log: where everything is made durable before it is acknowledged, and from which an earlier
            process's proposals are taken up again; None: in memory.
        clock: seconds since 1970.
        topology: its hub is who should lead, if it can.
        timeout: seconds that a proposal is open, unless it says otherwise.
        keys: folder for private keys of members here, so that they stay the same; None: a
            restarted process makes new ones, and what was open then can only expire.
    """

    def __init__(
        self,
        members: Members,
        log: EventLog | None = None,
        clock: Callable[[], float] = time.time,
        topology: Topology[str] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        keys: str | os.PathLike[str] | None = None,
    ) -> None:
        #: Guards everything here; held while the log writes, so that its order is the order.
        self._lock = lock_before(members)
        self._log = log
        self._clock = clock
        self._timeout = seconds(timeout)
        self._members = Membership(members, keys)
        self._proposals: dict[str, SwarmProposal] = {}
        self._verifiers: dict[str, tuple[str, Ed25519Verifier]] = {}
        self._open_now: dict[str, None] = {}
        self._states = dict.fromkeys(ProposalState, 0)
        self._votes = self._equivocations = 0
        self._listeners: list[Listener] = []
        self._closed: list[SwarmProposal] = []  # of which the listeners have not heard
        self.election = LeaderElection(self, self._members, topology, self._lock)
        if log is not None:
            for event in log.events(kinds=_OURS):
                self._restore(event)
            self._closed.clear()

    # Members

    @property
    def members(self) -> tuple[str, ...]:
        """Who there is, observers included."""
        with self._lock:
            return tuple(self._members.ids())

    def public_keys(self) -> dict[str, bytes]:
        """Public keys of those who may vote: what certificates are checked against."""
        with self._lock:
            return self._members.voters()

    def assign_role(self, member: str, role: Role, reason: str = "") -> None:
        """Give a member a role. Observers do not vote on what is proposed from then on.

        Raises:
            CoordinationError: leaders are elected.
            UnknownMemberError: there is no such member.
        """
        if role is Role.LEADER:
            raise CoordinationError("a leader is elected", hint="use election.campaign or elect")
        with self._lock:
            self._known(member)
            data = {"role": role.value, "reason": reason}
            self.write(Event(EventKind.COORDINATION_ROLE, member, data, self._clock()))
            self._members.assign(member, role)
            if role is Role.OBSERVER and self.election.leader() == member:
                self.election.step_down("became an observer")

    def role(self, member: str) -> Role:
        """A member's role. Raises :class:`UnknownMemberError`."""
        with self._lock:
            self._known(member)
            return Role.LEADER if self.election.leader() == member else self._members.role(member)

    # Proposals

    def submit_proposal(
        self,
        agent_id: str,
        type: ProposalType,
        data: Any = None,
        *,
        timeout: float | None = None,
    ) -> str:
        """Propose something to those who may vote now, and give the proposal's id.

        Args:
            data: what is proposed: a value as :mod:`..codec` describes.

        Raises:
            UnknownMemberError: the proposer is no member.
            CoordinationError: nobody may vote, or the data are not of the type's form.
            ValueEncodingError: the data have no JSON form.
        """
        with self._lock:
            self._known(agent_id)
            voters = self._members.voters()
            if not voters:
                raise CoordinationError("nobody may vote: all members are observers")
            self._check_data(type, data)
            now = self._clock()
            limit = self._timeout if timeout is None else seconds(timeout)
            motion = Motion(new_id("proposal"), agent_id, type, data, voters)
            motion = Motion.from_data(motion.to_data())  # not the caller's own object
            proposal = SwarmProposal(motion, now, now + limit)
            written = {**motion.to_data(), "opened": now, "expires": proposal.expires}
            self.write(Event(EventKind.COORDINATION_PROPOSED, motion.id, written, now))
            self._open(proposal)
            return motion.id

    def cast_vote(
        self,
        proposal_id: str,
        voter_agent: str,
        decision: VoteDecision,
        reason: str | None = None,
    ) -> SwarmProposal:
        """Sign and record a vote of a member whose key is here; give the proposal as it is then.

        The same vote again changes nothing. A vote on what is decided already is recorded, and
        decides nothing.

        Raises:
            EquivocationError: the member has voted otherwise. The second vote is recorded as
                evidence, and not counted.
            ProposalClosedError: the proposal has expired.
            UnknownProposalError, UnknownMemberError: there is none; it may not vote on it.
            CoordinationError: the member holds its own key.
        """
        with self._lock:
            proposal = self._open_to(proposal_id, voter_agent)
            signer = self._members.signer(voter_agent)
            if signer.public_key != proposal.motion.members[voter_agent]:
                raise CoordinationError(f"{voter_agent} has had another key since {proposal_id}")
            vote = CastVote(voter_agent, decision, reason)
            signature = signer.sign(vote.signed_bytes(self._verifiers[proposal_id][0]))
        return self.cast_signed_vote(proposal_id, replace(vote, signature=signature))

    def cast_signed_vote(self, proposal_id: str, vote: CastVote) -> SwarmProposal:
        """Record a vote that a member has signed itself; as :meth:`cast_vote`.

        Raises:
            BadSignatureError: the signature is not the member's. Nothing is recorded.
        """
        with self._lock:
            proposal = self._open_to(proposal_id, vote.voter)
            digest, verifier = self._verifiers[proposal_id]
            if not verifier.verify(vote.voter, vote.signed_bytes(digest), vote.signature):
                raise BadSignatureError(f"the signature of {vote.voter} is not its own")
            earlier = proposal.vote_of(vote.voter)
            if earlier is not None and earlier.decision is vote.decision:
                return proposal
            vote = replace(vote, at=self._clock())
            if earlier is not None:
                self._equivocation(proposal, vote, f"said {earlier.decision.value} before")
            backed = self.election.backed(proposal, vote)
            if backed is not None:
                self._equivocation(proposal, vote, f"backs {backed} in this epoch")
            proposal = self._vote(proposal, vote)
        self._tell()
        return proposal

    def proposal(self, proposal_id: str) -> SwarmProposal:
        """A proposal as it is now. Raises :class:`UnknownProposalError`."""
        self.tick()
        with self._lock:
            return self._find(proposal_id)

    def proposals(self, state: ProposalState | None = None) -> list[SwarmProposal]:
        """All that are remembered, or those in a state, in the order of their opening."""
        self.tick()
        with self._lock:
            found = list(self._proposals.values())
        return [proposal for proposal in found if state in (None, proposal.state)]

    def tick(self) -> None:
        """Let what is overdue expire. Whatever asks for proposals does that, too."""
        with self._lock:
            self._close_overdue()
        self._tell()

    def on_closed(self, listener: Listener) -> None:
        """Have a function called with every proposal that is approved, rejected or expired."""
        with self._lock:
            self._listeners.append(listener)

    def coordination_stats(self) -> CoordinationStats:
        """Counts as they are now."""
        self.tick()
        with self._lock:
            voters = len(self._members.voters())
            return CoordinationStats(
                voters, quorum(voters) if voters else 0, faults(voters) if voters else 0,
                dict(self._states), self._votes, self._equivocations, self.election.leader(),
                self.election.epoch(), self.election.rounds,
            )  # fmt: skip

    stats = coordination_stats

    # Inside; the lock is held

    def _known(self, member: str) -> None:
        if member not in self._members.ids():
            raise UnknownMemberError(f"no member {member!r}")

    def _find(self, proposal_id: str) -> SwarmProposal:
        proposal = self._proposals.get(proposal_id)
        if proposal is None:
            raise UnknownProposalError(f"no proposal {proposal_id!r}")
        return proposal

    def _check_data(self, type: ProposalType, data: Any) -> None:
        """Raise :class:`CoordinationError` if what is proposed could not be done."""
        if type is ProposalType.MEMBERSHIP_CHANGE:
            self._members.check_change(data)
        elif type is ProposalType.LEADER_ELECTION:
            self.election.check(data)

    def _open_to(self, proposal_id: str, voter: str) -> SwarmProposal:
        self._close_overdue()
        proposal = self._find(proposal_id)
        if voter not in proposal.motion.members:
            raise UnknownMemberError(f"{voter!r} may not vote on {proposal_id}")
        if proposal.state is ProposalState.EXPIRED:
            raise ProposalClosedError(f"{proposal_id} has expired: {proposal.reason}")
        return proposal

    def _equivocation(self, proposal: SwarmProposal, vote: CastVote, why: str) -> None:
        """Record a second vote, and raise."""
        kind = EventKind.COORDINATION_EQUIVOCATED
        self.write(Event(kind, proposal.id, vote.to_data(), vote.at))
        self._equivocations += 1
        raise EquivocationError(f"{vote.voter} {why}: {vote.decision.value} does not count")

    def _vote(self, proposal: SwarmProposal, vote: CastVote) -> SwarmProposal:
        was_open = proposal.state is ProposalState.OPEN
        voted = replace(proposal, votes=(*proposal.votes, vote))
        events = [Event(EventKind.COORDINATION_VOTED, proposal.id, vote.to_data(), vote.at)]
        state, reason = voted.outcome()
        closes = was_open and state is not ProposalState.OPEN
        if closes:
            voted = replace(voted, state=state, reason=reason, certificate=voted.certify())
            events.append(_closing(voted, vote.at))
        self.write(*events)
        self._count(voted, vote)
        if closes:
            self._close(voted)
        return voted

    def _close_overdue(self) -> None:
        """Close what has expired, and elections for epochs that another has won."""
        now = self._clock()
        for proposal in [self._proposals[id] for id in self._open_now]:
            if self.election.stale(proposal):
                state, reason = ProposalState.REJECTED, "another leads in that epoch"
            elif now >= proposal.expires:
                votes, members = len(proposal.votes), len(proposal.motion.members)
                state, reason = ProposalState.EXPIRED, f"{votes} of {members} voted in time"
            else:
                continue
            closed = replace(proposal, state=state, reason=reason)
            self.write(_closing(closed, now))
            self._close(closed)

    def write(self, *events: Event) -> None:
        """Make something durable."""
        if self._log is not None:
            self._log.append(events)

    # These only change what is known; what is restored comes here, too

    def _restore(self, event: Event) -> None:
        """Take up what an earlier process wrote down."""
        kind, data = event.kind, event.data
        if kind is EventKind.COORDINATION_PROPOSED:
            motion = Motion.from_data(data)
            self._open(SwarmProposal(motion, data["opened"], data["expires"]))
        elif kind is EventKind.COORDINATION_EQUIVOCATED:
            self._equivocations += 1
        elif kind is EventKind.COORDINATION_ROLE:
            self._members.assign(event.subject, Role(data["role"]))
            self.election.resigned(event.subject)
        elif event.subject in self._proposals:
            proposal = self._proposals[event.subject]
            if kind is EventKind.COORDINATION_VOTED:
                vote = CastVote.from_data(data)
                self._count(replace(proposal, votes=(*proposal.votes, vote)), vote)
            elif proposal.state is ProposalState.OPEN:
                state, text = ProposalState(data["state"]), data["certificate"]
                proof = None if text is None else ProposalCertificate.from_json(text)
                self._close(
                    replace(proposal, state=state, reason=data["reason"], certificate=proof)
                )

    def _count(self, voted: SwarmProposal, vote: CastVote) -> None:
        self._votes += 1
        self._proposals[voted.id] = voted
        self.election.voted(voted, vote)

    def _open(self, proposal: SwarmProposal) -> None:
        motion = proposal.motion
        self._proposals[motion.id] = proposal
        self._open_now[motion.id] = None
        self._verifiers[motion.id] = motion.digest, Ed25519Verifier(motion.members)
        self._states[ProposalState.OPEN] += 1
        self.election.opened(proposal)

    def _close(self, closed: SwarmProposal) -> None:
        self._proposals[closed.id] = closed
        del self._open_now[closed.id]
        self._states[ProposalState.OPEN] -= 1
        self._states[closed.state] += 1
        if closed.state is ProposalState.APPROVED:
            self._apply(closed.motion)
            self.election.approved(closed)
        self._closed.append(closed)
        while len(self._proposals) > _KEPT + self._states[ProposalState.OPEN]:
            oldest = next(id for id in self._proposals if id not in self._open_now)
            del self._proposals[oldest], self._verifiers[oldest]

    def _apply(self, motion: Motion) -> None:
        if motion.type is ProposalType.MEMBERSHIP_CHANGE:
            for member, key in motion.data.get("add", {}).items():
                self._members.admit(member, None if key is None else bytes.fromhex(key))
            for member in motion.data.get("remove", ()):
                if member in self._members.ids():
                    self._members.remove(member)

    def _tell(self) -> None:
        """Let the listeners know; the lock is not held, but by who holds it around all this."""
        with self._lock:
            closed, self._closed = self._closed, []
            listeners = tuple(self._listeners)
        for proposal in closed:
            for listener in listeners:
                listener(proposal)


def _closing(closed: SwarmProposal, at: float) -> Event:
    certificate = None if closed.certificate is None else closed.certificate.to_json()
    data = {"state": closed.state.value, "reason": closed.reason, "certificate": certificate}
    return Event(EventKind.COORDINATION_CLOSED, closed.id, data, at)
