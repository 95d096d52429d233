"""A bounded queue in which room is taken before anything is put, and taken out twice: at first
received, then acknowledged."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from ..errors import ClosedError
from .errors import ChannelFullError, HubConfigError, UnknownMessageError
from .message import Message, unpack


@dataclass(slots=True)
class Counts:
    """Numbers of a channel; see ``ChannelStats``."""

    sent: int = 0
    received: int = 0
    acknowledged: int = 0
    rejected: int = 0
    refused: int = 0
    restored: int = 0
    dropped: int = 0


class BoundedQueue:
    """Messages in the order in which they were put.

    Room is for messages that wait, and for those that were received but not acknowledged.
    """

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise HubConfigError(f"the capacity of {name} must be 1 at least, not {capacity!r}")
        self.name = name
        self.capacity = capacity
        self.counts = Counts()
        #: Guards everything below and the counts; notified when anything changes that is waited
        #: for.
        self._changed = threading.Condition()
        self._waiting: deque[Message] = deque()
        self._unacknowledged: dict[str, Message] = {}
        self._reserved = 0
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._waiting)

    @property
    def unacknowledged(self) -> int:
        """How many messages were received and not acknowledged."""
        with self._changed:
            return len(self._unacknowledged)

    def snapshot(self) -> tuple[Counts, int, int]:
        """The counts, and how many wait and are not acknowledged."""
        with self._changed:
            return replace(self.counts), len(self._waiting), len(self._unacknowledged)

    def reserve(self, deadline: float | None) -> None:
        """Take room for one message, until a time by ``time.monotonic``; None: whenever.

        Raises:
            ChannelFullError: there was none until then.
            ClosedError: the queue is closed.
        """
        with self._changed:
            while not self._closed and self._used() >= self.capacity:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    self.counts.refused += 1
                    raise ChannelFullError((self.name,), self.capacity)
                self._changed.wait(left)
            self._check()
            self._reserved += 1

    def _used(self) -> int:
        return len(self._waiting) + len(self._unacknowledged) + self._reserved

    def _check(self) -> None:
        if self._closed:
            raise ClosedError(f"{self.name} is closed")

    def cancel(self) -> None:
        """Give room back that was reserved."""
        with self._changed:
            self._reserved -= 1
            self._changed.notify_all()

    def put(self, message: Message) -> None:
        """Put a message for which room was reserved; its payload may be packed."""
        with self._changed:
            self._reserved -= 1
            if not self._closed:
                self._waiting.append(message)
                self.counts.sent += 1
            self._changed.notify_all()

    def restore(self, message: Message) -> None:
        """Put a message that was there before a restart, whether there is room or not."""
        with self._changed:
            self._waiting.append(message)
            self.counts.restored += 1
            self._changed.notify_all()

    def take(self, timeout: float | None, *, acknowledge: bool) -> Message | None:
        """The first message, or None if none came in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._closed and not self._waiting:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            self._check()
            kept = self._waiting.popleft()
            self.counts.received += 1
            if acknowledge:
                self.counts.acknowledged += 1
                self._changed.notify_all()
            else:
                self._unacknowledged[kept.id] = kept
        return replace(kept, payload=unpack(kept.payload))

    def acknowledge(self, message_id: str) -> None:
        """Forget a message that was received.

        Raises:
            UnknownMessageError: it was not, or is acknowledged already.
        """
        with self._changed:
            self._pop(message_id)
            self.counts.acknowledged += 1
            self._changed.notify_all()

    def reject(self, message_id: str) -> None:
        """Put a message that was received back to the front.

        Raises:
            UnknownMessageError: as :meth:`acknowledge`.
        """
        with self._changed:
            kept = self._pop(message_id)
            self._waiting.appendleft(replace(kept, deliveries=kept.deliveries + 1))
            self.counts.rejected += 1
            self._changed.notify_all()

    def _pop(self, message_id: str) -> Message:
        kept = self._unacknowledged.pop(message_id, None)
        if kept is None:
            raise UnknownMessageError(f"{self.name}: no message {message_id!r} to acknowledge")
        return kept

    def drop(self) -> list[str]:
        """Drop everything; the ids."""
        with self._changed:
            ids = [*self._unacknowledged, *(message.id for message in self._waiting)]
            self._unacknowledged.clear()
            self._waiting.clear()
            self.counts.dropped += len(ids)
            self._changed.notify_all()
        return ids

    def close(self) -> None:
        """Wake everybody who waits; nothing goes in or out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def deadline_of(timeout: float | None) -> float | None:
    """When a timeout is over, by ``time.monotonic``."""
    return None if timeout is None else time.monotonic() + timeout
