"""What chaos is made of does what it says: processes, links, plans, storms."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from swarmc.runtime.tools.fault_links import Link, Links, LinkState
from swarmc.runtime.tools.faults import Fault, FaultKind, Process, Storm, Victim, plan

LONG = 60.0
#: Says that it is there, then counts.
COUNTER = """
import json, sys, time
print(json.dumps({"ready": True}), flush=True)
n = 0
while True:
    n += 1
    print(n, file=sys.stderr, flush=True)
    time.sleep(0.005)
"""


def until(condition) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[Process]:
    with Process("counter", [sys.executable, "-c", COUNTER], tmp_path, announces=True) as process:
        yield process


def test_a_process_is_killed_frozen_and_started_again(counter: Process) -> None:
    assert counter.start() == {"ready": True}
    until(lambda: "3\n" in counter.errors())
    counter.begin(FaultKind.FREEZE)
    until(lambda: psutil.Process(counter.pid).status() == psutil.STATUS_STOPPED)
    written = counter.errors()
    time.sleep(0.05)
    assert counter.errors() == written and counter.running
    counter.end(FaultKind.FREEZE)
    until(lambda: counter.errors() != written)
    first = counter.pid
    counter.begin(FaultKind.KILL)
    assert not counter.running
    counter.end(FaultKind.KILL)
    assert counter.running and counter.starts == 2 and counter.pid != first
    counter.begin(FaultKind.FREEZE)
    assert counter.terminate() == -15  # a frozen one, too
    with pytest.raises(ValueError, match="cannot stall"):
        counter.begin(FaultKind.STALL)


def test_a_process_that_ends_before_it_is_ready_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    with (
        Process("early", command, tmp_path, announces=True) as process,
        pytest.raises(RuntimeError, match="early ended: no such thing"),
    ):
        process.start()


def test_a_victim_that_is_gone_is_left_alone(counter: Process) -> None:
    counter.start()
    victim = Victim(counter.pid)
    victim.begin(FaultKind.FREEZE)
    until(lambda: psutil.Process(counter.pid).status() == psutil.STATUS_STOPPED)
    victim.end(FaultKind.FREEZE)
    victim.begin(FaultKind.KILL)
    until(lambda: not counter.running)
    victim.begin(FaultKind.FREEZE)
    victim.end(FaultKind.FREEZE)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of somebody who gives back what he gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(come: socket.socket) -> None:
        with come:
            while data := come.recv(65536):
                come.sendall(data)

    def serve() -> None:
        while True:
            try:
                come, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(come,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(LONG)


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    with Links() as links:
        yield links.open("127.0.0.1", echo)


def read(end: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := end.recv(size - len(found))):
        found += data
    return found


def test_a_link_carries_bytes_both_ways_and_their_end(link: Link) -> None:
    with socket.create_connection((link.host, link.port), LONG) as end:
        data = os.urandom(1 << 20)
        sending = threading.Thread(target=end.sendall, args=(data,))
        sending.start()
        assert read(end, len(data)) == data
        sending.join()
        end.shutdown(socket.SHUT_WR)
        assert end.recv(1) == b""


def test_a_stalled_link_holds_bytes_and_loses_none(link: Link) -> None:
    with socket.create_connection((link.host, link.port), LONG) as end:
        end.sendall(b"a")
        assert read(end, 1) == b"a"
        link.begin(FaultKind.STALL)
        end.sendall(b"b")
        end.settimeout(0.05)
        with pytest.raises(TimeoutError):
            end.recv(1)
        with socket.create_connection((link.host, link.port), LONG) as other:
            other.sendall(b"c")  # nobody is told that the way is lost
            link.end(FaultKind.STALL)
            assert read(other, 1) == b"c"
        end.settimeout(LONG)
        assert read(end, 1) == b"b"


def test_a_cut_link_closes_what_it_has_and_what_comes(link: Link) -> None:
    with socket.create_connection((link.host, link.port), LONG) as end:
        end.sendall(b"a")
        assert read(end, 1) == b"a"
        link.begin(FaultKind.CUT)
        assert link.state is LinkState.CUT
        assert gone(end)
    with socket.create_connection((link.host, link.port), LONG) as end:
        assert gone(end)
    link.end(FaultKind.CUT)
    with socket.create_connection((link.host, link.port), LONG) as end:
        end.sendall(b"a")
        assert read(end, 1) == b"a"
    assert link.accepted == 3


def gone(end: socket.socket) -> bool:
    try:
        return end.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_way_to_nobody_ends(link: Link) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        link.retarget("127.0.0.1", nobody.getsockname()[1])
    with socket.create_connection((link.host, link.port), LONG) as end:
        assert gone(end)


KINDS = {
    "router": [FaultKind.KILL, FaultKind.FREEZE],
    "worker": [FaultKind.KILL, FaultKind.FREEZE],
    "link": [FaultKind.STALL, FaultKind.CUT],
}


def test_a_plan_follows_from_its_seed_and_troubles_each_target_once_at_a_time() -> None:
    faults = plan(1, 600.0, KINDS, every=1.0)
    assert faults == plan(1, 600.0, KINDS, every=1.0) != plan(2, 600.0, KINDS, every=1.0)
    assert len(faults) > 200
    assert {(f.target, f.kind) for f in faults} == {(n, k) for n, ks in KINDS.items() for k in ks}
    assert all(0.2 <= f.seconds <= 4.0 and f.at + f.seconds <= 600.0 for f in faults)
    for name in KINDS:
        own = [fault for fault in faults if fault.target == name]
        assert all(a.at + a.seconds < b.at for a, b in itertools.pairwise(own))
    assert any(a.at + a.seconds > b.at for a, b in itertools.pairwise(faults))


class Noted:
    """A target that notes what happens to it."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def begin(self, kind: FaultKind) -> None:
        self.notes.append(f"{kind.value} begins")

    def end(self, kind: FaultKind) -> None:
        self.notes.append(f"{kind.value} ends")
        if kind is FaultKind.CUT:
            raise OSError("it does not heal")


def test_a_storm_begins_and_ends_its_faults() -> None:
    target = Noted()
    faults = [Fault(0.0, 0.02, "t", FaultKind.KILL), Fault(0.03, 0.01, "t", FaultKind.FREEZE)]
    lines: list[str] = []
    storm = Storm(faults, {"t": target}, lines.append)
    storm.start()
    storm.join(LONG)
    assert target.notes == ["kill begins", "kill ends", "freeze begins", "freeze ends"]
    assert storm.happened == faults
    assert lines == ["kill t for 0.0 s", "freeze t for 0.0 s"]


def test_a_storm_that_is_stopped_ends_what_it_began() -> None:
    target = Noted()
    faults = [Fault(0.0, 600.0, "t", FaultKind.FREEZE), Fault(601.0, 1.0, "t", FaultKind.KILL)]
    storm = Storm(faults, {"t": target})
    storm.start()
    until(lambda: target.notes)
    storm.stop()
    assert target.notes == ["freeze begins", "freeze ends"]


def test_a_fault_that_goes_wrong_is_told() -> None:
    storm = Storm([Fault(0.0, 0.0, "t", FaultKind.CUT)], {"t": Noted()})
    storm.start()
    with pytest.raises(OSError, match="does not heal"):
        storm.join(LONG)
