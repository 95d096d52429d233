"""Agreement of n replicas of which fewer than a third may do anything: Tendermint, without I/O.

There is no clock, no socket, no thread and no chance in here: what happens is told by
:meth:`Agreement.receive`, :meth:`Agreement.fire` and :meth:`Agreement.submit`, and each gives what
is to be done, in order. A :class:`~.outputs.Persist` must be durable before anything after it is
done. The rules of a round are in :mod:`.rules`; here is what a network that loses, doubles and
reorders messages, crashes, and replicas that lie add to them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

from .errors import BadCertificateError, CoordinationError
from .messages import (
    NEVER,
    Certificate,
    Decision,
    Evidence,
    Gossip,
    Message,
    Polka,
    Proposal,
    Record,
    Request,
    Step,
    Vote,
    check_certificate,
    check_decision,
    value_id,
)
from .outputs import Accuse, Decide, Output, Send, SetTimer, Timeouts, Timer, TimerKind, Valid
from .quorum import Group
from .rules import At, Rules
from .signing import Signer, Verifier

MAX_VALUE = 1 << 20  #: bytes of a value
MAX_PENDING = 10_000  #: values that wait to be proposed
MAX_PENDING_BYTES = 64 << 20  #: of all of them
MAX_ROUND = 1 << 31
_GOSSIPED = 4  # waiting values that gossip carries
_DECISIONS = 16  # decisions that are given at once to who is behind
_EARLY = 16  # messages of the next height, for each replica, that are kept


def _anything(height: int, value: bytes) -> bool:
    return True


class Agreement(Rules):
    """One replica.

    Args:
        me: its id, one of the group's.
        signer: signs in its name.
        verifier: knows everybody's signatures.
        valid: the application's rule of what may be decided at a height; every replica must
            answer alike.
        records: what it made durable before it crashed, in order. A replica that has lost them
            must come back under another id: it could contradict itself.
    """

    def __init__(
        self,
        me: str,
        group: Group,
        signer: Signer,
        verifier: Verifier,
        *,
        valid: Valid = _anything,
        timeouts: Timeouts | None = None,
        records: Iterable[Record] = (),
    ) -> None:
        if me not in group.keys:
            raise CoordinationError(f"{me} is no member of {group.name}")
        super().__init__(me, group, signer, valid, timeouts or Timeouts())
        self.evidence: dict[str, Evidence] = {}  #: replicas that are proved to lie
        self._verifier = verifier
        self._early: list[Vote | Proposal] = []
        for record in records:
            self._restore(record)

    # What happens

    def start(self) -> list[Output]:
        """Begin, or go on after a crash. Says again what is decided."""
        self._out += [Decide(decision) for decision in self.decisions]
        last = max([round for round, _ in self._signed], default=NEVER)
        last = max(last, self._locked[0], self._entered)
        if last != NEVER:
            self._begin_round(last)
        self._out.append(SetTimer(Timer(TimerKind.GOSSIP, 0, 0), self._timeouts.gossip))
        self._out.append(Send(self._gossip()))
        return self._done()

    def submit(self, value: bytes) -> list[Output]:
        """Ask for a value to be decided, once, at some height.

        It is said again until then; only a crash of this replica makes it forget.

        Raises:
            CoordinationError: it is too long, or too many are waiting, or it may not be decided.
        """
        if len(value) > MAX_VALUE:
            raise CoordinationError(f"a value has {len(value)} bytes: {MAX_VALUE} are allowed")
        if not self._room(value):
            raise CoordinationError(f"{len(self._pending)} values are waiting to be decided")
        if not self._valid(self._height, value):
            raise CoordinationError("this value may not be decided")
        self._out.append(Send(Request(value)))
        self._request(value)
        return self._done()

    def receive(self, message: Message) -> list[Output]:
        """A message has come, from whomever, however late, however often."""
        if isinstance(message, Gossip):
            self._hear(message)
        elif isinstance(message, Decision):
            self._learn(message)
        elif isinstance(message, Request):
            self._request(message.value)
        else:
            self._take(message)
        return self._done()

    def fire(self, timer: Timer) -> list[Output]:
        """The time of a timer has come."""
        kind = timer.kind
        if kind is TimerKind.GOSSIP:
            idle = self._round == NEVER and not self._pending
            delay = self._timeouts.idle if idle else self._timeouts.gossip
            self._out += [SetTimer(timer, delay), Send(self._gossip())]
        elif (timer.height, timer.round) == (self._height, self._round):
            if kind is TimerKind.PROPOSE and self._at is At.PROPOSE:  # line 57
                self._vote(Step.PREVOTE, None)
            elif kind is TimerKind.PREVOTE and self._at is At.PREVOTE:  # line 61
                self._vote(Step.PRECOMMIT, None)
            elif kind is TimerKind.PRECOMMIT:  # line 65
                self._enter_round(self._round + 1)
        return self._done()

    # Inside

    def _done(self) -> list[Output]:
        self._advance()
        out, self._out = self._out, []
        return out

    def _request(self, value: bytes) -> None:
        id = value_id(value)
        if id in self._pending or id in self._decided or len(value) > MAX_VALUE:
            return
        if self._room(value) and self._valid(self._height, value):
            self._pending[id] = value
            if self._round == NEVER:
                self._begin_round(0)
            else:
                self._propose()

    def _room(self, value: bytes) -> bool:
        """Whether one more value may wait."""
        size = sum(map(len, self._pending.values())) + len(value)
        return len(self._pending) < MAX_PENDING and size <= MAX_PENDING_BYTES

    def _take(self, message: Vote | Proposal) -> None:
        """Count a vote or a proposal, if it is this height's and signed by who it says."""
        if message.height != self._height:
            room = _EARLY * len(self.group.keys)
            if message.height == self._height + 1 and len(self._early) < room:
                self._early.append(message)
            return
        if not 0 <= message.round < MAX_ROUND or message.replica not in self.group.keys:
            return
        if isinstance(message, Vote):
            evidence = self._take_vote(message)
        else:
            evidence = self._take_proposal(message)
        if evidence is not None and evidence.replica not in self.evidence:
            self.evidence[evidence.replica] = evidence
            self._out.append(Accuse(evidence))
        tally = self._tally
        if self._round == NEVER and (tally.proposals or tally.round_of_others() != NEVER):
            self._begin_round(0)

    def _signed_by(self, message: Vote | Proposal) -> bool:
        data = message.signed_bytes(self.group)
        return self._verifier.verify(message.replica, data, message.signature)

    def _take_vote(self, vote: Vote) -> Evidence | None:
        if self._tally.has(vote) or not self._signed_by(vote):
            return None
        return self._tally.add(vote, self._round)

    def _take_proposal(self, proposal: Proposal) -> Evidence | None:
        known = self._tally.proposals.get(proposal.round)
        if (
            known == proposal
            or proposal.replica != self.group.proposer(proposal.height, proposal.round)
            or len(proposal.value) > MAX_VALUE
            or not self._signed_by(proposal)
        ):
            return None
        if proposal.proof is not None:
            proof = self._proved(proposal.proof, proposal.id)
            if proof is None or proof.round >= proposal.round:
                return None
            proposal = replace(proposal, proof=proof)
            self._hear_polka(Polka(proposal.value, proof))
        evidence = self._tally.add_proposal(proposal, self._round)
        if proposal.proof is not None or self._wants(proposal):
            self._values[proposal.id] = proposal.value
        return evidence

    def _wants(self, proposal: Proposal) -> bool:
        """Whether a proposal's value is to be kept: a liar may sign any number of others."""
        if self._tally.proposals.get(proposal.round) is proposal:
            return True
        prevoted = self._tally.reached(proposal.round, Step.PREVOTE)[1]
        return proposal.id in (prevoted, self._tally.precommitted.get(proposal.round))

    def _proved(self, proof: Certificate, value: str) -> Certificate | None:
        """A certificate that a quorum prevoted a value at this height; None: it is none."""
        known = self._polka
        if (proof.height, proof.step, proof.value) != (self._height, Step.PREVOTE, value):
            return None
        if known is not None and known.certificate.round == proof.round:
            return known.certificate if known.certificate.value == value else None
        try:
            check_certificate(proof, self.group, self._verifier)
        except BadCertificateError:
            return None
        return proof

    def _hear(self, gossip: Gossip) -> None:
        if gossip.replica not in self.group.keys or gossip.replica == self.me:
            return
        for value in gossip.requests[:_GOSSIPED]:
            self._request(value)
        if gossip.height < self._height:
            first = max(gossip.height, 1) - 1
            for decision in self.decisions[first : first + _DECISIONS]:
                self._out.append(Send(decision, gossip.replica))
            return
        if gossip.height > self._height:
            self._out.append(Send(self._gossip(), gossip.replica))  # asks for decisions
            return
        polka, known = gossip.polka, self._polka
        if polka is not None and known is not None:
            if polka.certificate.round <= known.certificate.round:
                polka = None  # it says nothing new
        if polka is not None and len(polka.value) <= MAX_VALUE:
            id = value_id(polka.value)
            proof = self._proved(polka.certificate, id)
            if proof is not None:
                self._values[id] = polka.value
                self._hear_polka(Polka(polka.value, proof))
        if gossip.proposal is not None:
            self._take(gossip.proposal)
        for vote in gossip.votes:
            self._take(vote)

    def _gossip(self) -> Gossip:
        """All that may help others."""
        requests = tuple(itertools.islice(self._pending.values(), _GOSSIPED))
        if self._round == NEVER:
            return Gossip(self.me, self._height, requests=requests)
        tally, round = self._tally, self._round
        own = (vote for vote in self._signed.values() if isinstance(vote, Vote))
        votes = dict.fromkeys((*tally.leads_to(round), *tally.cast_in(round), *own))
        proposal = tally.proposals.get(round)
        return Gossip(self.me, self._height, tuple(votes), proposal, self._polka, requests)

    def _learn(self, decision: Decision) -> None:
        """Catch up by a decision that others made, if its certificate proves it."""
        if decision.height != self._height:
            return
        try:
            check_decision(decision, self.group, self._verifier)
        except BadCertificateError:
            return
        self._finish(decision)

    def _finish(self, decision: Decision) -> None:
        super()._finish(decision)
        early, self._early = self._early, []
        for message in early:
            self._take(message)
