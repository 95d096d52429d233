"""What a replica asks its surroundings to do, and how long it waits."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from .messages import Decision, Evidence, Message, Record


class TimerKind(enum.Enum):
    """What a timer ends."""

    PROPOSE = "propose"  #: the waiting for a proposal
    PREVOTE = "prevote"  #: the waiting for a quorum of equal prevotes
    PRECOMMIT = "precommit"  #: the round
    GOSSIP = "gossip"  #: silence


@dataclass(frozen=True, slots=True)
class Timer:
    """What :meth:`Agreement.fire` is called with when its time has come."""

    kind: TimerKind
    height: int
    round: int


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. Each wait grows with its round, so that some round is long enough."""

    propose: float = 0.5
    prevote: float = 0.25
    precommit: float = 0.25
    growth: float = 0.25
    gossip: float = 0.25  #: between saying again what may have been lost
    idle: float = 2.0  #: the same while nothing is to be decided

    def of(self, kind: TimerKind, round: int) -> float:
        """How long to wait in a round."""
        first: float = getattr(self, kind.value)
        return first + self.growth * min(round, 60)


@dataclass(frozen=True, slots=True)
class Persist:
    """Make this durable, before anything that comes after it is done."""

    record: Record


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to a replica, or (None) to all others. It may get lost."""

    message: Message
    to: str | None = None


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Call :meth:`Agreement.fire` after so many seconds. None is ever taken back."""

    timer: Timer
    delay: float


@dataclass(frozen=True, slots=True)
class Decide:
    """A value is decided. Said once for each height, in order; again after a restart."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Accuse:
    """A replica is proved to lie. Said once for each replica."""

    evidence: Evidence


Output = Persist | Send | SetTimer | Decide | Accuse
#: Whether a value may be decided at a height; every replica must answer alike.
Valid = Callable[[int, bytes], bool]
