"""Lists of tasks: what the store has of them, with what the scheduler knows of those that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UnknownTaskError
from ..store import TaskSummary
from ..tasks import TaskRecord, TaskState
from .protocol_tasks import TaskInfo, TaskWanted

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from ..scheduler import Scheduler

#: Characters of errors in one answer, after which it ends: each may be six bytes of a message.
MAX_ERRORS = 1 << 20
_BEGUN = frozenset(state for state in TaskState if not state.final)


def newest(dispatcher: Dispatcher, wanted: TaskWanted) -> tuple[list[TaskInfo], int | None]:
    """Tasks, those accepted last first, and before which number there may be more.

    The store is behind with those that have not ended: that their dependencies are complete, and
    that they have begun, is the scheduler's to know first. Their ends are in the store sooner.
    """
    states = {TaskState(name) for name in wanted.states} or set(TaskState)
    begun = states & _BEGUN
    among = None
    if begun and begun != _BEGUN:
        among = dispatcher.scheduler.in_states(begun)
    found = dispatcher.store.newest_tasks(
        wanted.limit + 1, states, before=wanted.before, submitted=wanted.submitted, among=among
    )
    infos: list[TaskInfo] = []
    size = last = 0
    for task in found[: wanted.limit]:
        info = _info(dispatcher.scheduler, task)
        size += len(info.error or "") if info is not None else 0
        if size > MAX_ERRORS and last:
            return infos, last
        if info is not None and TaskState(info.state) in states:
            infos.append(info)
        last = task.number
    return infos, last if len(found) > wanted.limit else None


def _info(scheduler: Scheduler, task: TaskSummary) -> TaskInfo | None:
    """A task as it is now; None: it is gone."""
    if not task.state.final:
        try:
            return info_of(scheduler.record(task.id))
        except UnknownTaskError:
            return None
    return TaskInfo(
        task_id=task.id, name=task.name, state=task.state.value, executor=task.executor,
        agent=task.agent, attempts=task.attempts, error=task.error, workflow_id=task.workflow,
    )  # fmt: skip


def info_of(record: TaskRecord) -> TaskInfo:
    """A task as clients are told, without its result."""
    task = record.task
    return TaskInfo(
        task_id=task.id, name=task.name, state=record.state.value, executor=task.executor,
        agent=record.agent, attempts=record.attempts, error=record.error,
        workflow_id=task.workflow,
    )  # fmt: skip
