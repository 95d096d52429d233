"""Replicas that lie, for the simulator: each in its own way, and with its own key only."""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import replace

from .messages import (
    Certificate,
    Decision,
    Gossip,
    Message,
    Polka,
    Proposal,
    Step,
    Vote,
    value_id,
)
from .quorum import Group
from .signing import Signer


class Lie(enum.Enum):
    """How a replica is faulty."""

    SILENT = "silent"  #: says nothing
    TWINS = "twins"  #: is there twice, each copy honest by itself
    EQUIVOCATES = "equivocates"  #: proposes two values, tells each of the others another vote
    FORGES = "forges"  #: says that others voted, which their signatures do not bear out


class Liar:
    """A replica that knows the protocol and keeps to none of it."""

    def __init__(
        self, me: str, group: Group, signer: Signer, lie: Lie, chance: random.Random
    ) -> None:
        self.me = me
        self._group = group
        self._signer = signer
        self._lie = lie
        self._chance = chance
        self._said: set[tuple[int, int, str | None]] = set()
        self._polkas: list[Polka] = []

    def receive(self, message: Message) -> list[tuple[str, Message]]:
        """What it says, to whom, when it hears something."""
        if self._lie is Lie.SILENT:
            return []
        out: list[tuple[str, Message]] = []
        if isinstance(message, Gossip) and message.polka is not None:
            self._polkas.append(message.polka)
        for heard in _parts(message):
            value = heard.value if isinstance(heard, Vote) else heard.id
            key = (heard.height, heard.round, value)
            if key in self._said or len(self._said) > 500:
                continue
            self._said.add(key)
            if self._lie is Lie.FORGES:
                out += self._forge(heard)
            else:
                out += self._equivocate(heard.height, heard.round, value)
        return out

    def _others(self) -> list[str]:
        """Some of the others, in any order."""
        names = [name for name in self._group.members if name != self.me]
        self._chance.shuffle(names)
        return names[: self._chance.randint(1, len(names))]

    def _equivocate(
        self, height: int, round: int, value: str | None
    ) -> Iterator[tuple[str, Message]]:
        for name in self._others():
            told = None if self._chance.random() < 0.3 else value
            yield from self._vote_before(name, height, round, told)
        for turn in (round, round + 1):
            if self._group.proposer(height, turn) == self.me:
                for number, name in enumerate(self._others()):
                    content = f"lie {number % 2} at {height}.{turn}".encode()
                    proposal = Proposal(self.me, height, turn, content)
                    if self._polkas and self._chance.random() < 0.5:  # an old one, out of date
                        polka = self._chance.choice(self._polkas)
                        proposal = replace(proposal, value=polka.value, proof=polka.certificate)
                    signature = self._signer.sign(proposal.signed_bytes(self._group))
                    yield name, replace(proposal, signature=signature)
                    yield from self._vote_before(name, height, turn, proposal.id)

    def _vote_before(
        self, name: str, height: int, round: int, value: str | None
    ) -> Iterator[tuple[str, Message]]:
        """Vote, so that only one of the others hears of it."""
        for step in Step:
            vote = Vote(self.me, height, round, step, value)
            signature = self._signer.sign(vote.signed_bytes(self._group))
            yield name, replace(vote, signature=signature)

    def _forge(self, heard: Vote | Proposal) -> Iterator[tuple[str, Message]]:
        """A decision that nobody made, and votes that nobody cast."""
        content = f"forged by {self.me}".encode()
        votes = tuple(
            Vote(name, heard.height, heard.round, Step.PRECOMMIT, value_id(content), b"forged")
            for name in self._group.members[: self._group.quorum]
        )
        proof = Certificate(heard.height, heard.round, Step.PRECOMMIT, value_id(content), votes)
        for name in self._others():
            if self._chance.random() < 0.5:
                yield name, Decision(heard.height, content, proof)
            else:
                yield name, Gossip(self.me, heard.height, votes)


def _parts(message: Message) -> Iterator[Vote | Proposal]:
    if isinstance(message, (Vote, Proposal)):
        yield message
    elif isinstance(message, Gossip):
        yield from message.votes
        if message.proposal is not None:
            yield message.proposal
