"""The hub: routes, refusals, members that come, fail and go, and what survives a restart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.runtime import SwarmManager
from swarmc.runtime.orchestration.errors import ClosedError
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.hub import (
    ChannelFullError,
    CommunicationHub,
    HubConfigError,
    MemberExistsError,
    MessageChannel,
    NotPermittedError,
    SwarmTopology,
    Topology,
    UnknownMemberError,
)
from swarmc.runtime.orchestration.store import Store

from ..fakes import ListLog

ROOT = Path(__file__).resolve().parents[3]


def payloads(hub: CommunicationHub, member: str) -> list[Any]:
    """All that a member receives."""
    found = []
    while (message := hub.receive(member)) is not None:
        found.append(message.payload)
    return found


def test_messages_go_along_the_route() -> None:
    with CommunicationHub(SwarmTopology.STAR, "abcd") as hub:
        assert hub.members == ("a", "b", "c", "d") and hub.coordinator == "a"
        hub.send("b", "c", {"x": 1})
        hub.send("a", "d", "direct")
        message = hub.receive("c")
        assert message is not None
        assert (message.sender, message.recipient, message.payload) == ("b", "c", {"x": 1})
        assert message.route == ("a", "c") and message.hops == 2
        hub.fail("a")
        assert hub.coordinator == "b" and hub.route("c", "d") == ("b", "d")
        hub.send("c", "d", "by b")
        assert payloads(hub, "d") == ["direct", "by b"]
        stats = hub.stats()
        assert (stats.members, stats.hops, stats.forwarded) == (3, 5, {"a": 1, "b": 1})
        assert stats.mailboxes.sent == stats.mailboxes.acknowledged == 3


def test_what_the_topology_refuses() -> None:
    hub = CommunicationHub(Topology(SwarmTopology.CENTRALIZED, ["boss", "x", "y"]))
    with pytest.raises(NotPermittedError, match="'x' may not write to 'y'"):
        hub.send("x", "y", 1)
    assert not hub.may_send("x", "y") and hub.may_send("x", "boss")
    for sender, recipient in (("x", "nobody"), ("nobody", "x")):
        with pytest.raises(UnknownMemberError, match="'nobody' is no member"):
            hub.send(sender, recipient, 1)
    assert list(hub.broadcast("x", "up")) == ["boss"]
    assert list(hub.broadcast("boss", "down")) == ["x", "y"]
    hub.send("x", "x", "a note")
    assert payloads(hub, "x") == ["down", "a note"]
    stats = hub.stats()
    assert (stats.not_permitted, stats.no_such_member, stats.hops) == (1, 2, 3)


def test_members_come_fail_and_go() -> None:
    hub = CommunicationHub(SwarmTopology.RING, ["a", "b", "c"], capacity=2)
    hub.send("a", "b", 1)
    with pytest.raises(MemberExistsError):
        hub.join("b")
    hub.fail("b")
    with pytest.raises(UnknownMemberError):
        hub.send("a", "b", 2)
    assert hub.neighbours("a") == ("c",)
    hub.join("b")
    hub.send("a", "b", 3)
    with pytest.raises(ChannelFullError, match="member/b: 2 messages"):
        hub.send("a", "b", 4)
    assert payloads(hub, "b") == [1, 3]
    hub.send("c", "b", 5)
    assert hub.leave("b") == 1
    with pytest.raises(UnknownMemberError, match="'b' has not joined"):
        hub.receive("b")
    for call in (hub.leave, hub.fail):
        with pytest.raises(UnknownMemberError):
            call("b")
    hub.fail("c")
    assert hub.leave("c") == 0, "one that failed can be given up"
    hub.join("b")
    assert payloads(hub, "b") == []
    stats = hub.stats().mailboxes
    assert (stats.sent, stats.acknowledged, stats.dropped, stats.refused) == (3, 2, 1, 1)


def test_channels_are_made_when_they_are_asked_for() -> None:
    hub = CommunicationHub()
    assert hub.channel("work") is hub.channel("work")
    assert hub.broadcast_channel("work") is hub.broadcast_channel("work")
    news = hub.broadcast_channel("work").subscribe("a")
    hub.broadcast_channel("work").publish(1)
    hub.channel("work").send(2)
    assert (len(news), len(hub.channel("work")), hub.stats().channels.sent) == (1, 1, 2)
    hub.close()
    hub.close()
    for call in (hub.channel, hub.broadcast_channel, hub.join):
        with pytest.raises(ClosedError, match="the hub is closed"):
            call("x")
    with pytest.raises(ClosedError):
        news.receive()
    with pytest.raises(HubConfigError, match="a channel needs a name"):
        CommunicationHub().channel("")
    with pytest.raises(HubConfigError, match="capacity"):
        CommunicationHub(capacity=0)


def test_what_was_not_acknowledged_comes_again() -> None:
    with Store(None) as store:
        hub = CommunicationHub(SwarmTopology.STAR, "abc", log=store, compress_above=200)
        ids = [hub.send("b", "c", n) for n in range(4)]
        large = {"rows": np.arange(300)}
        last = hub.send("c", "b", large)
        hub.broadcast("a", "to all")
        first = hub.receive("c")
        second = hub.receive("c", acknowledge=False)
        third = hub.receive("c", acknowledge=False)
        assert first is not None and second is not None and third is not None
        hub.acknowledge("c", third)
        hub.channel("work").send("job")
        hub.broadcast_channel("news").subscribe("reader")
        hub.broadcast_channel("news").publish("item")
        hub.close()  # and the process is gone

        again = CommunicationHub(SwarmTopology.STAR, log=store)
        for member in "abc":
            again.join(member)
        left = [again.receive("c") for _ in range(3)]
        assert [(one.id, one.payload) for one in left if one] == [
            (ids[1], 1), (ids[3], 3), (left[2].id if left[2] else "", "to all"),
        ]  # fmt: skip
        assert left[0] is not None and left[0].route == ("a", "c") and left[0].sent == second.sent
        message = again.receive("b")
        assert message is not None and message.id == last
        assert message.payload["rows"].tolist() == list(range(300))
        assert payloads(again, "b") == ["to all"] and payloads(again, "a") == []
        assert again.channel("work").receive() is not None
        assert again.broadcast_channel("news").subscribe("other").receive() is None
        item = again.broadcast_channel("news").subscribe("reader").receive()
        assert item is not None and item.payload == "item"
        stats = again.stats()
        assert (stats.mailboxes.restored, stats.channels.restored) == (5, 2)
        again.close()

        with CommunicationHub(log=store) as third_time:
            for member in "abc":
                third_time.join(member)
            assert [payloads(third_time, member) for member in "abc"] == [[], [], []]


def test_who_leaves_gets_nothing_again() -> None:
    log = ListLog()
    hub = CommunicationHub(members=["a", "b"], log=log)
    hub.send("a", "b", "lost")
    hub.leave("b")
    assert [event.kind for event in log.written] == [
        EventKind.MESSAGE_SENT, EventKind.MESSAGE_DELIVERED,
    ]  # fmt: skip
    assert log.written[1].data == {"recipient": None, "dropped": True}
    with CommunicationHub(members=["b"], log=log) as again:
        assert again.receive("b") is None


def test_a_log_that_refuses_keeps_nothing_in_the_queue() -> None:
    class Refusing(ListLog):
        def append(self, events: Any) -> None:
            raise OSError("disk full")

    channel = MessageChannel("work", capacity=1, log=Refusing())
    for _ in range(3):  # the room is given back each time
        with pytest.raises(OSError, match="disk full"):
            channel.send("x")
    assert len(channel) == 0 and channel.stats().sent == 0


CHILD = """
import os, sys
from swarmc.runtime.orchestration.hub import MessageChannel
from swarmc.runtime.orchestration.store import Store
channel = MessageChannel("work", log=Store(sys.argv[1]))
for number in range(int(sys.argv[2])):
    print(channel.send(number), flush=True)
