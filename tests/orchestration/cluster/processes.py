"""A dispatcher and workers of it, each a process."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import (
    TaskInfo,
    TaskSpec,
    TaskStatus,
    TaskSubmit,
)
from swarmc.runtime.orchestration.router.protocol_workers import Worker
from swarmc.runtime.tools.faults import Process

from ..ports import free_port

ROOT = Path(__file__).parents[3]
MANDELBROT = str(ROOT / "corpus" / "mandelbrot.wasm")
LONG = 90.0
CONFIG = """
[coordinator]
heartbeat_interval = {interval}
heartbeat_timeout = {timeout}
[worker]
max_concurrent_tasks = 2
[worker.capabilities]
rust = false
php = false
powershell = false
"""
_T = TypeVar("_T")


def until(condition: Callable[[], _T]) -> _T:
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError("it did not become so")
        time.sleep(0.02)
    return found


class Grid:
    """Processes of a test, in a folder."""

    def __init__(self, folder: Path, interval: int = 100, timeout: int = 1500) -> None:
        self.folder = folder
        (folder / "swarm-config.toml").write_text(CONFIG.format(interval=interval, timeout=timeout))
        self._ending = ExitStack()
        self._port = free_port()
        self.workers: dict[str, Process] = {}

    def start(self, *options: str) -> RouterClient:
        """Start the dispatcher, which runs no tasks itself; a client of it."""
        command = (sys.executable, "-m", "swarmc", "start-dispatcher", "--json", "--no-worker")
        self.dispatcher = Process(
            "dispatcher", lambda: (*command, "--port", str(self._port), *options), self.folder,
            announces=True,
        )  # fmt: skip
        self._ending.enter_context(self.dispatcher)
        self.url = str(self.dispatcher.start()["router"])
        self.client = self.connect()
        return self.client

    def connect(self) -> RouterClient:
        """A client."""
        return self._ending.enter_context(RouterClient(self.url, timeout=LONG))

    def work(self, name: str, *options: str, announces: bool = True) -> Process:
        """Start a worker; it gets tasks when this returns."""
        command = (
            sys.executable, "-m", "swarmc", "start-worker", "swarm-config.toml", name,
            "--router", self.url, "--json", *options,
        )  # fmt: skip
        worker = self.workers[name] = Process(name, command, self.folder, announces=announces)
        self._ending.enter_context(worker)
        worker.start()
        return worker

    def listed(self) -> dict[str, Worker]:
        """Workers by name, as the router knows them."""
        return {w.name: w for w in self.client.call("worker_list", Nothing()).workers}

    def state(self, name: str) -> str | None:
        found = self.listed().get(name)
        return None if found is None else found.state

    def submit(self, *payloads: dict[str, Any], **options: Any) -> list[str]:
        """Tasks for the executor ``wasm``, unless the options say another."""
        executor = options.pop("executor", "wasm")
        tasks = [
            TaskSpec(name=f"t{number}", executor=executor, **options,
                     payload=msgspec.Raw(dumps({"parameters": payload}).encode()))
            for number, payload in enumerate(payloads)
        ]  # fmt: skip
        ids: list[str] = self.client.call("task_submit", TaskSubmit(tasks=tasks)).task_ids
        return ids

    def status(self, ids: list[str], wait_ms: int = 0) -> list[TaskInfo]:
        wanted = TaskStatus(task_ids=ids, wait_ms=wait_ms)
        found: list[TaskInfo] = self.client.call("task_status", wanted).tasks
        return found

    def wait(self, ids: list[str]) -> list[TaskInfo]:
        """The tasks when they are final."""
        found = self.status(ids, round(LONG * 1000))
        assert {task.state for task in found} <= {"completed", "failed", "cancelled"}
        return found

    def running_on(self, name: str) -> int:
        return self.listed()[name].running

    def close(self) -> None:
        for worker in self.workers.values():
            worker.signal(signal.SIGCONT)
        self._ending.close()


@contextmanager
def grid(folder: Path, **options: int) -> Iterator[Grid]:
    made = Grid(folder, **options)
    try:
        yield made
    finally:
        made.close()


def iterations(count: int) -> dict[str, Any]:
    """A task that takes so many steps, some nanoseconds each, and gives their number."""
    return {"module": MANDELBROT, "entry_point": "escape_time", "args": [-0.5, 0.0, count]}


def result(task: TaskInfo) -> Any:
    """What a task's result says of its one agent."""
    assert task.state == "completed", task
    assert isinstance(task.result, msgspec.Raw)
    return loads(bytes(task.result))["result"]
