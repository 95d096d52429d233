"""Workers that get no tasks any more, for good."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_STATE = "cluster/excluded"


class State(Protocol):
    """Where it is kept; a ``store.Store`` is one."""

    def get_state(self, key: str, default: Any = None) -> Any: ...

    def set_state(self, key: str, value: Any) -> object: ...


@dataclass(frozen=True, slots=True)
class Excluded:
    """Who, and why.

    Args:
        at: seconds since 1970.
        evidence: a certificate, as JSON.
    """

    worker_id: str
    name: str
    public_key: str | None
    reason: str
    at: float
    evidence: Any = None

    def to_data(self) -> dict[str, Any]:
        """As a value of the codec."""
        return {
            "worker_id": self.worker_id, "name": self.name, "public_key": self.public_key,
            "reason": self.reason, "at": self.at, "evidence": self.evidence,
        }  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Excluded:
        """What :meth:`to_data` gave."""
        return cls(**data)


class Exclusions:
    """All of them, durable."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._lock = threading.Lock()  # held while they are written
        kept = state.get_state(_STATE, [])
        self._all = tuple(Excluded.from_data(data) for data in kept)

    def __iter__(self) -> Any:
        return iter(self._all)

    def find(self, name: str, public_key: str | None) -> Excluded | None:
        """Who has this name or this key."""
        for excluded in self._all:
            if excluded.name == name or (public_key and excluded.public_key == public_key):
                return excluded
        return None

    def add(
        self, worker_id: str, name: str, public_key: str | None, reason: str, evidence: Any
    ) -> Excluded:
        """One more. Waits for the disk."""
        excluded = Excluded(worker_id, name, public_key, reason, time.time(), evidence)
        with self._lock:
            everybody = (*self._all, excluded)
            self._state.set_state(_STATE, [one.to_data() for one in everybody])
            self._all = everybody
        return excluded
