"""The router's commands, as processes: launch, inject, kill -9 of the router, terminate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[3]
HELLO = ROOT / "corpus" / "hello.wasm"
LONG = 60


class Shell:
    """Runs commands in a folder, against a router of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.router: subprocess.Popen[str] | None = None
        self.facts: dict[str, Any] = {}

    def start(self, *args: str, port: int = 0) -> None:
        self.router = subprocess.Popen(
            [sys.executable, "-m", "swarmc", "start-dispatcher", "--json", "--port", str(port),
             *args],
            cwd=self.folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.router.stdout is not None
        self.facts = json.loads(self.router.stdout.readline())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.router is not None
        self.router.send_signal(number)
        self.router.communicate(timeout=LONG)
        return self.router.returncode

    def run(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "swarmc", *args], cwd=self.folder, input=stdin, text=True,
            capture_output=True, timeout=LONG, check=False,
            env={**os.environ, "SWARMC_ROUTER": self.facts.get("router", "ws://127.0.0.1:1")},
        )  # fmt: skip

    def json(self, *args: str) -> Any:
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def until_idle(self) -> dict[str, Any]:
        end = time.monotonic() + LONG
        while True:
            (swarm,) = self.json("list")["swarms"]
            if all(node["state"] == "idle" for node in swarm["nodes"]):
                found: dict[str, Any] = swarm
                return found
            assert time.monotonic() < end, swarm
            time.sleep(0.05)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    if shell.router is not None and shell.router.poll() is None:
        for swarm in shell.json("list")["swarms"]:
            shell.run("terminate", swarm["swarm_id"])
        shell.stop()


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

    port = int(shell.facts["router"].rpartition(":")[2])
    shell.stop(signal.SIGKILL)
    shell.start(port=port)
    assert shell.facts["adopted"] == 1
    again = shell.until_idle()
    assert (again["swarm_id"], again["job_id"], again["name"]) == (swarm_id, job, "greeters")
    assert [node["pid"] for node in again["nodes"]] == pids
    done = shell.run("inject", swarm_id, "--stdin", "-", "--nodes", "1", "--json", stdin="bytes")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["type"] for e in events] == [
        "turn_started", *["assistant_delta"] * 3, "usage", "turn_complete",
    ]  # fmt: skip
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


def test_mistakes(shell: Shell, tmp_path: Path) -> None:
    done = shell.run("list")
    assert done.returncode == 2
    assert "no router answers at ws://127.0.0.1:1" in done.stderr
    assert "start one with `swarmc start-dispatcher`" in done.stderr
    done = shell.run("start-worker")
    assert (done.returncode, "SWARMC_TOKEN_FILE is not set" in done.stderr) == (2, True)
    done = shell.run("start-dispatcher", "--host", "0.0.0.0", "--port", "0")
    assert (done.returncode, "needs a token and TLS" in done.stderr) == (2, True)
    shell.start()
    done = shell.run("inject", "nobody", "--prompt", "x")
    assert (done.returncode, done.stderr) == (2, "swarmc: error: no swarm 'nobody'\n")
    done = shell.run("inject", "nobody")
    assert "give --prompt or --stdin" in done.stderr
    done = shell.run("launch")
    assert "no module was named, and none is configured" in done.stderr
    done = shell.run("start-dispatcher", "--port", "0")
    assert (done.returncode, "swarm-state.db" in done.stderr) == (2, True)
