"""Messages as events: what was sent is durable before it is accepted, and comes again after a
restart unless it was acknowledged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from ..events import Event, EventKind
from ..interfaces import EventLog
from .message import Message, Packed

log = logging.getLogger(__name__)

#: How long closing waits for a log that does not write.
FLUSH_SECONDS = 5.0


class Journal:
    """Writes messages to an event log, and finds those in it that nobody has acknowledged.

    All of the log's events are read once, when the journal is made.
    """

    def __init__(self, events: EventLog) -> None:
        self._log = events
        self._unwritten = 0
        #: Guards the number above; notified when it is 0. Held by the log's writer for a moment.
        self._written = threading.Condition()
        self._left: dict[str, dict[str, Message]] = {}
        found: dict[str, Message] = {}
        for event in events.events():
            if event.kind is EventKind.MESSAGE_SENT:
                found[event.subject] = _message(event)
            elif event.kind is EventKind.MESSAGE_DELIVERED:
                found.pop(event.subject, None)
        for message in found.values():
            self._left.setdefault(message.channel, {})[message.id] = message

    def take(self, channel: str) -> list[Message]:
        """What was left in a channel, in the order of sending; once."""
        return list(self._left.pop(channel, {}).values())

    def sent(self, messages: Sequence[Message]) -> None:
        """Make messages durable, all of them or none.

        Raises:
            StoreError: the log does not take them.
        """
        self._log.append([_event(message) for message in messages])

    def delivered(self, message_id: str, recipient: str | None, *, dropped: bool = False) -> None:
        """Note soon that a message need not come again; if that is lost, it comes again."""
        data = {"recipient": recipient} | ({"dropped": True} if dropped else {})
        event = Event(EventKind.MESSAGE_DELIVERED, message_id, data)
        with self._written:
            self._unwritten += 1
        try:
            self._log.append_soon([event], self._stored)
        except BaseException as error:
            self._stored(error)
            raise

    def _stored(self, error: BaseException | None) -> None:
        if error is not None:
            log.warning("messages that were acknowledged will come again: %s", error)
        with self._written:
            self._unwritten -= 1
            if not self._unwritten:
                self._written.notify_all()

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until all that was noted is written, so long at most; whether it is."""
        with self._written:
            return self._written.wait_for(lambda: not self._unwritten, timeout)


def _event(message: Message) -> Event:
    payload, packed = message.payload, isinstance(message.payload, Packed)
    return Event(
        EventKind.MESSAGE_SENT,
        message.id,
        {
            "channel": message.channel,
            "sender": message.sender,
            "recipient": message.recipient,
            "payload": payload.to_data() if isinstance(payload, Packed) else payload,
            **({"packed": True} if packed else {}),
            **({"route": list(message.route)} if message.route else {}),
        },
        at=message.sent,
    )


def _message(event: Event) -> Message:
    data = event.data
    payload = data["payload"]
    return Message(
        event.subject, data["channel"], data["sender"], data["recipient"],
        Packed.from_data(payload) if data.get("packed") else payload, event.at,
        tuple(data.get("route", ())),
    )  # fmt: skip
