"""Who leads, since which epoch, and how those who led before are kept from acting on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..events import Event, EventKind
from ..hub.topology import Topology
from ..locks import OuterLock
from .errors import CoordinationError, StaleEpochError
from .membership import Membership, Role
from .proposals import CastVote, ProposalState, ProposalType, SwarmProposal, VoteDecision

if TYPE_CHECKING:
    from .coordinator import SwarmCoordinator


class Fence:
    """Keeps former leaders away from something: it lets nobody pass who is of an earlier epoch.

    It belongs to what is to be protected, and needs to hear of no election: the first act of a
    new leader locks the old one out. May be used from several threads.
    """

    def __init__(self, epoch: int = 0) -> None:
        self._lock = threading.Lock()  #: guards the epoch
        self._epoch = epoch

    @property
    def epoch(self) -> int:
        """The highest that has passed."""
        return self._epoch

    def check(self, epoch: int) -> None:
        """Let somebody act who leads in an epoch.

        Raises:
            StaleEpochError: somebody of a later one has been here.
        """
        with self._lock:
            if epoch < self._epoch:
                raise StaleEpochError(f"epoch {epoch} is over: it is {self._epoch}")
            self._epoch = epoch


class LeaderElection:
    """Elections among a coordinator's members. Part of :class:`~.coordinator.SwarmCoordinator`.

    An election is a proposal for an epoch that nobody has led in. A member approves one candidate
    in an epoch at most, and it takes a quorum: so no epoch has two leaders.
    """

    def __init__(
        self,
        coordinator: SwarmCoordinator,
        members: Membership,
        topology: Topology[str] | None,
        lock: OuterLock,
    ) -> None:
        self._coordinator = coordinator
        self._members = members
        self._topology = topology
        self._lock = lock  #: the coordinator's
        self._leader: str | None = None
        self._epoch = self._latest = 0
        #: Whom each member backs in epochs to come: by epoch and member.
        self._backed: dict[tuple[int, str], str] = {}
        self.rounds = 0  #: elections held, won or not

    def leader(self) -> str | None:
        """Who leads; None: nobody, or who was elected is no longer there."""
        with self._lock:
            leader = self._leader
            return leader if leader is not None and self._members.alive(leader) else None

    def epoch(self) -> int:
        """The epoch of the latest leader; 0: there was none."""
        with self._lock:
            return self._epoch

    def fence(self, epoch: int) -> None:
        """Let the leader act, and nobody who was leader before.

        Raises:
            StaleEpochError: the epoch is not the present leader's.
        """
        with self._lock:
            if epoch > self._epoch:
                raise StaleEpochError(f"epoch {epoch} has not begun: it is {self._epoch}")
            if epoch < self._epoch:
                raise StaleEpochError(f"epoch {epoch} is over: it is {self._epoch}")
            if self.leader() is None:
                raise StaleEpochError(f"the leader of epoch {epoch} is gone")

    def campaign(self, candidate: str, *, timeout: float | None = None) -> str:
        """Propose a candidate for the next epoch, and give the proposal's id: then vote on it.

        Raises:
            CoordinationError: the candidate does not vote itself, or is not there.
        """
        with self._lock:
            if candidate not in self._members.voters() or not self._members.alive(candidate):
                raise CoordinationError(f"{candidate} cannot lead: it is gone, or an observer")
            data = {"candidate": candidate, "epoch": max(self._epoch, self._latest) + 1}
            kind = ProposalType.LEADER_ELECTION
            return self._coordinator.submit_proposal(candidate, kind, data, timeout=timeout)

    def elect(self, candidate: str | None = None, reason: str = "elected") -> str:
        """Have the members here that are there elect a leader, and give its id.

        Args:
            candidate: None: the topology's hub if it can lead, else the first who can.

        Raises:
            CoordinationError: they are too few, or nobody can lead.
        """
        with self._lock:
            voters = [id for id in self._members.voters() if self._members.alive(id)]
            if candidate is None:
                hub = None if self._topology is None else self._topology.hub
                candidate = hub if hub in voters else next(iter(voters), None)
            if candidate is None:
                raise CoordinationError("nobody can lead")
            proposal_id = self.campaign(candidate)
            here = [voter for voter in voters if self._members.signs_here(voter)]
        for voter in here:
            proposal = self._coordinator.cast_vote(
                proposal_id, voter, VoteDecision.APPROVE, reason
            )
            if proposal.state is not ProposalState.OPEN:
                break
        proposal = self._coordinator.proposal(proposal_id)
        if proposal.state is not ProposalState.APPROVED:
            approvals, motion = proposal.count(VoteDecision.APPROVE), proposal.motion
            raise CoordinationError(
                f"{approvals} of {len(motion.members)} members are for {candidate}:"
                f" it takes {motion.quorum}",
                hint="members elsewhere may still vote",
            )
        return candidate

    def step_down(self, reason: str = "stepped down") -> None:
        """The leader leads no more; its epoch is not led in again."""
        with self._lock:
            if self._leader is not None:
                data = {"role": Role.FOLLOWER.value, "reason": reason}
                self._coordinator.write(Event(EventKind.COORDINATION_ROLE, self._leader, data))
                self._leader = None

    # For the coordinator, which holds the lock

    def check(self, data: object) -> None:
        """Make sure that an election is of the right form, for an epoch that nobody leads in.

        Raises:
            CoordinationError: it is not.
        """
        if not isinstance(data, dict) or set(data) != {"candidate", "epoch"}:
            form = '{"candidate": id, "epoch": number}'
            raise CoordinationError(f"an election has the form {form}, not {data!r}")
        if type(data["epoch"]) is not int or data["epoch"] <= self._epoch:
            raise CoordinationError(f"the epoch is {self._epoch}: not before {data['epoch']!r}")
        if data["candidate"] not in self._members.voters():
            raise CoordinationError(f"{data['candidate']!r} cannot lead: it does not vote")

    def opened(self, proposal: SwarmProposal) -> None:
        """An election begins."""
        if proposal.motion.type is ProposalType.LEADER_ELECTION:
            self.rounds += 1
            self._latest = max(self._latest, proposal.motion.data["epoch"])

    def backed(self, proposal: SwarmProposal, vote: CastVote) -> str | None:
        """The other candidate of the same epoch whom a voter has approved; None: there is none."""
        motion = proposal.motion
        if motion.type is not ProposalType.LEADER_ELECTION or (
            vote.decision is not VoteDecision.APPROVE
        ):
            return None
        candidate: str = motion.data["candidate"]
        other = self._backed.get((motion.data["epoch"], vote.voter), candidate)
        return None if other == candidate else other

    def voted(self, proposal: SwarmProposal, vote: CastVote) -> None:
        """A vote counts."""
        motion = proposal.motion
        if motion.type is ProposalType.LEADER_ELECTION and vote.decision is VoteDecision.APPROVE:
            self._backed[motion.data["epoch"], vote.voter] = motion.data["candidate"]

    def approved(self, proposal: SwarmProposal) -> None:
        """An election is won."""
        motion = proposal.motion
        if motion.type is ProposalType.LEADER_ELECTION and not self.stale(proposal):
            self._leader, self._epoch = motion.data["candidate"], motion.data["epoch"]
            over = [key for key in self._backed if key[0] < self._epoch]
            for key in over:
                del self._backed[key]

    def stale(self, proposal: SwarmProposal) -> bool:
        """Whether an election is for an epoch that is led in already, or over."""
        motion = proposal.motion
        return (
            motion.type is ProposalType.LEADER_ELECTION and motion.data["epoch"] <= self._epoch
        )

    def resigned(self, member: str) -> None:
        """A member is leader no more."""
        if self._leader == member:
            self._leader = None
