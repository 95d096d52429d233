"""The order in which locks are taken, held by who takes the first of them.

========================  ===========================================================
``SwarmOrchestrator``     before all others
``SwarmCoordinator``      before the registry's, which it asks who is there
``AgentRegistry``         also the scheduler's and the health monitor's; before those of
                          breakers and of the store's queue, for which nobody waits
========================  ===========================================================

Who holds one of them does not ask for one above it: two threads that did would wait for each other.
"""

from __future__ import annotations

import threading

from .errors import OrchestrationError


class LockOrderError(OrchestrationError):
    """Something was called by a thread that holds a lock which comes after its own."""


class OuterLock:
    """A reentrant lock that comes before another one, and is refused to who holds only that one.

    Args:
        inner: the other one; None: there is none.
        message: says what was called, and by whom; hint: what to do instead.
    """

    def __init__(self, inner: threading.RLock | None, message: str, hint: str) -> None:
        self._lock = threading.RLock()
        self._inner = inner
        self._message, self._hint = message, hint

    def __enter__(self) -> None:
        if _mine(self._inner) and not _mine(self._lock):
            raise LockOrderError(self._message, hint=self._hint)
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def _mine(lock: threading.RLock | None) -> bool:
    """Whether this thread holds a lock; threading.Condition asks in the same way."""
    return lock is not None and bool(lock._is_owned())  # type: ignore[attr-defined]
