"""A router and task workers as processes, with links between them, to which faults happen."""

from __future__ import annotations

import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from ..orchestration.router.client import RouterClient
from .chaos_work import OPERATION
from .fault_links import Links
from .faults import FaultKind, Process, Target

_CONFIG = """
[dispatcher]
state_db_path = "swarm-state.db"
[worker]
max_concurrent_tasks = 4
[backends.internal]
operations = {{digest = "{operation}"}}
"""


class World:
    """All processes of a chaos, in a folder.

    Args:
        workers: how many.
        port: of the router, the same in all its lives.
    """

    def __init__(self, folder: Path, workers: int, port: int) -> None:
        self.folder = folder
        self.port = port
        self.token = secrets.token_urlsafe(16)
        (folder / "token").write_text(self.token)
        (folder / "swarm-config.toml").write_text(_CONFIG.format(operation=OPERATION))
        self.links = Links()
        self.router = Process("router", [
            sys.executable, "-m", "swarmc", "start-dispatcher", "swarm-config.toml", "--json",
            "--no-worker", "--port", str(port), "--token-file", "token",
        ], folder, announces=True)  # fmt: skip
        self.targets: dict[str, Target] = {"router": self.router}
        self.workers = {f"w{number}": self._worker(f"w{number}") for number in range(workers)}
        self._down: set[str] = set()
        #: Workers that ended though nobody killed them: name and exit code.
        self.ended: list[tuple[str, int | None]] = []

    def _worker(self, name: str) -> Process:
        """A worker, and its links to the router and to the engine."""
        file = self.folder / f"{name}.engine"

        def engine() -> tuple[str, int]:
            there = urlsplit(file.read_text())
            return there.hostname or "", there.port or 0

        control = self.links.open("127.0.0.1", self.port)
        work = self.links.open_to(engine)
        process = Process(name, [
            sys.executable, "-m", "swarmc.runtime.tools.chaos_worker", "swarm-config.toml", name,
            f"ws://127.0.0.1:{control.port}", "token", str(work.port), str(file),
        ], self.folder)  # fmt: skip
        self.targets |= {
            name: _Worker(self, process), f"{name} to router": control, f"{name} to engine": work,
        }  # fmt: skip
        return process

    @property
    def url(self) -> str:
        """Of the router, for clients: no fault happens to their connections but its own."""
        return f"ws://127.0.0.1:{self.port}"

    def kinds(self) -> Mapping[str, tuple[FaultKind, ...]]:
        """What may happen to each target."""
        process = (FaultKind.KILL, FaultKind.FREEZE)
        link = (FaultKind.STALL, FaultKind.CUT)
        return {name: link if " to " in name else process for name in self.targets}

    def start(self) -> None:
        """Start everything."""
        self.router.start()
        for worker in self.workers.values():
            worker.start()

    def client(self) -> RouterClient:
        """A connection of a client."""
        return RouterClient(self.url, token=self.token)

    def tend(self) -> None:
        """Start workers again that ended though nobody killed them."""
        for name, worker in self.workers.items():
            if not worker.running and name not in self._down:
                self.ended.append((name, worker.exit_code))
                worker.start()

    def stop(self) -> list[str]:
        """End everything as one should; what did not end well."""
        found = []
        for process in (*self.workers.values(), self.router):
            code = process.terminate()
            early = code == -signal.SIGTERM and process is not self.router  # it only just began
            if code != 0 and not early:
                found.append(f"{process.name} ended with {code}: {process.errors()[-1000:]}")
        return found

    def failures(self) -> list[str]:
        """Workers that ended as nobody should, and what the router wrote that nobody expects.

        Dask tells its troubles with connections to the workers' logs, and then connects again.
        """
        found = [f"{name} ended by itself with {code}" for name, code in self.ended if code != 0]
        if found:
            found += [f"{name}: {worker.errors()[-3000:]}" for name, worker in self.workers.items()]
        if "Traceback" in self.router.errors():
            found.append(f"the router: {self.router.errors()[-5000:]}")
        return found

    def close(self) -> None:
        """Leave nothing behind."""
        for process in (*self.workers.values(), self.router):
            process.close()
        self.links.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class _Worker:
    """A worker as a target: while it is down on purpose, nobody else starts it."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def begin(self, kind: FaultKind) -> None:
        if kind is FaultKind.KILL:
            self._world._down.add(self._process.name)
        self._process.begin(kind)

    def end(self, kind: FaultKind) -> None:
        self._process.end(kind)
        self._world._down.discard(self._process.name)
