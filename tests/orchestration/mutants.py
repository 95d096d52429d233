"""Agreement with one rule broken each: what the simulator must notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarmc.runtime.orchestration.coordinator.agreement import Agreement
from swarmc.runtime.orchestration.coordinator.messages import (
    Evidence,
    Gossip,
    Proposal,
    Record,
    Step,
    Vote,
)
from swarmc.runtime.orchestration.coordinator.quorum import Group
from swarmc.runtime.orchestration.coordinator.rules import At
from swarmc.runtime.orchestration.coordinator.signing import Signer, Verifier
from swarmc.runtime.orchestration.coordinator.simulator import TIMEOUTS, Make


class NoLock(Agreement):
    """Prevotes whatever is proposed."""

    def _unlocked(self, proposal: Proposal) -> bool:
        return True


class AnyRound(Agreement):
    """Counts a vote of an earlier round as one of its own round."""

    def _take_vote(self, vote: Vote) -> Evidence | None:
        if self._signed_by(vote) and vote.round < self._round:
            self._tally.add(replace(vote, round=self._round), self._round)
        return super()._take_vote(vote)


class HalfPrecommit(Agreement):
    """Precommits what is proposed, without waiting for prevotes."""

    def _conclude(self) -> bool:
        proposal = self._tally.proposals.get(self._round)
        if self._at is At.PREVOTE and proposal is not None:
            self._vote(Step.PRECOMMIT, proposal.id)
            return True
        return super()._conclude()


class Taciturn(Agreement):
    """Says nothing twice: what got lost stays lost."""

    def _gossip(self) -> Gossip:
        return Gossip(self.me, self.height)


class _Trusting:
    def verify(self, member: str, data: bytes, signature: bytes) -> bool:
        return True


def _with(kind: type[Agreement]) -> Make:
    def make(
        me: str, group: Group, signer: Signer, verifier: Verifier, records: Sequence[Record]
    ) -> Agreement:
        return kind(me, group, signer, verifier, timeouts=TIMEOUTS, records=records)

    return make


def _small_quorum(
    me: str, group: Group, signer: Signer, verifier: Verifier, records: Sequence[Record]
) -> Agreement:
    small = Group(group.name, group.keys)
    object.__setattr__(small, "quorum", 2 * small.faulty)
    return Agreement(me, small, signer, verifier, timeouts=TIMEOUTS, records=records)


def _forgetful(
    me: str, group: Group, signer: Signer, verifier: Verifier, records: Sequence[Record]
) -> Agreement:
    return Agreement(me, group, signer, verifier, timeouts=TIMEOUTS)


def _trusting(
    me: str, group: Group, signer: Signer, verifier: Verifier, records: Sequence[Record]
) -> Agreement:
    return Agreement(me, group, signer, _Trusting(), timeouts=TIMEOUTS, records=records)


MUTANTS: dict[str, Make] = {
    "quorum of 2f": _small_quorum,
    "no lock": _with(NoLock),
    "counts votes of earlier rounds": _with(AnyRound),
    "precommits without prevotes": _with(HalfPrecommit),
    "forgets its record at a restart": _forgetful,
    "checks no signatures": _trusting,
}
#: Those that break no promise about what is decided, but that something is.
TOO_QUIET: dict[str, Make] = {"says nothing twice": _with(Taciturn)}
