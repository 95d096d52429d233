"""Peers that mean harm: the router answers others, does nothing for them, and does not grow."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from pathlib import Path

import psutil
import pytest

from swarmc.runtime.orchestration.router import book, server
from swarmc.runtime.orchestration.router.book import EventBook
from swarmc.runtime.orchestration.router.client import RouterClient, RouterUnavailableError
from swarmc.runtime.orchestration.router.protocol import (
    MAX_MESSAGE,
    METHODS,
    Code,
    Hello,
    Inject,
    Launch,
    Nothing,
)
from swarmc.runtime.tools.frames import FrameGenerator, spell, valid_calls
from swarmc.runtime.tools.fuzz_router import main, run

from .routing import LONG, RunningRouter


def test_twenty_thousand_frames(tmp_path: Path) -> None:
    pytest.importorskip("distributed")  # what hostile workers of tasks join
    report = run(20_000, 1, tmp_path)
    assert report.tally.findings == []
    assert report.tally.sent >= 20_000 and report.good_requests > 10 and report.turns > 2
    assert report.joins > 10
    assert {"worker", "damaged", "oversized", "deep", "array", "noise"} <= set(report.tally.kinds)


def test_the_tool_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz_router", "--frames", "300", "--json"])
    assert main() == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tally"]["sent"] >= 300 and report["tally"]["findings"] == []
    monkeypatch.setattr(sys, "argv", ["fuzz_router", "--frames", "300"])
    assert main() == 0
    assert re.search(r"^0 findings$", capsys.readouterr().out, re.M)


def test_frames_follow_from_their_seed_and_call_every_method() -> None:
    first, again, other = (FrameGenerator(seed, ("swarm-a",), 0) for seed in (1, 1, 2))
    frames = [next(first) for _ in range(1000)]
    assert frames == [next(again) for _ in range(1000)] != [next(other) for _ in range(1000)]
    numbers = [number for frame in frames for number in frame.ids]
    assert len(set(numbers)) == len(numbers)
    requests = [spell(first.request()).encode() for _ in range(50 * len(METHODS))]
    called = {method for request in requests for method, _ in valid_calls(request)}
    assert called == set(METHODS)


def test_what_is_spelled_is_json_but_for_what_is_not() -> None:
    value = {"a": [1, None, "é\0"], "": {}}
    assert json.loads(spell(value)) == value


def lines(running: RunningRouter) -> socket.socket:
    assert running.server.tcp_port is not None
    return socket.create_connection(("127.0.0.1", running.server.tcp_port), LONG)


def test_a_line_that_is_too_long_is_refused_by_name(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, lines(running) as end:
        file = end.makefile("rb")
        end.sendall(b"x" * (MAX_MESSAGE + 2))
        error = json.loads(file.readline())["error"]
        assert error["code"] == Code.INVALID_REQUEST and "16777216 bytes" in error["message"]


def test_who_says_no_hello_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HELLO_WITHIN", 0.2)
    with RunningRouter(tmp_path) as running, running.client() as client, lines(running) as end:
        end.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')
        found = end.makefile("rb").read()
        assert json.loads(found)["error"]["code"] == Code.HELLO_FIRST
        assert client.call("status", Nothing()).clients == 1


def test_connections_end_when_the_machine_at_their_end_is_gone(tmp_path: Path) -> None:
    """The system asks whether it is there, of connections by WebSocket and by TCP alike."""
    with RunningRouter(tmp_path) as running, running.client(), lines(running) as end:
        end.sendall(b"{}\n")
        end.makefile("rb").readline()  # both are accepted
        ports = {running.server.port, running.server.tcp_port}
        accepted = [
            one.fd for one in psutil.Process().net_connections("tcp")
            if one.status == psutil.CONN_ESTABLISHED and one.laddr.port in ports
        ]  # fmt: skip
        assert len(accepted) == 2
        for number in accepted:
            with socket.socket(fileno=os.dup(number)) as connection:
                assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


def test_a_client_that_was_away_for_long_gets_all_that_it_missed(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        first = client.welcome.seq
        count = 60_000
        emit = running.router.events.emit
        running.in_loop(lambda: [emit("usage", data={"n": n}) for n in range(count)])
        assert client.subscribe(after=first).complete
        heard = client.events(LONG)
        assert [next(heard).data["n"] for _ in range(count)] == list(range(count))


def test_events_that_are_kept_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "KEPT_BYTES", 100_000)
    events = EventBook(0, lambda seq: None)
    for _ in range(50):
        events.emit("assistant_delta", data={"text": "x" * 10_000})
    complete, kept = events.since(0)
    assert not complete
    assert [event.seq for event, _ in kept] == list(range(42, 51))
    events.emit("assistant_delta", data={"text": "x" * 200_000})
    assert [event.seq for event, _ in events.since(50)[1]] == [51]


def test_an_event_that_no_client_would_take_is_told_without_its_data() -> None:
    """Else each would break off, and again when it is back and asks for what it missed."""
    events = EventBook(0, lambda seq: None)
    event = events.emit("turn_complete", data={"text": "x" * (16 << 20)})
    ((kept, encoded),) = events.since(0)[1]
    assert kept == event and len(encoded) < 1000
    assert event.data["omitted_bytes"] > 16 << 20


def test_the_worker_of_a_swarm_that_was_removed_beats_on(tmp_path: Path) -> None:
    with RunningRouter(tmp_path) as running, running.client() as client:
        running.provider.start = False
        swarm = client.call("swarm_launch", Launch(module="m.wasm"))
        token = running.router.swarms[swarm.swarm_id].token
        hello = Hello(
            protocol="codeswarm.router.v1", role="worker", swarm_id=swarm.swarm_id, node=0,
            token=token,
        )  # fmt: skip
        with running.client(hello=hello) as worker:
            running.in_loop(lambda: running.router.swarms.pop(swarm.swarm_id))
            assert worker.call("heartbeat", Nothing()) is None
            with pytest.raises(Exception, match="not for a worker"):
                worker.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x"))


def test_a_router_that_goes_while_one_connects_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server_socket:

        def take_and_drop() -> None:
            end, _ = server_socket.accept()
            end.recv(10)
            end.close()

        thread = threading.Thread(target=take_and_drop)
        thread.start()
        with pytest.raises(RouterUnavailableError, match="no router answers"):
            RouterClient(f"ws://127.0.0.1:{server_socket.getsockname()[1]}", timeout=LONG)
        thread.join()
