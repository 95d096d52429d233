"""Channels: a queue that somebody receives from, and a list of such queues that all get a copy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import ClosedError
from ..interfaces import EventLog
from ..tasks import new_id
from .errors import ChannelFullError, HubConfigError, UnknownMemberError
from .journal import Journal
from .message import Message, Packed, check_threshold, pack
from .queue import BoundedQueue, deadline_of

DEFAULT_CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """Numbers of a channel.

    ``sent + restored == acknowledged + dropped + waiting + unacknowledged``.

    Args:
        sent: that were accepted. refused: for which there was no room in time.
        received: given to receivers. acknowledged: done with. rejected: put back by receivers.
        restored: that were left from before a restart. dropped: with the channel's owner.
        waiting: in the queue now. unacknowledged: received, and not done with now.
        bytes_before, bytes_after: of payloads that were compressed.
    """

    sent: int = 0
    received: int = 0
    acknowledged: int = 0
    rejected: int = 0
    refused: int = 0
    restored: int = 0
    dropped: int = 0
    waiting: int = 0
    unacknowledged: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __add__(self, other: ChannelStats) -> ChannelStats:
        return ChannelStats(
            *(getattr(self, name) + getattr(other, name) for name in self.__slots__)
        )


class MessageChannel:
    """A bounded queue of messages. May be used from several threads; each message goes to one
    receiver, in the order of sending.

    Args:
        capacity: most messages that wait or are not acknowledged.
        compress_above: bytes of a payload from which on it is compressed while it waits, if that
            makes it smaller; None: never. Payloads that are no bytes are values of
            :mod:`..codec` then.
        log: where messages are kept: what is sent is durable when ``send`` returns, and what
            nobody has acknowledged is there again in the next channel of that name. None: they are
            gone with the process, and payloads may be any objects.
        clock: what time it is, in seconds since 1970.
    """

    def __init__(
        self, name: str, *, capacity: int = DEFAULT_CAPACITY, compress_above: int | None = None,
        log: EventLog | Journal | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.name = name
        self._threshold = check_threshold(compress_above)
        self._queue = BoundedQueue(name, capacity)
        self._journal = Journal(log) if log is not None and not isinstance(log, Journal) else log
        self._clock = clock
        self._bytes = (0, 0)
        self._counting = threading.Lock()  # guards _bytes
        if self._journal is not None:
            for message in self._journal.take(name):
                self._queue.restore(message)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    def __repr__(self) -> str:
        return f"<MessageChannel {self.name}: {len(self)} of {self.capacity}>"

    @property
    def capacity(self) -> int:
        """Most messages that wait or are not acknowledged."""
        return self._queue.capacity

    def send(
        self, payload: Any, *, sender: str = "", recipient: str | None = None,
        route: tuple[str, ...] = (), timeout: float | None = 0.0,
    ) -> str:  # fmt: skip
        """Send a message; its id.

        Args:
            timeout: seconds to wait for room; None: until the channel is closed.

        Raises:
            ChannelFullError: there was no room in time. Nothing is sent.
            ClosedError: the channel is closed.
            ValueEncodingError: the payload has no form that could be kept or compressed.
            StoreError: the log does not take it. Nothing is sent.
        """
        message = self.prepare(payload, sender=sender, recipient=recipient, route=route)
        send_all([(self, message)], timeout)
        return message.id

    def prepare(
        self, payload: Any, *, sender: str, recipient: str | None = None,
        route: tuple[str, ...] = (),
    ) -> Message:  # fmt: skip
        """A message to this channel that is not sent yet; its payload may be packed."""
        packed = pack(payload, self._threshold)
        if isinstance(packed, Packed):
            with self._counting:
                before, after = self._bytes
                self._bytes = before + packed.size, after + len(packed.data)
        return Message(
            new_id("message"), self.name, sender, recipient, packed, self._clock(), route
        )

    def receive(
        self, timeout: float | None = 0.0, *, acknowledge: bool = True
    ) -> Message | None:
        """The next message; None if none came in time.

        Args:
            timeout: seconds to wait; None: until one comes or the channel is closed.
            acknowledge: whether it is done with by that. If not, call :meth:`acknowledge` when it
                is; until then it comes again after a restart.

        Raises:
            ClosedError: the channel is closed.
        """
        message = self._queue.take(timeout, acknowledge=acknowledge)
        if message is not None and acknowledge and self._journal is not None:
            self._journal.delivered(message.id, message.recipient)
        return message

    @contextmanager
    def receiving(self, timeout: float | None = 0.0) -> Iterator[Message | None]:
        """The next message, which is acknowledged if the block ends well, and put back if not."""
        message = self.receive(timeout, acknowledge=False)
        try:
            yield message
        except BaseException:
            if message is not None:
                self.reject(message)
            raise
        if message is not None:
            self.acknowledge(message)

    def acknowledge(self, message: Message) -> None:
        """A message that was received is done with.

        Raises:
            UnknownMessageError: it is already, or was put back.
        """
        self._queue.acknowledge(message.id)
        if self._journal is not None:
            self._journal.delivered(message.id, message.recipient)

    def reject(self, message: Message) -> None:
        """Put a message that was received back: it is the next one to be received.

        Raises:
            UnknownMessageError: it is acknowledged, or was put back already.
        """
        self._queue.reject(message.id)

    def drop(self) -> int:
        """Drop everything that waits or is not acknowledged; how many."""
        ids = self._queue.drop()
        if self._journal is not None:
            for message_id in ids:
                self._journal.delivered(message_id, None, dropped=True)
        return len(ids)

    def stats(self) -> ChannelStats:
        """Numbers of what happened so far."""
        counts, waiting, unacknowledged = self._queue.snapshot()
        with self._counting:
            before, after = self._bytes
        return ChannelStats(
            counts.sent, counts.received, counts.acknowledged, counts.rejected, counts.refused,
            counts.restored, counts.dropped, waiting, unacknowledged, before, after,
        )  # fmt: skip

    def close(self) -> None:
        """Wake everybody who waits. What is kept in a log stays there; what was acknowledged is
        noted there when this returns, unless the log takes seconds."""
        self._queue.close()
        if self._journal is not None:
            self._journal.flush()


def send_all(messages: list[tuple[MessageChannel, Message]], timeout: float | None) -> None:
    """Send messages to several channels, all of them or none.

    Raises:
        ChannelFullError: some channels had no room in time; it names them.
        ClosedError, StoreError: as ``MessageChannel.send``.
    """
    deadline = deadline_of(timeout)
    # In one order everywhere, so that two who wait for room cannot hold up each other for good.
    ordered = sorted(messages, key=lambda pair: pair[0].name)
    reserved: list[MessageChannel] = []
    full: list[str] = []
    try:
        for channel, _ in ordered:
            try:
                channel._queue.reserve(deadline)
                reserved.append(channel)
            except ChannelFullError:
                full.append(channel.name)
        if full:
            raise ChannelFullError(tuple(full), ordered[0][0].capacity)
        journal = ordered[0][0]._journal if ordered else None
        if journal is not None:
            journal.sent([message for _, message in ordered])
    except BaseException:
        for channel in reserved:
            channel._queue.cancel()
        raise
    for channel, message in ordered:
        channel._queue.put(message)


class BroadcastChannel:
    """A channel of which every subscriber gets every message. May be used from several threads.

    Each subscriber has a :class:`MessageChannel` of its own, ``NAME/SUBSCRIBER``, and its copy of a
    message an id of its own. Arguments are that class's; ``capacity`` is each subscriber's.
    """

    def __init__(
        self, name: str, *, capacity: int = DEFAULT_CAPACITY, compress_above: int | None = None,
        log: EventLog | Journal | None = None, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.name = name
        self._capacity, self._threshold, self._clock = capacity, compress_above, clock
        self._journal = Journal(log) if log is not None and not isinstance(log, Journal) else log
        self._subscribers: dict[str, MessageChannel] = {}
        self._closed = False
        self._gone = ChannelStats()  # of those who unsubscribed
        self._lock = threading.Lock()  # guards the three above

    def __repr__(self) -> str:
        return f"<BroadcastChannel {self.name}: {len(self.subscribers)} subscribers>"

    @property
    def subscribers(self) -> tuple[str, ...]:
        """Names of those who get messages, in the order of subscribing."""
        with self._lock:
            return tuple(self._subscribers)

    def subscribe(self, subscriber: str) -> MessageChannel:
        """The channel from which somebody receives what is published from now on.

        Somebody who has subscribed already gets the same channel again. With a log, what was left
        for it before a restart comes first.
        """
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self.name} is closed")
            if subscriber not in self._subscribers:
                self._subscribers[subscriber] = MessageChannel(
                    f"{self.name}/{subscriber}", capacity=self._capacity,
                    compress_above=self._threshold, log=self._journal, clock=self._clock,
                )  # fmt: skip
            return self._subscribers[subscriber]

    def unsubscribe(self, subscriber: str) -> int:
        """Let somebody get no more; what waits for it is dropped: how many.

        Raises:
            UnknownMemberError: it has not subscribed.
        """
        with self._lock:
            channel = self._subscribers.pop(subscriber, None)
        if channel is None:
            raise UnknownMemberError(f"{subscriber!r} has not subscribed to {self.name}")
        dropped = channel.drop()
        channel.close()
        with self._lock:
            self._gone += channel.stats()
        return dropped

    def publish(
        self, payload: Any, *, sender: str = "", timeout: float | None = 0.0
    ) -> dict[str, str]:
        """Send everybody a copy, or nobody; the ids of the copies, by subscriber.

        Args:
            timeout: seconds to wait for room; None: until the channel is closed.

        Raises:
            ChannelFullError: some subscribers' queues had no room in time; it names them.
        """
        while True:
            with self._lock:
                if self._closed:
                    raise ClosedError(f"{self.name} is closed")
                channels = dict(self._subscribers)
            copies = {
                name: channel.prepare(payload, sender=sender, recipient=name)
                for name, channel in channels.items()
            }
            try:
                send_all([(channels[name], copy) for name, copy in copies.items()], timeout)
            except ClosedError:  # somebody has unsubscribed meanwhile
                continue
            return {name: copy.id for name, copy in copies.items()}

    def stats(self) -> ChannelStats:
        """Numbers of all subscribers together, of those before as well."""
        with self._lock:
            total, channels = self._gone, list(self._subscribers.values())
        for channel in channels:
            total += channel.stats()
        return total

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._closed = True
            channels = list(self._subscribers.values())
        for channel in channels:
            channel.close()


def check_name(name: str, what: str) -> str:
    """A name that is one.

    Raises:
        HubConfigError: it is empty, or no string.
    """
    if not isinstance(name, str) or not name:
        raise HubConfigError(f"{what} needs a name, not {name!r}")
    return name
