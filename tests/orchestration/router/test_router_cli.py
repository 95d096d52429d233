"""The router's commands, as processes: launch, inject, kill -9 of the router, terminate."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from swarmc.runtime import cli_router_options
from swarmc.runtime.orchestration.router.protocol import MAX_AGENTS, MAX_NODES
from swarmc.runtime.orchestration.store import Store

from .shell import LONG, Shell, shell_in

ROOT = Path(__file__).parents[3]
HELLO = ROOT / "corpus" / "hello.wasm"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with shell_in(tmp_path) as shell:
        yield shell


def test_a_swarm_outlives_its_router(shell: Shell) -> None:
    shell.start()
    swarm = shell.json("launch", str(HELLO), "--nodes", "2", "--agents", "3", "--name", "greeters")
    swarm_id, job = swarm["swarm_id"], swarm["job_id"]
    done = shell.run("inject", swarm_id, "--prompt", "hi")
    assert done.returncode == 0, done.stderr
    lines = [f"[node {node}] agent {agent}: hello, swarm" for node in (0, 1) for agent in range(3)]
    assert sorted(done.stdout.splitlines()) == lines
    assert done.stderr.count("turn completed") == 2
    pids = [node["pid"] for node in shell.until_idle()["nodes"]]

    shell.stop(signal.SIGKILL)
    shell.start()
    assert shell.facts["adopted"] == 1
    again = shell.until_idle()
    assert (again["swarm_id"], again["job_id"], again["name"]) == (swarm_id, job, "greeters")
    assert [node["pid"] for node in again["nodes"]] == pids
    done = shell.run("inject", swarm_id, "--stdin", "-", "--nodes", "1", "--json", stdin="bytes")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["type"] for e in events if "command" not in e["type"]] == [
        "turn_started", *["assistant_delta"] * 3, "usage", "turn_complete",
    ]  # fmt: skip
    assert [e["data"]["name"] for e in events if e["type"] == "command_started"] == [
        "args_sizes_get", "args_get", "fd_fdstat_get", "fd_write", "fd_write",
    ] * 3  # fmt: skip
    assert {event["node"] for event in events} == {1}

    log = shell.folder / "runs" / job / "node_01" / "events.jsonl"
    kinds = [json.loads(line).get("type") for line in log.read_text().splitlines()]
    assert kinds.count("usage") == 2

    ended = shell.json("terminate", swarm_id, "--reason", "done")
    assert (ended["status"], ended["reason"]) == ("terminated", "done")
    done = shell.run("inject", swarm_id, "--prompt", "too late")
    assert (done.returncode, done.stderr) == (2, f"swarmc: error: swarm {swarm_id} is terminated\n")
    end = time.monotonic() + LONG
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert shell.stop() == 0


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_turn_that_fails(shell: Shell) -> None:
    (shell.folder / "cluster.json").write_text(
        json.dumps({"provider": "local", "module": str(ROOT / "corpus" / "recursion.wasm")})
    )
    shell.start("--cluster", "cluster.json")
    with urlopen(shell.facts["page"], timeout=LONG) as page:
        assert b"<title>swarmc" in page.read()
    swarm = shell.json("launch", "--fuel", "1000")
    assert swarm["module"].endswith("recursion.wasm")
    done = shell.run("inject", swarm["swarm_id"], "--prompt", "x")
    assert done.returncode == 1
    assert "turn failed: agent 0: out of fuel (in function ackermann" in done.stderr


def test_mistakes(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = shell.run("list")
    assert done.returncode == 2
    assert "no router answers at ws://127.0.0.1:1" in done.stderr
    assert "start one with `swarmc start-dispatcher`" in done.stderr
    for url in ("http://127.0.0.1:1", "ws://127.0.0.1:99999", "ws://", "nonsense"):
        done = shell.run("list", "--router", url)
        why = f"swarmc: error: {url!r} is no address of a router; they are like"
        assert (done.returncode, done.stderr[: len(why)]) == (2, why)
    done = shell.run("start-worker", "--patience", "0")
    assert (done.returncode, "no router answers at ws://127.0.0.1:1" in done.stderr) == (2, True)
    monkeypatch.setenv("SWARMC_SWARM_ID", "swarm-1")
    done = shell.run("start-worker")
    assert (done.returncode, "SWARMC_TOKEN_FILE is not set" in done.stderr) == (2, True)
    monkeypatch.delenv("SWARMC_SWARM_ID")
    done = shell.run("start-dispatcher", "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, "needs a token and TLS" in done.stderr) == (2, True)
    shell.start()
    done = shell.run("inject", "nobody", "--prompt", "x")
    assert (done.returncode, done.stderr) == (2, "swarmc: error: no swarm 'nobody'\n")
    done = shell.run("inject", "nobody")
    assert "give --prompt or --stdin" in done.stderr
    done = shell.run("launch")
    assert "no module was named, and none is configured" in done.stderr
    (tmp_path / "no.wasm").write_bytes(b"text")
    (tmp_path / "half.wasm").write_bytes(HELLO.read_bytes()[:99])
    for wrong, why in (
        (tmp_path / "nope.wasm", "No such file or directory"),
        (tmp_path / "no.wasm", "no WebAssembly"), (tmp_path / "half.wasm", "half.wasm: "),
        (ROOT / "corpus" / "lib.wasm", "no entry point (_start); it exports average, buffer"),
    ):  # fmt: skip
        done = shell.run("launch", str(wrong))
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert shell.json("list")["swarms"] == []
    done = shell.run("start-dispatcher", "--port", "0")
    assert (done.returncode, "swarm-state.db" in done.stderr) == (2, True)


def test_bounds_are_told_before_a_router_is_asked(shell: Shell) -> None:
    assert (cli_router_options.MAX_NODES, cli_router_options.MAX_AGENTS) == (MAX_NODES, MAX_AGENTS)
    for line, why in (
        (("launch", str(HELLO), "--nodes", "99999"), "1024"),
        (("launch", str(HELLO), "--agents", "1048577"), "1048576"),
        (("launch", str(HELLO), "--name", "n" * 129), "--name has 128 characters at most, not 129"),
        (("inject", "s", "--prompt", "x", "--nodes", "0,1024"), "from 0 to 1023, not 1024"),
    ):
        done = shell.run(*line)
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("option", ["--port", "--tcp-port"])
def test_a_router_that_cannot_listen_leaves_nothing_behind(shell: Shell, option: str) -> None:
    config = shell.folder / "swarm-config.toml"
    config.write_text('[worker]\nnode_name = "w"\n')
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = ("start-dispatcher", str(config), "--port", "0", option, port)
        done = shell.run(*command)
        assert (done.returncode, f"cannot listen on 127.0.0.1:{port}" in done.stderr) == (2, True)
        assert [*shell.folder.iterdir()] == [config]
        database = shell.folder / "swarm-state.db"
        Store(database).close()
        assert shell.run(*command).returncode == 2
        assert database.exists()


@pytest.mark.parametrize("command", [("start-dispatcher",), ("list",), ("start-worker",)])
def test_a_file_without_a_token(shell: Shell, command: tuple[str, ...]) -> None:
    (shell.folder / "token").write_text(" \n")
    done = shell.run(*command, "--token-file", "token")
    assert (done.returncode, done.stderr) == (2, "swarmc: error: token has no token in it\n")
    (shell.folder / "token").write_bytes(b"\xff\xfe")
    assert shell.run(*command, "--token-file", "token").stderr.startswith("swarmc: error: ")
