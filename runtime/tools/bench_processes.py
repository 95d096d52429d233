"""Start the benchmark's other processes, time them, and watch their memory."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import TargetError
from ...targets.child import last_line, start_child
from . import bench_child

_STEP_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process answered.

    Attributes:
        ms: from before it was started until it had answered.
        peak: most bytes that it and its children held at one time, as far as was seen; 0 if
            nobody looked.
    """

    values: dict[str, Any]
    ms: float
    peak: int = 0


def ask(task: str, *, watch: bool = False, **request: Any) -> Answer:
    """Have a process of its own do a task of :mod:`~.bench_child`.

    Args:
        watch: look at its memory all the time.

    Raises:
        TargetError: it failed.
    """
    start = time.perf_counter()
    process = start_child(
        bench_child.__name__, json.dumps(request | {"task": task}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    watcher = _Watcher(process.pid) if watch else None
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ms = (time.perf_counter() - start) * 1000
        _, errors = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        peak = watcher.stop() if watcher is not None else 0
    if process.returncode != 0:
        raise TargetError(f"measuring {task} failed: {last_line(errors)}")
    return Answer(json.loads(line), ms, peak)


class _Watcher(threading.Thread):
    """Adds up the resident memory of a process and its descendants, again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._peak = 0
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._done.wait(_STEP_SECONDS):
            sizes = (bench_child.status_bytes("VmRSS", pid) for pid in family(self._pid))
            self._peak = max(self._peak, sum(sizes))

    def stop(self) -> int:
        """The most that was seen."""
        self._done.set()
        self.join()
        return self._peak


def family(pid: int) -> list[int]:
    """A process and its descendants, as far as they are there."""
    found = [pid]
    for member in found:
        try:
            for path in Path(f"/proc/{member}/task").glob("*/children"):
                found += map(int, path.read_text(encoding="ascii").split())
        except OSError:
            continue  # it has ended meanwhile
    return found
