"""A router whose tasks and workers are as the test says: a board instead of a dispatcher."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from swarmc.runtime.orchestration.router.desk import Desk, Handler
from swarmc.runtime.orchestration.router.protocol import Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import (
    MetricsText,
    TaskInfo,
    Workflow,
    WorkflowCancel,
    WorkflowCancelled,
    WorkflowDeploy,
    WorkflowDeployed,
    WorkflowList,
    WorkflowStatus,
    WorkflowTask,
)
from swarmc.runtime.orchestration.router.protocol_workers import WorkerExclude
from swarmc.runtime.orchestration.router.wire import Connection

from .paging import EchoProvider, WebRouter

#: Fan out and back in, with a line that passes a layer.
RELEASE = {
    "name": "release", "version": "2.1.0", "symbols": [
        {"name": "fetch", "type": "action"},
        {"name": "compile", "type": "transform", "dependencies": ["fetch"]},
        {"name": "lint", "type": "filter", "dependencies": ["fetch"]},
        {"name": "test", "type": "query", "dependencies": ["compile"]},
        {"name": "publish", "type": "action", "dependencies": ["test", "lint", "fetch"]},
    ],
}  # fmt: skip


class Board(Desk):
    """Workflows, tasks and workers that change when the test says so."""

    def __init__(self) -> None:
        self.runs: dict[str, Workflow] = {}
        self.tasks: dict[str, dict[str, WorkflowTask]] = {}
        self.workers: dict[str, dict[str, Any]] = {}
        self.values = {"swarmc_tasks_completed_total": 0.0, "swarmc_tasks_queued": 3.0}
        self.cancelled: list[tuple[str, str]] = []
        self.asked: list[str] = []

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "workflow_list": self._list, "workflow_status": self._status,
            "workflow_deploy": self._deploy, "workflow_cancel": self._cancel,
            "worker_list": self._workers, "worker_exclude": self._exclude,
            "metrics": self._metrics,
        }  # fmt: skip

    # What clients ask

    async def _list(self, connection: Connection, wanted: Any) -> WorkflowList:
        return WorkflowList(seq=self.router.events.seq, workflows=list(self.runs.values()))

    async def _status(self, connection: Connection, wanted: WorkflowStatus) -> Workflow:
        self.asked.append(wanted.workflow_id)
        run = self.runs.get(wanted.workflow_id)
        if run is None:
            self.router.reject("workflow_status", f"no run {wanted.workflow_id!r}", wanted)
        return msgspec.structs.replace(run, tasks=list(self.tasks[run.workflow_id].values()))

    async def _deploy(self, connection: Connection, deploy: WorkflowDeploy) -> WorkflowDeployed:
        manifest = json.loads(bytes(deploy.manifest))
        if manifest["name"] == "refused":
            self.router.reject("workflow_deploy", "symbols: first: type is missing", deploy)
        return WorkflowDeployed(workflow_id=self.deploy(manifest, deploy.reference))

    async def _cancel(self, connection: Connection, cancel: WorkflowCancel) -> WorkflowCancelled:
        self.cancelled.append((cancel.workflow_id, cancel.reason))
        self.change(cancel.workflow_id, cancel.reference, state="rolling_back")
        return WorkflowCancelled(workflow_id=cancel.workflow_id, cancelled=True)

    async def _workers(self, connection: Connection, nothing: Nothing) -> dict[str, Any]:
        return {"seq": self.router.events.seq, "workers": list(self.workers.values())}

    async def _exclude(self, connection: Connection, which: WorkerExclude) -> None:
        self.router.reject("worker_exclude", "nobody is excluded here", which)

    async def _metrics(self, connection: Connection, nothing: Nothing) -> MetricsText:
        self.values["swarmc_tasks_completed_total"] += 40
        return MetricsText(text="# TYPE swarmc_tasks_queued gauge\n", values=self.values)

    # What happens, in the router's event loop

    def deploy(self, manifest: dict[str, Any], reference: str | None = None) -> str:
        name = f"run-{len(self.runs) + 1}"
        self.tasks[name] = {
            symbol["name"]: WorkflowTask(
                task_id=f"{name}/{symbol['name']}", symbol=symbol["name"], executor="internal",
                state="waiting" if symbol.get("dependencies") else "queued",
                dependencies=[f"{name}/{one}" for one in symbol.get("dependencies", ())],
            )
            for symbol in manifest["symbols"]
        }  # fmt: skip
        self.runs[name] = Workflow(
            workflow_id=name, name=manifest["name"], version=manifest.get("version", "1.0.0"),
            state="running", started=time.time(),
        )  # fmt: skip
        self._tell(name, reference)
        return name

    def change(self, run: str, reference: str | None = None, **what: Any) -> None:
        self.runs[run] = msgspec.structs.replace(self.runs[run], **what)
        self._tell(run, reference)

    def _tell(self, run: str, reference: str | None) -> None:
        self.router.events.emit(
            "workflow_changed", data={"workflow": self.runs[run]}, reference=reference
        )

    def task(self, run: str, symbol: str, state: Any, undo: bool = False, **what: Any) -> None:
        """A symbol's task, or the one that undoes it, is in a state."""
        tasks = self.tasks[run]
        task = tasks[symbol]
        key = symbol
        if undo:
            key, of = f"{symbol}/rollback", task.task_id
            task = WorkflowTask(task_id=f"{of}/rollback", symbol=symbol, executor="internal",
                                state=state, dependencies=[of], rollback=True)  # fmt: skip
        tasks[key] = task = msgspec.structs.replace(task, state=state, **what)
        info = TaskInfo(
            task_id=task.task_id, name=symbol, state=state, executor=task.executor,
            agent=task.agent, attempts=task.attempts, error=task.error, workflow_id=run,
        )  # fmt: skip
        self.router.events.emit("task_changed", data={"task": info})

    def worker(self, name: str, **what: Any) -> None:
        data = self.workers.setdefault(name, {
            "worker_id": f"id-{name}", "name": name, "state": "ready", "host": "here", "pid": 4711,
            "domain": "here", "targets": ["cpu"], "executors": ["wasm"], "capabilities": [],
            "resources": {"cpu": 2}, "capacity": 2, "running": 0, "completed": 0, "heard_ms": 20,
        })  # fmt: skip
        data.update(what)
        if data["state"] == "lost":
            data.pop("heard_ms", None)
        self.router.events.emit("worker_changed", data={"worker": dict(data)})


class WorkRouter(WebRouter):
    """A router with a board."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, EchoProvider(), heartbeat_timeout=600.0)
        self.board = Board()

    def desks(self) -> tuple[Desk, ...]:
        return (self.board,)

    def do(self, act: Callable[..., Any], *args: Any, **what: Any) -> None:
        """Have the board do something."""
        self._loop.call_soon_threadsafe(lambda: act(*args, **what))
