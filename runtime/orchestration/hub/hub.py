"""The communication hub: mailboxes of members, routes between them, channels and statistics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from ..errors import ClosedError
from ..interfaces import EventLog
from .channel import (
    DEFAULT_CAPACITY,
    BroadcastChannel,
    ChannelStats,
    MessageChannel,
    check_name,
    send_all,
)
from .errors import HubConfigError, NotPermittedError, UnknownMemberError
from .journal import Journal
from .message import Message, check_threshold
from .topology import SwarmTopology, Topology

_MAILBOX = "member/"


@dataclass(frozen=True, slots=True)
class HubStats:
    """Numbers of a hub.

    Args:
        members: how many have joined.
        mailboxes: of all members together, those that left included.
        channels: of the other channels together.
        hops: links that messages between members went over.
        forwarded: how many messages each member passed on for others.
        not_permitted: that the topology refused.
        no_such_member: to or from somebody who had not joined.
    """

    members: int
    mailboxes: ChannelStats
    channels: ChannelStats
    hops: int
    forwarded: dict[str, int]
    not_permitted: int
    no_such_member: int


@dataclass(slots=True)
class _Traffic:
    hops: int = 0
    not_permitted: int = 0
    no_such_member: int = 0


class CommunicationHub:
    """Carries messages between members, as a topology allows. May be used from several threads.

    Args:
        topology: a kind of topology, or one with its members.
        members: who joins at once.
        capacity: most messages that wait for a member, or in a channel.
        compress_above, log, clock: as for :class:`~.channel.MessageChannel`, of all channels. With
            a log, what waited for members before a restart waits for them again when they join.
    """

    def __init__(
        self, topology: SwarmTopology | Topology[str] = SwarmTopology.MESH,
        members: Iterable[str] = (), *, capacity: int = DEFAULT_CAPACITY,
        compress_above: int | None = None, log: EventLog | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        if capacity < 1:
            raise HubConfigError(f"capacity must be 1 at least, not {capacity!r}")
        self._capacity, self._threshold = capacity, check_threshold(compress_above)
        self._clock = clock
        self._journal = None if log is None else Journal(log)
        #: Guards everything below. No channel waits while it is held.
        self._lock = threading.Lock()
        self._topology = topology if isinstance(topology, Topology) else Topology[str](topology)
        self._mailboxes: dict[str, MessageChannel] = {}  # of those who failed, too
        self._channels: dict[str, MessageChannel] = {}
        self._broadcasts: dict[str, BroadcastChannel] = {}
        self._gone = ChannelStats()  # of mailboxes of those who left
        self._traffic = _Traffic()
        self._forwarded: dict[str, int] = {}
        self._closed = False
        for member in self._topology.members:
            self._open(member)
        for member in members:
            self.join(member)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<CommunicationHub: {self._topology!r}>"

    # -- members -----------------------------------------------------------------------------

    @property
    def members(self) -> tuple[str, ...]:
        """Who has joined."""
        with self._lock:
            return self._topology.members

    @property
    def coordinator(self) -> str | None:
        """Coordinator, middle or root of the topology, if it has one."""
        with self._lock:
            return self._topology.hub

    def join(self, member: str) -> None:
        """Let somebody take part. What waits for it, because it failed before, it gets now.

        Raises:
            MemberExistsError: it takes part already.
        """
        check_name(member, "a member")
        with self._lock:
            self._check()
            self._topology.join(member)
            self._open(member)

    def _open(self, member: str) -> None:
        if member not in self._mailboxes:
            self._mailboxes[member] = self._make(_MAILBOX + member)

    def _make(self, name: str) -> MessageChannel:
        return MessageChannel(
            name, capacity=self._capacity, compress_above=self._threshold, log=self._journal,
            clock=self._clock,
        )  # fmt: skip

    def leave(self, member: str) -> int:
        """Let somebody go for good; what waits for it is dropped: how many.

        Raises:
            UnknownMemberError: it does not take part.
        """
        with self._lock:
            if member in self._topology:
                self._topology.leave(member)
            elif member not in self._mailboxes:  # it may have failed before
                raise UnknownMemberError(f"{member!r} has not joined")
            mailbox = self._mailboxes.pop(member)
        dropped = mailbox.drop()
        mailbox.close()
        with self._lock:
            self._gone += mailbox.stats()
        return dropped

    def fail(self, member: str) -> None:
        """Route around somebody who has failed; what waits for it is kept until it joins again.

        Raises:
            UnknownMemberError: it does not take part.
        """
        with self._lock:
            self._topology.leave(member)

    def may_send(self, sender: str, recipient: str) -> bool:
        """Whether one may write to another."""
        with self._lock:
            return self._topology.may_send(sender, recipient)

    def route(self, sender: str, recipient: str) -> tuple[str, ...]:
        """Whom a message reaches one after another, as the topology is now."""
        with self._lock:
            return self._topology.route(sender, recipient)

    def neighbours(self, member: str) -> tuple[str, ...]:
        """Whom a member is linked with."""
        with self._lock:
            return self._topology.neighbours(member)

    # -- messages between members ------------------------------------------------------------

    def send(
        self, sender: str, recipient: str, payload: Any, *, timeout: float | None = 0.0
    ) -> str:
        """Send a member a message along the route there; its id.

        Args:
            timeout: seconds to wait for room in the mailbox; None: until it is closed.

        Raises:
            UnknownMemberError: one of them does not take part.
            NotPermittedError: the topology does not allow it.
            ChannelFullError: there was no room in time.
        """
        with self._lock:
            mailbox, route = self._way(sender, recipient)
        message = mailbox.send(
            payload, sender=sender, recipient=recipient, route=route, timeout=timeout
        )
        with self._lock:
            self._count(route)
        return message

    def _way(self, sender: str, recipient: str) -> tuple[MessageChannel, tuple[str, ...]]:
        self._check()
        try:
            route = self._topology.route(sender, recipient)
        except NotPermittedError:
            self._traffic.not_permitted += 1
            raise
        except UnknownMemberError:
            self._traffic.no_such_member += 1
            raise
        return self._mailboxes[recipient], route

    def _count(self, route: tuple[str, ...]) -> None:
        self._traffic.hops += len(route)
        for member in route[:-1]:
            self._forwarded[member] = self._forwarded.get(member, 0) + 1

    def broadcast(
        self, sender: str, payload: Any, *, timeout: float | None = 0.0
    ) -> dict[str, str]:
        """Send a copy to every other member whom the sender may write to, or to nobody.

        Returns:
            The ids of the copies, by recipient.

        Raises:
            UnknownMemberError: the sender does not take part.
            ChannelFullError: some mailboxes had no room in time; it names them.
        """
        with self._lock:
            self._topology.neighbours(sender)  # for its error
            recipients = [
                one for one in self._topology.members
                if one != sender and self._topology.may_send(sender, one)
            ]  # fmt: skip
            ways = {one: self._way(sender, one) for one in recipients}
        copies = {
            one: mailbox.prepare(payload, sender=sender, recipient=one, route=route)
            for one, (mailbox, route) in ways.items()
        }
        send_all([(ways[one][0], copy) for one, copy in copies.items()], timeout)
        with self._lock:
            for _, route in ways.values():
                self._count(route)
        return {one: copy.id for one, copy in copies.items()}

    def mailbox(self, member: str) -> MessageChannel:
        """Where a member's messages wait.

        Raises:
            UnknownMemberError: it has never joined, or has left.
        """
        with self._lock:
            mailbox = self._mailboxes.get(member)
        if mailbox is None:
            raise UnknownMemberError(f"{member!r} has not joined")
        return mailbox

    def receive(
        self, member: str, timeout: float | None = 0.0, *, acknowledge: bool = True
    ) -> Message | None:
        """A member's next message; None if none came in time. See ``MessageChannel.receive``."""
        return self.mailbox(member).receive(timeout, acknowledge=acknowledge)

    def acknowledge(self, member: str, message: Message) -> None:
        """A message that a member received is done with."""
        self.mailbox(member).acknowledge(message)

    # -- channels ----------------------------------------------------------------------------

    def channel(self, name: str) -> MessageChannel:
        """The channel of that name, which is made if there is none. Anybody may use it."""
        check_name(name, "a channel")
        with self._lock:
            self._check()
            if name not in self._channels:
                self._channels[name] = self._make("channel/" + name)
            return self._channels[name]

    def broadcast_channel(self, name: str) -> BroadcastChannel:
        """The broadcast channel of that name, which is made if there is none."""
        check_name(name, "a channel")
        with self._lock:
            self._check()
            if name not in self._broadcasts:
                self._broadcasts[name] = BroadcastChannel(
                    "broadcast/" + name, capacity=self._capacity, compress_above=self._threshold,
                    log=self._journal, clock=self._clock,
                )  # fmt: skip
            return self._broadcasts[name]

    # -- all of it ---------------------------------------------------------------------------

    def stats(self) -> HubStats:
        """Numbers of what happened so far."""
        with self._lock:
            mailboxes, boxes = self._gone, list(self._mailboxes.values())
            channels = self._others()
            numbers = (self._traffic.hops, dict(self._forwarded), self._traffic.not_permitted,
                       self._traffic.no_such_member)  # fmt: skip
            count = len(self._topology)
        for box in boxes:
            mailboxes += box.stats()
        others = ChannelStats()
        for channel in channels:
            others += channel.stats()
        return HubStats(count, mailboxes, others, *numbers)

    def _others(self) -> list[MessageChannel | BroadcastChannel]:
        return [*self._channels.values(), *self._broadcasts.values()]

    def _check(self) -> None:
        if self._closed:
            raise ClosedError("the hub is closed")

    def close(self) -> None:
        """Wake everybody who waits; may be called more than once. What a log keeps stays there."""
        with self._lock:
            self._closed = True
            channels = [*self._mailboxes.values(), *self._others()]
        for channel in channels:
            channel.close()