message = channel.receive(acknowledge=False)
os.kill(os.getpid(), 9)
"""


def test_messages_survive_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), "5"], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    with Store(path) as store:
        channel = MessageChannel("work", log=store)
        found = [channel.receive() for _ in range(5)]
        assert [one.id for one in found if one] == done.stdout.split()
        assert [one.payload for one in found if one] == [0, 1, 2, 3, 4]


def test_a_topology_connects_a_swarm() -> None:
    wasm = (ROOT / "corpus" / "swarm" / "gossip.wasm").read_bytes()
    with SwarmManager.from_wasm(wasm, target="cpu", mailbox_size=1 << 16) as swarm:
        ids = swarm.spawn_agents(15, "step", [4]).tolist()
        tree = Topology(SwarmTopology.HIERARCHICAL, ids)
        swarm.mail.connect(tree)
        # Rumours travel one link in a dispatch, and the tree's ends are six links apart.
        for number in range(60):
            knows = swarm.dispatch().results_array()
            # Within `number` links of a leaf there are so many members, itself included.
            near = {0: 1, 1: 2, 2: 4, 3: 6, 4: 9, 5: 11, 6: 15}[min(number, 6)]
            assert knows[14] <= near
        assert knows.tolist() == [15] * 15
        sent = {(m.sender, m.recipient) for m in swarm.mail.waiting()}
        assert all(a == b or b in tree.neighbours(a) for a, b in sent if a is not None)
        swarm.mail.connect(Topology(SwarmTopology.RING, ids[:3]))
        assert swarm.dispatch().mail is not None
