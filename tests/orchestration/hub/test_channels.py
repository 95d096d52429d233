"""Channels: order, bounds, waiting, acknowledging, copies for everybody."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from swarmc.runtime.orchestration.codec import ValueEncodingError
from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.hub import (
    BroadcastChannel,
    ChannelFullError,
    HubConfigError,
    Message,
    MessageChannel,
    UnknownMemberError,
    UnknownMessageError,
)

WAIT = 60.0


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run something beside the test; what it gave, or raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, found


def test_messages_come_in_order() -> None:
    channel = MessageChannel("work", clock=lambda: 12.5)
    ids = [channel.send(number, sender="ada") for number in range(3)]
    first = channel.receive()
    assert first == Message(ids[0], "work", "ada", None, 0, 12.5)
    assert len({*ids}) == 3 and len(channel) == 2 and first.hops == 0
    rest = [channel.receive(), channel.receive()]
    assert [one.payload for one in rest if one is not None] == [1, 2]
    assert channel.receive() is None and channel.receive(timeout=0.001) is None


def test_a_full_channel_refuses_or_waits() -> None:
    channel = MessageChannel("work", capacity=2)
    channel.send("a")
    channel.send("b")
    with pytest.raises(ChannelFullError, match="work: 2 messages wait already") as caught:
        channel.send("c")
    assert caught.value.channels == ("work",)
    with pytest.raises(ChannelFullError):
        channel.send("c", timeout=0.001)
    thread, found = in_thread(lambda: channel.send("c", timeout=WAIT))
    assert channel.receive() is not None
    thread.join(WAIT)
    assert isinstance(found[0], str) and channel.stats().refused == 2
    assert [one.payload for one in (channel.receive(), channel.receive()) if one] == ["b", "c"]


def test_receivers_wait_and_are_woken() -> None:
    channel = MessageChannel("work")
    thread, found = in_thread(lambda: channel.receive(timeout=WAIT))
    channel.send("at last")
    thread.join(WAIT)
    assert found[0].payload == "at last"
    waiting = [in_thread(lambda: channel.receive(timeout=None)) for _ in range(2)]
    small = MessageChannel("small", capacity=1)
    small.send("a")
    waiting.append(in_thread(lambda: small.send("b", timeout=None)))
    channel.close()
    small.close()
    for thread, found in waiting:
        thread.join(WAIT)
        assert isinstance(found[0], ClosedError)
    for call in (channel.receive, lambda: channel.send("c")):
        with pytest.raises(ClosedError, match="work is closed"):
            call()


def test_what_is_not_done_with_comes_again() -> None:
    channel = MessageChannel("work", capacity=1)
    channel.send("a")
    with pytest.raises(ValueError, match="oops"), channel.receiving() as message:
        assert message is not None and message.deliveries == 1
        raise ValueError("oops")
    with channel.receiving() as again:
        assert again is not None and message is not None
        assert (again.id, again.deliveries) == (message.id, 2)
        with pytest.raises(ChannelFullError):
            channel.send("b")  # it still takes room
    channel.send("b")
    with pytest.raises(UnknownMessageError, match="no message 'message-"):
        channel.acknowledge(again)
    with pytest.raises(UnknownMessageError):
        channel.reject(again)
    with MessageChannel("empty").receiving() as nothing:
        assert nothing is None


class Machine(RuleBasedStateMachine):
    """A channel against lists."""

    CAPACITY = 4

    def __init__(self) -> None:
        super().__init__()
        self.channel = MessageChannel("work", capacity=self.CAPACITY, compress_above=64)
        self.waiting: deque[Any] = deque()
        self.held: dict[str, tuple[Message, Any]] = {}

    @rule(payload=st.binary(max_size=8) | st.text(max_size=4) | st.just(b"a" * 500)
          | st.just(["long"] * 50))  # fmt: skip
    def send(self, payload: Any) -> None:
        if len(self.waiting) + len(self.held) < self.CAPACITY:
            self.channel.send(payload)
            self.waiting.append(payload)
        else:
            with pytest.raises(ChannelFullError):
                self.channel.send(payload)

    @rule(acknowledge=st.booleans())
    def receive(self, acknowledge: bool) -> None:
        message = self.channel.receive(acknowledge=acknowledge)
        if not self.waiting:
            assert message is None
            return
        assert message is not None and message.payload == self.waiting.popleft()
        if not acknowledge:
            self.held[message.id] = message, message.payload

    @precondition(lambda self: self.held)
    @rule(data=st.data(), well=st.booleans())
    def finish(self, data: st.DataObject, well: bool) -> None:
        message, payload = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        if well:
            self.channel.acknowledge(message)
        else:
            self.channel.reject(message)
            self.waiting.appendleft(payload)

    @rule()
    def drop(self) -> None:
        assert self.channel.drop() == len(self.waiting) + len(self.held)
        self.waiting.clear()
        self.held.clear()

    @invariant()
    def counts(self) -> None:
        stats = self.channel.stats()
        assert (stats.waiting, stats.unacknowledged) == (len(self.waiting), len(self.held))
        assert stats.sent + stats.restored == (
            stats.acknowledged + stats.dropped + stats.waiting + stats.unacknowledged
        )


Machine.TestCase.settings = settings(
    derandomize=True, deadline=None, database=None, max_examples=40
)
TestMachine = Machine.TestCase


def test_large_payloads_are_compressed() -> None:
    channel = MessageChannel("work", compress_above=100)
    noise = bytes((i * i * 7 + i // 3) % 251 ^ (i * 31 >> 3) % 256 for i in range(120))
    payloads: list[Any] = [b"x" * 1000, {"rows": [1.5] * 100}, b"short", noise]
    for payload in payloads:
        channel.send(payload)
    stats = channel.stats()
    assert stats.bytes_before > 1400 and stats.bytes_after < 100
    assert [one.payload for one in (channel.receive() for _ in payloads) if one] == payloads
    with pytest.raises(ValueEncodingError):
        channel.send(object())
    plain, thing = MessageChannel("plain"), object()
    plain.send(thing)
    got = plain.receive()
    assert got is not None and got.payload is thing


def test_everybody_gets_a_copy_or_nobody() -> None:
    channel = BroadcastChannel("news", capacity=2)
    assert channel.publish("nobody listens") == {}
    ada, bob = channel.subscribe("ada"), channel.subscribe("bob")
    assert channel.subscribe("ada") is ada and channel.subscribers == ("ada", "bob")
    ids = channel.publish("one", sender="eve")
    assert sorted(ids) == ["ada", "bob"] and len(set(ids.values())) == 2
    message = ada.receive()
    assert message is not None
    assert (message.payload, message.sender, message.recipient) == ("one", "eve", "ada")
    channel.publish("two")
    with pytest.raises(ChannelFullError, match="news/bob: 2 messages") as caught:
        channel.publish("three")
    assert caught.value.channels == ("news/bob",) and len(ada) == 1
    thread, found = in_thread(lambda: channel.publish("three", timeout=WAIT))
    assert bob.receive() is not None
    thread.join(WAIT)
    assert sorted(found[0]) == ["ada", "bob"]
    assert channel.unsubscribe("bob") == 2
    with pytest.raises(UnknownMemberError, match="'bob' has not subscribed"):
        channel.unsubscribe("bob")
    assert sorted(channel.publish("four", timeout=0) if ada.receive() else {}) == ["ada"]
    stats = channel.stats()
    assert (stats.sent, stats.acknowledged, stats.dropped, stats.waiting) == (7, 3, 2, 2)
    channel.close()
    for call in (lambda: channel.publish("x"), lambda: channel.subscribe("eve"), ada.receive):
        with pytest.raises(ClosedError):
            call()


def test_a_subscriber_that_goes_does_not_hold_up_others() -> None:
    channel = BroadcastChannel("news", capacity=1)
    ada, _ = channel.subscribe("ada"), channel.subscribe("bob")
    channel.publish("one")
    assert ada.receive() is not None
    thread, found = in_thread(lambda: channel.publish("two", timeout=WAIT))
    assert channel.unsubscribe("bob") == 1
    thread.join(WAIT)
    assert sorted(found[0]) == ["ada"] and len(ada) == 1


def test_many_threads_lose_nothing() -> None:
    channel = MessageChannel("work", capacity=8)
    count, senders = 200, 4
    got: list[tuple[str, int]] = []
    lock = threading.Lock()

    def receive() -> None:
        while (message := channel.receive(timeout=WAIT)) is not None and message.payload >= 0:
            with lock:
                got.append((message.sender, message.payload))

    def send(name: str) -> None:
        for number in range(count):
            channel.send(number, sender=name, timeout=WAIT)

    receivers = [in_thread(receive) for _ in range(3)]
    sending = [in_thread(lambda name=str(n): send(name)) for n in range(senders)]  # type: ignore[misc]
    for thread, found in sending:
        thread.join(WAIT)
        assert found == [None]
    for _ in receivers:
        channel.send(-1, timeout=WAIT)
    for thread, found in receivers:
        thread.join(WAIT)
        assert found == [None]
    assert sorted(got) == sorted((str(n), k) for n in range(senders) for k in range(count))


def test_options_that_cannot_be() -> None:
    with pytest.raises(HubConfigError, match="capacity of work must be 1"):
        MessageChannel("work", capacity=0)
    with pytest.raises(HubConfigError, match="compress_above"):
        MessageChannel("work", compress_above=-1)
