"""The desk of workflows: clients deploy them, ask for them, and hear what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import UNSET

from ..backends import ExecutorsMissingError
from ..codec import ValueEncodingError, dumps, loads
from ..documents.document import DocumentError
from ..errors import ClosedError, InvalidTaskError, QueueFullError
from ..store import WorkflowRecord
from ..tasks import new_id
from ..workflow.result import SymbolResult, WorkflowResult, WorkflowState
from ..workflow.run import UnknownWorkflowError
from ..workflow.schema import WorkflowManifest
from ..workflow.state import is_workflow
from ..workflow.tasks import rollback_id, task_id
from .desk import Desk, Handler
from .protocol import Code
from .protocol_tasks import (
    Workflow,
    WorkflowCancel,
    WorkflowCancelled,
    WorkflowDeploy,
    WorkflowDeployed,
    WorkflowList,
    WorkflowStatus,
    WorkflowTask,
    WorkflowWanted,
)
from .tasks import Results, Waiters
from .wire import Connection, RequestError

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

_REFUSED = (DocumentError, ExecutorsMissingError, InvalidTaskError, QueueFullError, ClosedError)
_ACTIVE = ("running", "rolling_back")


class WorkflowDesk(Desk):
    """Workflows of a dispatcher's runner."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiters = Waiters()
        self._naming = asyncio.Lock()  # held while a run starts whose id was given
        self._unwatch: Callable[[], None] = lambda: None

    def handlers(self) -> Mapping[str, Handler]:
        """Those of workflows."""
        return {
            "workflow_deploy": self._deploy, "workflow_list": self._list,
            "workflow_status": self._status_of, "workflow_cancel": self._cancel,
        }  # fmt: skip

    async def open(self, router: Router) -> None:
        """Listen to the runner."""
        await super().open(router)

        def changed(run: WorkflowResult) -> None:
            router.feed.put(self._changed, run)

        self._unwatch = self._dispatcher.runner.on_change(changed)

    async def close(self) -> None:
        """Listen no more."""
        await asyncio.to_thread(self._unwatch)

    def _changed(self, run: WorkflowResult) -> None:
        if run.state.final:
            self._waiters.final(run.id)
        self.router.events.emit(
            "workflow_changed", data={"workflow": _workflow_of(run)}, reference=run.reference
        )

    # -- what clients ask --------------------------------------------------------------------

    async def _deploy(self, connection: Connection, deploy: WorkflowDeploy) -> WorkflowDeployed:
        def parse() -> WorkflowManifest:
            return self._dispatcher.parse(loads(bytes(deploy.manifest)))

        try:
            manifest = await self.router.call(parse)
            if deploy.workflow_id is None:
                run_id = new_id("run")
                await self._start(run_id, manifest, deploy.reference)
            else:
                run_id = deploy.workflow_id
                async with self._naming:  # asked again before it is answered, it is known
                    if not await self._known(run_id, manifest):
                        await self._start(run_id, manifest, deploy.reference)
        except ValueEncodingError as error:
            why = f"workflow_deploy: manifest: {error}"
            raise RequestError(Code.INVALID_PARAMS, why) from error
        except _REFUSED as error:
            self.router.reject("workflow_deploy", str(error), deploy)
        return WorkflowDeployed(workflow_id=run_id)

    async def _known(self, run_id: str, manifest: WorkflowManifest) -> bool:
        """Whether there is a run of this manifest with this id.

        Raises:
            InvalidTaskError: there is something else with it.
        """
        if run_id in self.router.swarms:  # whose turns are under its id
            raise InvalidTaskError(f"{run_id} is the id of a swarm")
        stored = await self.router.call(self._dispatcher.store.workflow, run_id)
        if stored is not None and dumps(stored.manifest) != dumps(manifest.to_data()):
            raise InvalidTaskError(f"{run_id} is the id of another workflow's run")
        return stored is not None

    async def _start(
        self, run_id: str, manifest: WorkflowManifest, reference: str | None
    ) -> None:
        await self.router.call(self._dispatcher.deploy, manifest, run_id, reference)

    async def _list(self, connection: Connection, wanted: WorkflowWanted) -> WorkflowList:
        seq = self.router.events.seq
        store = self._dispatcher.store

        def read() -> list[Workflow]:
            states = _ACTIVE if wanted.active else None
            found = store.latest_workflows(wanted.limit, states)
            return [_stored(record) for record in found if is_workflow(record.manifest)]

        return WorkflowList(seq=seq, workflows=await self.router.call(read))

    async def _status_of(self, connection: Connection, wanted: WorkflowStatus) -> Workflow:
        name = wanted.workflow_id
        futures = self._waiters.wait_for([name] if wanted.wait_ms else [])
        try:
            run = await self._result(wanted, "workflow_status")
            if futures and not run.state.final:
                await asyncio.wait(futures.values(), timeout=wanted.wait_ms / 1000)
                run = await self._result(wanted, "workflow_status")
        finally:
            self._waiters.forget(futures)
        if not run.state.final:
            await self.router.call(self._dispatcher.runner.check, name)
        return await self.router.call(_with_tasks, run, wanted.results)

    async def _result(
        self, which: WorkflowStatus | WorkflowCancel, command: str
    ) -> WorkflowResult:
        try:
            return await self.router.call(self._dispatcher.runner.result, which.workflow_id)
        except UnknownWorkflowError as error:
            self.router.reject(command, str(error), which)

    async def _cancel(self, connection: Connection, cancel: WorkflowCancel) -> WorkflowCancelled:
        await self._result(cancel, "workflow_cancel")
        done = await self.router.call(
            self._dispatcher.runner.cancel, cancel.workflow_id, cancel.reason or "cancelled"
        )
        return WorkflowCancelled(workflow_id=cancel.workflow_id, cancelled=done)


def _workflow_of(run: WorkflowResult, tasks: list[WorkflowTask] | None = None) -> Workflow:
    return Workflow(
        workflow_id=run.id, name=run.name, version=run.version, state=run.state.value,
        error=run.error, started=run.started, duration_ms=_milliseconds(run.duration),
        tasks=tasks or [],
    )  # fmt: skip


def _stored(record: WorkflowRecord) -> Workflow:
    took = None if record.finished is None else record.finished - record.started
    return Workflow(
        workflow_id=record.id, name=record.name, version=record.version or "",
        state=WorkflowState(record.state).value,
        error=record.error, started=record.started, duration_ms=_milliseconds(took),
    )  # fmt: skip


def _with_tasks(run: WorkflowResult, results: bool) -> Workflow:
    """A run with its tasks."""
    sent = Results() if results else None
    tasks = [
        _task_of(task_id(run.id, name), run.id, symbol, sent)
        for name, symbol in run.symbols.items()
    ]
    tasks += [
        _task_of(rollback_id(run.id, name), run.id, rollback, sent, rollback=True)
        for name, rollback in run.rollbacks.items()
    ]
    return _workflow_of(run, tasks)


def _task_of(
    identifier: str, run_id: str, symbol: SymbolResult, results: Results | None,
    rollback: bool = False,
) -> WorkflowTask:  # fmt: skip
    wanted = results is not None and symbol.state.value == "completed"
    return WorkflowTask(
        task_id=identifier, symbol=symbol.name, state=symbol.state.value,
        executor=symbol.executor, agent=symbol.agent, attempts=symbol.attempts,
        error=symbol.error, dependencies=[task_id(run_id, n) for n in symbol.dependencies],
        rollback=rollback, duration_ms=_milliseconds(symbol.duration),
        result=results.encode(symbol.name, symbol.result) if results and wanted else UNSET,
    )  # fmt: skip


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
