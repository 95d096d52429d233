"""A process that deploys a workflow over a store, and kills itself at the point that it is told.

``python crashing.py FOLDER POINT``: points are before and after each write to the store and each
effect of a symbol or rollback, counted from 1; 0 is never reached.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.errors import TaskError
from swarmc.runtime.orchestration.events import Event
from swarmc.runtime.orchestration.executors import Call, InternalExecutor
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.worker import Worker
from swarmc.runtime.orchestration.workflow import WorkflowManifest, WorkflowRunner

SECONDS = 60.0
FORWARD, BACK = "do", "undo"


class Fuse:
    """Ends the process when it has been passed so many times."""

    def __init__(self, point: int) -> None:
        self._left = point
        self._lock = threading.Lock()

    def passed(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FusedStore(Store):
    """A store whose process may end before and after it has written what is waited for."""

    fuse: Fuse

    def append(self, events: Sequence[Event]) -> None:
        self.fuse.passed()
        super().append(events)
        self.fuse.passed()


def symbols() -> list[dict[str, Any]]:
    """a -> b -> c -> last, and beside: a -> d. ``last`` fails always, d's rollback once."""
    def symbol(name: str, *dependencies: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name, "type": "action", "dependencies": list(dependencies), "retries": 1,
            "parameters": {"operation": FORWARD, **more},
            "rollback": {"name": f"undo {name}", "type": "action", "retries": 5,
                         "parameters": {"operation": BACK, "of": name}},
        }  # fmt: skip

    return [
        symbol("a"), symbol("b", "a"), symbol("c", "b"), symbol("d", "a"),
        symbol("last", "c", "d", fails=True),
    ]  # fmt: skip


def main(folder: Path, point: int) -> int:
    fuse = Fuse(point)
    effects = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def effect(call: Call) -> str:
        """What is done outside: a line with what it was, and its idempotency key."""
        fuse.passed()
        os.write(effects, f"{call.name}\t{call.idempotency_key}\n".encode())
        fuse.passed()
        if call.parameters.get("fails"):
            raise TaskError("no luck", retry=False)
        return call.name

    with FusedStore(folder / "store.db", power_safe=False) as store:
        store.fuse = fuse
        registry = AgentRegistry()
        executor = InternalExecutor({FORWARD: effect, BACK: effect})
        registry.register(Worker("w", [executor], max_concurrent_tasks=1))
        with Scheduler(registry, store, SchedulerConfig(retry_delay=0.001)) as scheduler:
            scheduler.recover()
            with WorkflowRunner(scheduler, store) as runner:
                runner.resume()
                if store.workflow("run") is None:
                    manifest = {"name": "w", "symbols": symbols()}
                    runner.deploy(WorkflowManifest.model_validate(manifest), run_id="run")
                result = runner.wait("run", SECONDS)
    print(result.state.value)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
