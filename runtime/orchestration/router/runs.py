"""Workflows of a router, for programs that would else run them by a runner of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import msgspec

from ..codec import dumps, loads
from ..errors import OrchestrationError
from ..tasks import TaskState, new_id
from ..workflow.result import SymbolResult, WorkflowResult, WorkflowState
from ..workflow.schema import WorkflowManifest
from ..workflow.tasks import symbol_of
from .client import CommandRejectedError, RouterClient, RouterUnavailableError
from .protocol_base import Code, Params, Value
from .protocol_tasks import (
    TaskStatus,
    Workflow,
    WorkflowCancel,
    WorkflowDeploy,
    WorkflowStatus,
    WorkflowTask,
    WorkflowWanted,
)

_AGAIN = 0.2  # seconds between attempts to reach a router that went away
_MOST = 1000  # runs that one list has


class RoutedRuns:
    """Deploys workflows and waits for them, as ``WorkflowRunner`` does, through a router.

    A connection that is lost is made again: runs go on without it.

    Args:
        connect: makes a connection.
        patience: seconds for which a router that went away is looked for.
    """

    def __init__(self, connect: Callable[[], RouterClient], patience: float = 20.0) -> None:
        self._connect = connect
        self._patience = patience
        self._client = connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._client.close()

    def deploy(self, manifest: WorkflowManifest) -> str:
        """Start a run and give its id. If the connection is lost meanwhile, it is asked again.

        Raises:
            CommandRejectedError: the router does not run it.
            OrchestrationError: nobody knows whether it does: the router stayed away.
        """
        raw = msgspec.Raw(dumps(manifest.to_data()).encode())
        run_id = new_id("run")
        try:
            self._call("workflow_deploy", WorkflowDeploy(manifest=raw, workflow_id=run_id))
        except CommandRejectedError:
            raise
        except OrchestrationError as error:
            error.hint = f"if run {run_id} was accepted, it goes on when the router is there again"
            raise
        return run_id

    def active(self) -> list[str]:
        """Ids of runs that have not ended, in the order of their starts."""
        wanted = WorkflowWanted(active=True, limit=_MOST)
        return [run.workflow_id for run in self._call("workflow_list", wanted).workflows]

    def wait(self, run_id: str, timeout: float) -> WorkflowResult:
        """Wait until a run has ended.

        Raises:
            TimeoutError: it has not, after this many seconds; it goes on.
        """
        wanted = WorkflowStatus(workflow_id=run_id, wait_ms=round(timeout * 1000))
        run: Workflow = self._call("workflow_status", wanted)
        if not WorkflowState(run.state).final:
            raise TimeoutError(f"run {run_id} is not done after {timeout:g} s")
        return _result_of(run, self._results(run))

    def result(self, run_id: str) -> WorkflowResult:
        """How a run is now; without results of its symbols."""
        return _result_of(self._call("workflow_status", WorkflowStatus(workflow_id=run_id)), {})

    def cancel(self, run_id: str, reason: str = "cancelled") -> bool:
        """Stop a run and roll it back; False if that is so, or it has ended."""
        wanted = WorkflowCancel(workflow_id=run_id, reason=reason)
        done: bool = self._call("workflow_cancel", wanted).cancelled
        return done

    def _results(self, run: Workflow) -> dict[str, Any]:
        """Results of a run's tasks, by task: all at once, or one by one if they are large."""
        try:
            wanted = WorkflowStatus(workflow_id=run.workflow_id, results=True)
            found: Workflow = self._call("workflow_status", wanted)
            return {task.task_id: _value(task.result) for task in found.tasks}
        except CommandRejectedError as error:
            if error.code != Code.REJECTED:
                raise
        completed = [task.task_id for task in run.tasks if task.state == "completed"]
        return {task_id: self._result_of_task(task_id) for task_id in completed}

    def _result_of_task(self, task_id: str) -> Any:
        return _value(self._call("task_status", TaskStatus(task_ids=[task_id])).tasks[0].result)

    def _call(self, method: str, params: Params) -> Any:
        """Ask for what does no harm if it is asked again."""
        end = time.monotonic() + self._patience
        while True:
            try:
                if self._client.gone:
                    self._client = self._connect()
                return self._client.call(method, params)
            except RouterUnavailableError as error:
                if time.monotonic() > end:
                    raise OrchestrationError(
                        f"the connection to the router was lost: {error.message}",
                        hint="what it accepted goes on when it is there again",
                    ) from error
                self._client.close()
                time.sleep(_AGAIN)


def _value(result: Value) -> Any:
    return loads(bytes(result)) if isinstance(result, msgspec.Raw) else None


def _result_of(run: Workflow, results: dict[str, Any]) -> WorkflowResult:
    symbols, rollbacks = {}, {}
    for task in run.tasks:
        found = _symbol_result(task, run.workflow_id, results.get(task.task_id))
        if task.rollback:
            rollbacks[symbol_of(task.task_id, run.workflow_id)] = found
        else:
            symbols[task.symbol] = found
    return WorkflowResult(
        run.workflow_id, run.name, run.version, WorkflowState(run.state), run.error, symbols,
        rollbacks, (run.duration_ms or 0.0) / 1000, run.started or 0.0,
    )  # fmt: skip


def _symbol_result(task: WorkflowTask, run_id: str, result: Any) -> SymbolResult:
    return SymbolResult(
        task.symbol, task.executor, TaskState(task.state), task.attempts, result, task.error,
        None if task.duration_ms is None else task.duration_ms / 1000, task.agent,
        tuple(symbol_of(other, run_id) for other in task.dependencies),
    )  # fmt: skip
