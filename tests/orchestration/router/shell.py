"""The command line as processes in a folder, against a router of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..ports import free_port

LONG = 180  # several programs start, on a machine that may be busy


class Shell:
    """Runs commands in a folder, against a router of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.router: subprocess.Popen[str] | None = None
        self.facts: dict[str, Any] = {}
        self.port = free_port()  # started again, it is found where it was

    def start(self, *args: str) -> None:
        self.router = subprocess.Popen(
            [sys.executable, "-m", "swarmc", "start-dispatcher", "--json",
             "--port", str(self.port), *args],
            cwd=self.folder, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.router.stdout is not None
        self.facts = json.loads(self.router.stdout.readline())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.router is not None
        self.router.send_signal(number)
        self.router.communicate(timeout=LONG)
        return self.router.returncode

    def run(
        self, *args: str, stdin: str | None = None, named: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "swarmc", *args], cwd=self.folder, input=stdin, text=True,
            capture_output=True, timeout=LONG, check=False, env=self.environment(named),
        )  # fmt: skip

    def begin(self, *args: str, named: bool = True) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "swarmc", *args], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(named),
        )  # fmt: skip

    def environment(self, named: bool) -> dict[str, str]:
        """Variables of commands, which are told where the router is or not."""
        router = {"SWARMC_ROUTER": self.facts.get("router", "ws://127.0.0.1:1")}
        return {**os.environ, **(router if named else {})}

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


@contextmanager
def shell_in(folder: Path) -> Iterator[Shell]:
    """A shell whose router and swarms are gone afterwards."""
    shell = Shell(folder)
    try:
        yield shell
    finally:
        if shell.router is not None and shell.router.poll() is None:
            for swarm in shell.json("list")["swarms"]:
                shell.run("terminate", swarm["swarm_id"])
            shell.stop()
