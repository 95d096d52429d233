"""The worlds of the simulator: how bad a network is, who crashes, who lies."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from .liars import Lie


@dataclass(frozen=True, slots=True)
class Scenario:
    """How bad a world is. Times are in the simulator's own unit; a good message takes 1 or 2."""

    members: int
    lies: Mapping[int, Lie]  #: by the member's number
    requests: int  #: values that correct replicas want decided
    drop: float  #: share of messages that get lost
    proposals_lost: float  #: share of proposals that get lost
    prevotes_lost: float  #: share of prevotes that get lost
    precommits_lost: float  #: share of precommits that get lost
    gossip_lost: float  #: share of gossip that gets lost
    duplicate: float
    delay: float  #: of the slowest message
    partitions: int
    crashes: int
    interrupted: float  #: how probably a replica crashes in the middle of what it does
    heals: float  #: when all of that ends

    @classmethod
    def of(cls, seed: int) -> Self:
        """One of the worlds, each of which a seed names: two of three are hostile."""
        chance = random.Random(f"scenario {seed}")
        return cls._hostile(chance) if chance.random() < 0.66 else cls._bad(chance)

    @classmethod
    def _hostile(cls, chance: random.Random) -> Self:
        """Much of what leads to a decision gets lost, and nearly all that would repair that."""
        lie = chance.choice((Lie.TWINS, Lie.EQUIVOCATES, Lie.EQUIVOCATES))
        return cls(
            4,
            {chance.randrange(4): lie},
            requests=chance.randint(3, 4),
            drop=0.0,
            proposals_lost=chance.uniform(0.2, 0.4),
            prevotes_lost=chance.uniform(0.0, 0.15),
            precommits_lost=chance.uniform(0.15, 0.5),
            gossip_lost=0.9,
            duplicate=0.0,
            delay=chance.choice((1.0, 6.0)),
            partitions=chance.choice((0, 0, 8)),
            crashes=chance.choice((0, 0, 4)),
            interrupted=chance.choice((0.0, 0.0, 0.05)),
            heals=200.0,
        )

    @classmethod
    def _bad(cls, chance: random.Random) -> Self:
        """Everything happens, to everybody alike."""
        members = chance.choice((4, 4, 5, 6, 7))
        liars = chance.sample(range(members), (members - 1) // 3)
        return cls(
            members,
            {number: chance.choice(tuple(Lie)) for number in liars},
            requests=chance.randint(1, 3),
            drop=chance.choice((0.0, 0.1, 0.3)),
            proposals_lost=0.0,
            prevotes_lost=0.0,
            precommits_lost=0.0,
            gossip_lost=chance.choice((0.0, 0.5)),
            duplicate=chance.choice((0.0, 0.1)),
            delay=chance.choice((2.0, 6.0, 20.0)),
            partitions=chance.choice((0, 4, 12)),
            crashes=chance.choice((0, 2, 6)),
            interrupted=chance.choice((0.0, 0.02, 0.1)),
            heals=chance.uniform(50, 150),
        )
