"""Leadership by agreement: elections are values that replicas decide, and all count them alike."""

from __future__ import annotations

import json

from .errors import StaleEpochError
from .messages import Decision
from .quorum import Group

_KIND = "swarmc election 1"


def election_value(candidate: str, epoch: int) -> bytes:
    """What to ask a group for, so that a candidate leads from the end of an epoch on."""
    return json.dumps({"type": _KIND, "candidate": candidate, "after": epoch}).encode()


class ElectedLeader:
    """Who leads, by what a group has decided. Not for several threads at once.

    An election says after which epoch it is: of two that are asked for at once, the one that is
    decided first counts, and the other is too late. The epoch of a leader is the height of its
    election, so that epochs grow, and are the same wherever decisions are read.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self.leader: str | None = None
        self.epoch = 0  #: 0: nobody was elected

    def apply(self, decision: Decision) -> bool:
        """Take a decision, in the order of heights; whether it is an election that counts."""
        candidate, after = _election(decision.value)
        if candidate not in self._group.keys or after != self.epoch:
            return False
        self.leader, self.epoch = candidate, decision.height
        return True

    def fence(self, epoch: int) -> None:
        """Let the leader act. Raises :class:`StaleEpochError` for every other epoch."""
        if epoch != self.epoch or self.leader is None:
            raise StaleEpochError(f"epoch {epoch} is not the leader's: that is {self.epoch}")


def _election(value: bytes) -> tuple[str, int]:
    """Candidate and epoch of an election; an empty candidate if a value is none."""
    try:
        data = json.loads(value)
        if data["type"] == _KIND and type(data["after"]) is int:
            return str(data["candidate"]), data["after"]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass  # values may be anything
    return "", 0
