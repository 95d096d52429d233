"""The protocol's messages about tasks, workflows and metrics; a part of :mod:`.protocol`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, field

from .protocol_base import Id, Params, Reason, Reference, Result, Value, Wait

#: Tasks that one request may be about.
MAX_TASKS = 10_000
#: For which a client may be away, whose tasks are tied to it: a day.
MAX_AWAY_MS = 24 * 3600 * 1000

Name = Annotated[str, Meta(min_length=1, max_length=200)]
#: Those of workflows' tasks have slashes and names of symbols in them.
TaskId = Annotated[str, Meta(min_length=1, max_length=1024)]
TaskIds = Annotated[list[TaskId], Meta(min_length=1, max_length=MAX_TASKS)]
TaskState = Literal["waiting", "queued", "running", "completed", "failed", "cancelled"]
WorkflowState = Literal["running", "rolling_back", "completed", "failed", "rolled_back"]


# Tasks


class TaskSpec(Params, kw_only=True, frozen=True):
    """A task that is to be run.

    Args:
        name: for people; need not be unique.
        payload: what its executor works on.
        executor: which; None: the default one of the worker that runs it.
        requires: capabilities that the worker must have.
        resources: what the task occupies of its worker.
        priority: higher is earlier. timeout_ms: of one attempt. retries: beyond the first.
        idempotency_key: submitted again with it, nothing is run and the first one's id is given.
        dependencies: ids of tasks that must complete first, of this request or of earlier ones.
        task_id: an id that was not used before; None: the router makes one.
    """

    name: Name
    payload: Value = UNSET
    executor: Name | None = None
    requires: Annotated[list[Name], Meta(max_length=64)] = field(default_factory=list)
    resources: Annotated[dict[Name, Annotated[float, Meta(ge=0)]], Meta(max_length=64)] = field(
        default_factory=dict
    )
    priority: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = 0
    timeout_ms: Annotated[int, Meta(ge=1, le=30 * 24 * 3600 * 1000)] = 30_000
    retries: Annotated[int, Meta(ge=0, le=1000)] = 3
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    dependencies: Annotated[list[TaskId], Meta(max_length=MAX_TASKS)] = field(default_factory=list)
    task_id: Id | None = None


class TaskSubmit(Params, kw_only=True, frozen=True):
    """``task_submit``: have tasks run, all or none of them.

    Args:
        while_connected_ms: cancel those that are not final when the client, which ``hello`` names
            by ``instance``, has not been connected for so long. None: they do not need it.
    """

    tasks: Annotated[list[TaskSpec], Meta(min_length=1, max_length=MAX_TASKS)]
    while_connected_ms: Annotated[int, Meta(ge=0, le=MAX_AWAY_MS)] | None = None
    reference: Reference | None = None


class TasksNamed(Result, kw_only=True, frozen=True):
    """Ids of tasks: of those submitted, in their order; of those that a request ended."""

    task_ids: list[str]


class TaskStatus(Params, kw_only=True, frozen=True):
    """``task_status``: what is known of tasks.

    Args:
        wait_ms: answer when all of them are final, but not later than this.
    """

    task_ids: TaskIds
    wait_ms: Wait = 0
    reference: Reference | None = None


class TaskInfo(Result, kw_only=True, frozen=True):
    """A task.

    Args:
        agent: id of the worker that runs or ran the last attempt. attempts: how many began.
        result: of one that completed; never in events.
        error: of one that failed or was cancelled, or of the last attempt that failed.
        workflow_id: the run that it belongs to.
    """

    task_id: str
    name: str
    state: TaskState
    executor: str | None = None
    agent: str | None = None
    attempts: int = 0
    result: Value = UNSET
    error: str | None = None
    workflow_id: str | None = None


class TaskList(Result, kw_only=True, frozen=True):
    """Tasks, in the order of the request, as they were after event ``seq`` or later."""

    seq: int
    tasks: list[TaskInfo]


class TaskWanted(Params, kw_only=True, frozen=True):
    """``task_list``: tasks, those accepted last first.

    Args:
        states: only those in these; none: in any.
        submitted: only those that clients submitted on their own, not those of workflows.
        before: ``next`` of an answer: those that come after it in the list.
    """

    states: Annotated[list[TaskState], Meta(max_length=6)] = field(default_factory=list)
    submitted: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None = None


class TaskPage(Result, kw_only=True, frozen=True):
    """Tasks without results, as they were after event ``seq`` or later.

    Args:
        next: there may be more: ``before`` of the request for those.
    """

    seq: int
    tasks: list[TaskInfo]
    next: int | None = None


class TaskCancel(Params, kw_only=True, frozen=True):
    """``task_cancel``: end tasks, and those that depend on them; answered with those that were not
    final."""

    task_ids: TaskIds
    reason: Reason = ""
    reference: Reference | None = None


# Workflows


class WorkflowDeploy(Params, kw_only=True, frozen=True):
    """``workflow_deploy``: run a workflow.

    Args:
        manifest: an object with name, version, description and symbols, as in a file.
        workflow_id: an id for the run. Deployed again with it, nothing is run, and the answer is
            the same. None: the router makes one.
    """

    manifest: msgspec.Raw
    workflow_id: Id | None = None
    reference: Reference | None = None


class WorkflowDeployed(Result, kw_only=True, frozen=True):
    """The id of the run."""

    workflow_id: str


class WorkflowStatus(Params, kw_only=True, frozen=True):
    """``workflow_status``: a run and its tasks.

    Args:
        results: whether results of tasks are wanted.
        wait_ms: answer when it has ended, but not later than this.
    """

    workflow_id: Id
    results: bool = False
    wait_ms: Wait = 0
    reference: Reference | None = None


class WorkflowTask(Result, kw_only=True, frozen=True):
    """A symbol of a workflow, or the rollback of one.

    Args:
        symbol: its name.
        dependencies: ids of the tasks that come right before it; a rollback's is what it undoes.
        duration_ms: of the last attempt, if it has ended.
        result: if it was asked for.
    """

    task_id: str
    symbol: str
    state: TaskState
    executor: str
    agent: str | None = None
    attempts: int = 0
    error: str | None = None
    dependencies: list[str] = field(default_factory=list)
    rollback: bool = False
    duration_ms: float | None = None
    result: Value = UNSET


class Workflow(Result, kw_only=True, frozen=True):
    """A run of a workflow.

    Args:
        error: why it did not complete.
        started: seconds since 1970. duration_ms: to its end, or until now.
        tasks: of ``workflow_status`` only: symbols, then the rollbacks that run or ran.
    """

    workflow_id: str
    name: str
    version: str
    state: WorkflowState
    error: str | None = None
    started: float | None = None
    duration_ms: float | None = None
    tasks: list[WorkflowTask] = field(default_factory=list)


class WorkflowWanted(Params, kw_only=True, frozen=True):
    """``workflow_list``: runs, the latest ones if there are more than ``limit``.

    Args:
        active: only those that have not ended.
    """

    active: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class WorkflowList(Result, kw_only=True, frozen=True):
    """Runs in the order of their starts, as they were after event ``seq`` or later."""

    seq: int
    workflows: list[Workflow]


class WorkflowCancel(Params, kw_only=True, frozen=True):
    """``workflow_cancel``: stop a run and roll it back."""

    workflow_id: Id
    reason: Reason = ""
    reference: Reference | None = None


class WorkflowCancelled(Result, kw_only=True, frozen=True):
    """Whether it runs no more because of this; false: it had ended, or is rolled back already."""

    workflow_id: str
    cancelled: bool


# Counts


class TaskCounts(Result, kw_only=True, frozen=True, omit_defaults=False):
    """How many tasks the state database has; turns are tasks, too."""

    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0


class WorkerCounts(Result, kw_only=True, frozen=True, omit_defaults=False):
    """How many workers run nothing, and how many something."""

    idle: int = 0
    busy: int = 0


class MetricsWanted(Params, kw_only=True, frozen=True):
    """``metrics``: how it is with everything.

    Args:
        since: have samples of after this time, too, in seconds since 1970, as far as they are kept.
    """

    since: Annotated[float, Meta(ge=0)] | None = None


class MetricsHistory(Result, kw_only=True, frozen=True):
    """Samples of some figures: times in seconds since 1970, and of each figure a value for each."""

    times: list[float]
    values: dict[str, list[float]]


class MetricsText(Result, kw_only=True, frozen=True):
    """Metrics, as Prometheus reads them (``text``), and their samples by name and labels.

    Args:
        history: of the latest 15 minutes, once a second; there if ``since`` was given.
    """

    text: str
    values: dict[str, float]
    history: MetricsHistory | None = None


#: What may be asked: method -> (who may, parameters, result).
METHODS: dict[str, tuple[str, type[Params], Any]] = {
    "task_submit": ("client", TaskSubmit, TasksNamed),
    "task_status": ("client", TaskStatus, TaskList),
    "task_list": ("client", TaskWanted, TaskPage),
    "task_cancel": ("client", TaskCancel, TasksNamed),
    "workflow_deploy": ("client", WorkflowDeploy, WorkflowDeployed),
    "workflow_list": ("client", WorkflowWanted, WorkflowList),
    "workflow_status": ("client", WorkflowStatus, Workflow),
    "workflow_cancel": ("client", WorkflowCancel, WorkflowCancelled),
    "metrics": ("client", MetricsWanted, MetricsText),
}
