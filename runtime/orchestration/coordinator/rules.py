"""The rules of agreement within one height: when to propose, to vote, to lock, to go on.

After E. Buchman, J. Kwon, Z. Milosevic: *The latest gossip on BFT consensus* (2018); comments name
the lines of its algorithm 1. What is added: a proposal brings the prevotes that it refers to, so
that no rule waits for votes of an earlier round.
"""

from __future__ import annotations

import enum
from dataclasses import replace

from .messages import NEVER, Decision, Entry, Polka, Proposal, Record, Step, Vote
from .outputs import Decide, Output, Persist, Send, SetTimer, Timeouts, Timer, TimerKind, Valid
from .quorum import Group
from .signing import Signer
from .tally import Tally


class At(enum.IntEnum):
    """How far a replica is in its round: what it has voted."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


class Rules:
    """What one replica knows of the height that is to be decided, and what follows from it.

    Nothing in here trusts a message: what is in the tally and among the values has been checked.
    """

    tally_type = Tally

    def __init__(
        self, me: str, group: Group, signer: Signer, valid: Valid, timeouts: Timeouts
    ) -> None:
        self.me = me
        self.group = group
        self.decisions: list[Decision] = []
        self.rounds = 0  #: rounds begun, over all heights
        self._signer = signer
        self._valid = valid
        self._timeouts = timeouts
        self._out: list[Output] = []
        #: Values that wait to be proposed, and those that are decided, by id.
        self._pending: dict[str, bytes] = {}
        self._decided: set[str] = set()
        self._begin_height()

    @property
    def height(self) -> int:
        """The height that is to be decided, from 1."""
        return self._height

    @property
    def round(self) -> int:
        """The round that it is in; -1: nothing is going on."""
        return self._round

    def _begin_height(self) -> None:
        self._height = len(self.decisions) + 1
        self._round = NEVER
        self._at = At.PROPOSE
        self._tally = self.tally_type(self.group)
        self._values: dict[str, bytes] = {}
        #: What this replica has signed at this height: proposals under (round, None).
        self._signed: dict[tuple[int, Step | None], Vote | Proposal] = {}
        self._locked: tuple[int, str] = (NEVER, "")
        self._polka: Polka | None = None  # of the highest round; what it proposes
        self._entered = NEVER  # by what was restored
        self._waiting: set[Timer] = set()  # timers that are set once in a round

    def _enter_round(self, round: int) -> None:
        """Go on to a later round, in a way that others can follow even after a crash."""
        why = Entry(self._height, round, self._tally.leads_to(round))
        self._out.append(Persist(why))
        self._begin_round(round)

    def _begin_round(self, round: int) -> None:  # line 11
        self.rounds += 1
        self._round = round
        self._at = At.PROPOSE
        if (round, Step.PRECOMMIT) in self._signed:
            self._at = At.PRECOMMIT
        elif (round, Step.PREVOTE) in self._signed:
            self._at = At.PREVOTE
        else:
            self._set(TimerKind.PROPOSE)
        self._propose()

    def _propose(self) -> None:  # lines 14 to 19
        """Propose, if it is this replica's turn and it has not yet and there is a value."""
        key = (self._round, None)
        if (
            self._at is not At.PROPOSE
            or self.group.proposer(self._height, self._round) != self.me
            or key in self._signed
        ):
            return
        value, proof = next(iter(self._pending.values()), None), None
        if self._polka is not None:
            value, proof = self._polka.value, self._polka.certificate
        if value is None:
            return
        proposal = Proposal(self.me, self._height, self._round, value, proof)
        signature = self._signer.sign(proposal.signed_bytes(self.group))
        proposal = replace(proposal, signature=signature)
        self._values[proposal.id] = value
        self._signed[key] = proposal
        self._tally.add_proposal(proposal, self._round)
        self._say(proposal)

    def _vote(self, step: Step, value: str | None) -> None:
        """Sign a vote of the current round, once and for all, and say it."""
        vote = Vote(self.me, self._height, self._round, step, value)
        vote = replace(vote, signature=self._signer.sign(vote.signed_bytes(self.group)))
        self._at = At.PREVOTE if step is Step.PREVOTE else At.PRECOMMIT
        self._signed[self._round, step] = vote
        self._tally.add(vote, self._round)
        self._say(vote)

    def _say(self, signed: Vote | Proposal) -> None:
        self._out += [Persist(signed), Send(signed)]

    def _set(self, kind: TimerKind) -> None:
        """Set a timer of this round, unless it is set."""
        timer = Timer(kind, self._height, self._round)
        if timer not in self._waiting:
            self._waiting.add(timer)
            self._out.append(SetTimer(timer, self._timeouts.of(kind, self._round)))

    def _advance(self) -> None:
        """Apply the rules until none applies."""
        while self._decide() or (self._round != NEVER and self._progress()):
            pass

    def _progress(self) -> bool:
        """Apply one rule of the round; whether there was one."""
        others = self._tally.round_of_others()
        if others > self._round:  # line 55
            self._enter_round(others)
            return True
        if self._at is At.PROPOSE and self._consider():
            return True
        if self._at is At.PREVOTE and self._conclude():
            return True
        self._note_polka()
        tally, round = self._tally, self._round
        if self._at is At.PREVOTE and tally.anything(round, Step.PREVOTE):  # line 34
            self._set(TimerKind.PREVOTE)
        if tally.anything(round, Step.PRECOMMIT):  # line 47
            self._set(TimerKind.PRECOMMIT)
        return False

    def _consider(self) -> bool:  # lines 22 and 28
        """Prevote what is proposed, if it may be decided and no lock forbids it."""
        proposal = self._tally.proposals.get(self._round)
        if proposal is None:
            return False
        good = (
            self._unlocked(proposal)
            and proposal.id not in self._decided
            and self._valid(self._height, proposal.value)
        )
        self._vote(Step.PREVOTE, proposal.id if good else None)
        return True

    def _unlocked(self, proposal: Proposal) -> bool:
        """Whether the lock lets this replica prevote a proposal.

        It has locked a value for which a quorum may have precommitted: only prevotes of a quorum
        for another one, in a later round, show that it was not decided.
        """
        round, value = self._locked
        proved = NEVER if proposal.proof is None else proposal.proof.round
        return round == NEVER or value == proposal.id or round <= proved

    def _conclude(self) -> bool:  # lines 36 and 44
        """Precommit what a quorum prevoted, and lock it."""
        self._note_polka()
        reached, value = self._tally.reached(self._round, Step.PREVOTE)
        if self._polka is not None and self._polka.certificate.round == self._round:
            reached, value = True, self._polka.certificate.value  # others may have shown it
        if not reached or (value is not None and value not in self._values):
            return False
        if value is not None:
            self._locked = (self._round, value)
            if self._polka is not None:
                self._out.append(Persist(self._polka))
        self._vote(Step.PRECOMMIT, value)
        return True

    def _note_polka(self) -> None:  # line 42
        """Keep what a quorum has prevoted in this round: it is what to propose from now on."""
        reached, value = self._tally.reached(self._round, Step.PREVOTE)
        if reached and value is not None and value in self._values:
            known = self._polka
            if known is None or known.certificate.round < self._round:
                proof = self._tally.certificate(self._height, self._round, Step.PREVOTE, value)
                self._hear_polka(Polka(self._values[value], proof))

    def _hear_polka(self, polka: Polka) -> None:
        """Keep a polka that is proved, if it is the latest."""
        known = self._polka
        if known is None or known.certificate.round < polka.certificate.round:
            self._polka = polka

    def _decide(self) -> bool:  # line 49
        """Decide what a quorum precommitted, in whichever round."""
        for round, value in self._tally.precommitted.items():
            if value in self._values:
                proof = self._tally.certificate(self._height, round, Step.PRECOMMIT, value)
                self._finish(Decision(self._height, self._values[value], proof))
                return True
        return False

    def _finish(self, decision: Decision) -> None:
        """A height is decided: keep it, begin the next one."""
        self._out += [Persist(decision), Decide(decision)]
        self._remember(decision)
        if self._pending:
            self._begin_round(0)

    def _remember(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self._decided.add(decision.certificate.value)
        self._pending.pop(decision.certificate.value, None)
        self._begin_height()

    def _restore(self, record: Record) -> None:
        """Take up again what was made durable before a crash."""
        if isinstance(record, Decision):
            if record.height == self._height:
                self._remember(record)
        elif isinstance(record, Polka):
            if record.certificate.height == self._height:
                self._values[record.certificate.value] = record.value
                self._locked = (record.certificate.round, record.certificate.value)
                self._polka = record
        elif isinstance(record, Entry):
            if record.height == self._height:
                self._entered = record.round
                for vote in record.votes:
                    self._tally.add(vote, vote.round)
        elif record.height == self._height:
            step = record.step if isinstance(record, Vote) else None
            self._signed[record.round, step] = record
            if isinstance(record, Vote):
                self._tally.add(record, record.round)
            else:
                self._values[record.id] = record.value
                self._tally.add_proposal(record, record.round)
