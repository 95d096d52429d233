"""The votes of one height: who voted for what, which quorums there are, who contradicts himself."""

from __future__ import annotations

from .messages import NEVER, Certificate, Evidence, Proposal, Step, Vote
from .quorum import Group

#: How far ahead of its own round a replica keeps votes: a liar cannot fill its memory with more.
ROUNDS_AHEAD = 16

_Slot = tuple[int, Step]


class Tally:
    """Votes and proposals of one height whose signatures have been checked."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._votes: dict[_Slot, dict[str, Vote]] = {}
        self._counts: dict[_Slot, dict[str | None, int]] = {}
        #: The value, or None for none, that a quorum voted for.
        self._reached: dict[_Slot, str | None] = {}
        #: Values that a quorum precommitted: by round.
        self.precommitted: dict[int, str] = {}
        self.proposals: dict[int, Proposal] = {}
        #: Each replica's vote in the highest round that it has voted in.
        self.latest: dict[str, Vote] = {}

    def slot(self, round: int, step: Step) -> _Slot:
        """Which votes are counted together."""
        return round, step

    def has(self, vote: Vote) -> bool:
        """Whether this very vote is counted already."""
        known = self._votes.get(self.slot(vote.round, vote.step), {}).get(vote.replica)
        return known == vote

    def add(self, vote: Vote, own_round: int) -> Evidence | None:
        """Count a vote. The first of a replica counts; another that differs is evidence."""
        latest = self.latest.get(vote.replica)
        if latest is None or vote.round > latest.round:
            self.latest[vote.replica] = vote
        if vote.round > own_round + ROUNDS_AHEAD:
            return None
        slot = self.slot(vote.round, vote.step)
        votes = self._votes.setdefault(slot, {})
        known = votes.get(vote.replica)
        if known is not None:
            same = known.value == vote.value or known.round != vote.round
            return None if same else Evidence(vote.replica, known, vote)
        votes[vote.replica] = vote
        counts = self._counts.setdefault(slot, {})
        counts[vote.value] = count = counts.get(vote.value, 0) + 1
        if count == self._group.quorum:
            self._reached.setdefault(slot, vote.value)
            if vote.step is Step.PRECOMMIT and vote.value is not None:
                self.precommitted.setdefault(slot[0], vote.value)
        return None

    def add_proposal(self, proposal: Proposal, own_round: int) -> Evidence | None:
        """Keep a proposal. The first of its round counts; another that differs is evidence."""
        if proposal.round > own_round + ROUNDS_AHEAD:
            return None
        known = self.proposals.setdefault(proposal.round, proposal)
        if known.signed_bytes(self._group) == proposal.signed_bytes(self._group):
            return None
        return Evidence(proposal.replica, known, proposal)

    def anything(self, round: int, step: Step) -> bool:
        """Whether a quorum has voted, be it for different values."""
        return len(self._votes.get(self.slot(round, step), ())) >= self._group.quorum

    def reached(self, round: int, step: Step) -> tuple[bool, str | None]:
        """Whether a quorum has voted alike, and for what."""
        slot = self.slot(round, step)
        return slot in self._reached, self._reached.get(slot)

    def certificate(self, height: int, round: int, step: Step, value: str) -> Certificate:
        """The votes of a quorum for a value; there must be one."""
        slot = self.slot(round, step)
        votes = [vote for vote in self._votes[slot].values() if vote.value == value]
        votes.sort(key=lambda vote: vote.replica)
        return Certificate(height, round, step, value, tuple(votes[: self._group.quorum]))

    def round_of_others(self) -> int:
        """The highest round that one replica at least has entered that does not lie."""
        rounds = sorted((vote.round for vote in self.latest.values()), reverse=True)
        faulty = self._group.faulty
        return rounds[faulty] if len(rounds) > faulty else NEVER

    def leads_to(self, round: int) -> tuple[Vote, ...]:
        """The votes for which a replica may enter a round: those that end the one before it, and
        those of replicas that are there, or further."""
        ended = self._votes.get(self.slot(round - 1, Step.PRECOMMIT), {}).values()
        return (*ended, *(vote for vote in self.latest.values() if vote.round >= round))

    def cast_in(self, round: int) -> tuple[Vote, ...]:
        """The votes of a round."""
        return tuple(
            vote for step in Step for vote in self._votes.get(self.slot(round, step), {}).values()
        )
