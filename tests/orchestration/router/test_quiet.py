"""Peers do not fill the router's log."""

from __future__ import annotations

import importlib
import logging
import socket
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.router.quiet import LINES, LOGGERS, RateLimit

from .routing import LONG, RunningRouter


def test_so_many_are_told_and_how_many_were_not() -> None:
    now = [0.0]
    limit = RateLimit(3, 60.0, lambda: now[0])

    def told(count: int, line: int = 1) -> list[str]:
        records = [
            logging.LogRecord("log", logging.WARNING, "file.py", line, "%s came", ("he",), None)
            for _ in range(count)
        ]  # fmt: skip
        return [record.getMessage() for record in records if limit.filter(record)]

    first = ["he came", "he came", "he came (others like this are left out for 60 s)"]
    assert told(100) == first
    assert told(1, line=2) == ["he came"]  # another place
    now[0] = 59.0
    assert told(5) == []
    now[0] = 60.0
    assert told(5) == ["he came (102 others like this were left out)", *first[1:]]
    now[0] = 200.0
    assert told(2) == ["he came (2 others like this were left out)", "he came"]
    now[0] = 300.0
    assert told(1) == ["he came"]


def test_the_loggers_are_those_that_there_are() -> None:
    pytest.importorskip("distributed")
    for name in LOGGERS:
        if name.startswith("swarmc"):
            assert importlib.import_module(name)._LOG.name == name


def test_who_can_connect_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: nothing\r\nConnection: upgrade\r\n\r\n"
    page = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nOrigin: http://[x\r\nUpgrade: websocket\r\n"
        b"Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    filters = [list(logging.getLogger(name).filters) for name in LOGGERS]
    with RunningRouter(tmp_path) as running:
        log = logging.getLogger("uvicorn.error")
        log.addHandler(caplog.handler)  # uvicorn's loggers tell their own handlers only
        try:
            for _ in range(3 * LINES):
                assert answer(running, b"\0\r\n\r\n").startswith(b"HTTP/1.1 400")
                answer(running, odd)
            assert answer(running, page).startswith(b"HTTP/1.1 403")
        finally:
            log.removeHandler(caplog.handler)
    told = [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"]
    for kind in ("Invalid HTTP request", "Unsupported upgrade"):
        assert len([line for line in told if line.startswith(kind)]) == LINES
    assert any("others like this are left out" in line for line in told)
    assert not any("Exception" in line for line in told)
    after = [list(logging.getLogger(name).filters) for name in LOGGERS]
    limits = [f for some in after for f in some if isinstance(f, RateLimit)]
    assert limits == [] and all(set(b) <= set(a) for b, a in zip(filters, after, strict=True))


def answer(running: RunningRouter, said: bytes) -> bytes:
    """What the router's port says to somebody who is no client."""
    with socket.create_connection(("127.0.0.1", running.server.port), LONG) as end:
        end.sendall(said)
        return end.recv(4096)
