"""Events become rows: what may follow what, and what is so afterwards.

Everything that is not final is held in memory, so that no event costs a query. A group of appends
changes what is held; at the end the rows that changed are written once each, however many events
changed them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..codec import dumps
from ..events import Event, EventKind
from ..interfaces import AgentState
from .errors import (
    DuplicateKeyError,
    DuplicateTaskError,
    IllegalTransitionError,
    InvalidEventError,
)
from .now import AgentNow, MessageNow, Now, TaskNow, WorkflowNow

_AGENT_STATES = frozenset(state.value for state in AgentState)
#: Kinds of events that change no table.
_PLAIN = frozenset(k.value for k in EventKind if k.value.startswith("coordination."))
_WORKFLOW_ENDS = frozenset({"completed", "failed", "rolled_back"})
#: Messages to everybody are never final; so many of the latest are held, others looked up.
_BROADCASTS_HELD = 4096

#: Finds what is stored of a subject that is not held: (table, id) -> its state, if it is there.
Find = Callable[[str, str], Now | None]
Data = Mapping[str, Any]


class Fold:
    """The state of all that is not final, and the rows that a group of appends makes.

    Args:
        find: looks a subject up in the tables, by table and id.
        seq: sequence number of the latest event stored.
    """

    def __init__(self, find: Find, seq: int = 0) -> None:
        self._find = find
        self.seq = seq
        self.tasks: dict[str, TaskNow] = {}
        self.workflows: dict[str, WorkflowNow] = {}
        self.agents: dict[str, AgentNow] = {}
        self.messages: dict[str, MessageNow] = {}
        self._broadcasts: deque[str] = deque()
        #: What is held, by table and id, and what of it the group changed.
        self.held: dict[str, dict[str, Any]] = {
            "tasks": self.tasks, "workflows": self.workflows, "agents": self.agents,
            "messages": self.messages,
        }  # fmt: skip
        self.touched: dict[str, dict[str, Any]] = {name: {} for name in self.held}
        self._touched_tasks = self.touched["tasks"]
        #: Rows of the table ``events``, one after the other.
        self.rows: list[Any] = []
        #: Idempotency keys that cannot be accepted any more, and whose they are.
        self.keys: dict[str, str] = {}
        self._apply: dict[str, Callable[[str, Data, float, int], int]] = {
            EventKind.TASK_ACCEPTED.value: self._task_accepted,
            EventKind.TASK_STARTED.value: self._task_started,
            EventKind.TASK_RETRIED.value: self._task_retried,
            EventKind.TASK_COMPLETED.value: self._task_completed,
            EventKind.TASK_FAILED.value: self._task_failed,
            EventKind.TASK_CANCELLED.value: self._task_cancelled,
            EventKind.AGENT_REGISTERED.value: self._agent_registered,
            EventKind.AGENT_STATE.value: self._agent_state,
            EventKind.WORKFLOW_STARTED.value: self._workflow_started,
            EventKind.WORKFLOW_ROLLING_BACK.value: self._workflow_rolling_back,
            EventKind.WORKFLOW_FINISHED.value: self._workflow_finished,
            EventKind.MESSAGE_SENT.value: self._message_sent,
            EventKind.MESSAGE_DELIVERED.value: self._message_delivered,
            **dict.fromkeys(_PLAIN, _nothing),
        }

    # -- groups ------------------------------------------------------------------------------

    def add(self, events: Sequence[Event]) -> None:
        """Take one append: all of it, or raise and take nothing of it."""
        if len(events) == 1:
            self._one(events[0])  # changes nothing before it is sure
            return
        undo = self.mark(events)
        try:
            for event in events:
                self._one(event)
        except BaseException:
            undo()
            raise

    def mark(self, events: Sequence[Event]) -> Callable[[], None]:
        """What undoes the taking of these events, if called before others are taken."""
        seq, rows = self.seq, len(self.rows)
        before = []
        for event in events:
            if event.kind.value in _PLAIN:
                continue
            table, subject = table_of(event), event.subject
            now = self.held[table].get(subject)
            copy = now.copy() if now is not None else None
            before.append((table, subject, copy, subject in self.touched[table]))

        def undo() -> None:
            self.seq = seq
            del self.rows[rows:]
            for table, subject, now, touched in before:
                _put(self.held[table], subject, now)
                _put(self.touched[table], subject, now if touched else None)
            ours = {event.subject for event in events}
            self.keys = {key: task for key, task in self.keys.items() if task not in ours}

        return undo

    def clear(self) -> None:
        """The group is written: forget its rows, and what is final."""
        for name, touched in self.touched.items():
            held = self.held[name]
            for subject, now in touched.items():
                if now.final:
                    held.pop(subject, None)
            if name != "tasks":
                touched.clear()
        for task in self._touched_tasks.values():
            if task.runs:
                task.runs.clear()
        self._touched_tasks.clear()
        while len(self._broadcasts) > _BROADCASTS_HELD:
            self.messages.pop(self._broadcasts.popleft(), None)
        self.rows.clear()
        self.keys.clear()

    def _one(self, event: Event) -> None:
        subject, at, data = event.subject, event.at, event.data
        if type(subject) is not str or not subject:
            raise InvalidEventError(f"an event's subject is an id, not {subject!r}")
        if type(at) is not float:
            at = float(at)
        if type(data) is not dict:
            data = dict(data)
        text = dumps(data)
        kind: str = event.kind._value_
        seq = self.seq + 1
        previous = self._apply[kind](subject, data, at, seq)
        self.seq = seq
        self.rows += (seq, previous, kind, subject, at, text)

    def replay(self, kind: str, subject: str, data: Data, at: float, seq: int) -> int:
        """Take an event that is stored already; the number of the one before it."""
        self.seq = seq
        return self._apply[kind](subject, data, at, seq)

    # -- tasks -------------------------------------------------------------------------------

    def _task_accepted(self, subject: str, data: Data, at: float, seq: int) -> int:
        if subject in self.tasks:
            raise DuplicateTaskError(f"task {subject} was accepted already")
        if data.get("id") != subject:
            raise InvalidEventError(f"task {subject} says that its id is {data.get('id')!r}")
        _text("task.accepted", data, "name")
        key = data.get("idempotency_key")
        workflow = data.get("workflow")
        if key is not None:
            _text("task.accepted", data, "idempotency_key")
            if key in self.keys:
                raise DuplicateKeyError(key, self.keys[key])
        if workflow is not None:
            _text("task.accepted", data, "workflow")
        state = "waiting" if data.get("dependencies") else "queued"
        task = TaskNow(subject, seq, state, at)
        if key is not None:
            task.key = key
            self.keys[key] = subject
        task.workflow = workflow
        task.last = seq
        self.tasks[subject] = self._touched_tasks[subject] = task
        return 0

    def _task_started(self, subject: str, data: Data, at: float, seq: int) -> int:
        task = self.tasks.get(subject)
        if task is None or task.finished is not None:
            raise self._no_task(subject, "start")
        attempt, agent = data.get("attempt"), data.get("agent")
        if type(attempt) is not int or not task.attempts < attempt < 1 << 31:
            raise IllegalTransitionError(
                f"task {subject} cannot start attempt {attempt!r} after {task.attempts}"
            )
        if agent is not None:
            _text("task.started", data, "agent")
        if task.run:
            task.end_run(at, "lost")
        task.state = "running"
        task.attempts = attempt
        task.agent = agent
        task.started = at
        task.run = seq
        task.runs[seq] = (seq, task.number, attempt, agent, at, None, None)
        return self._next(task, seq)

    def _task_retried(self, subject: str, data: Data, at: float, seq: int) -> int:
        task = self._begun(subject, "be retried")
        task.end_run(at, "lost" if data.get("failover") is True else "failed")
        task.state = "queued"
        task.outcome = seq
        return self._next(task, seq)

    def _task_completed(self, subject: str, data: Data, at: float, seq: int) -> int:
        return self._end(self._begun(subject, "complete"), "completed", at, seq)

    def _task_failed(self, subject: str, data: Data, at: float, seq: int) -> int:
        task = self.tasks.get(subject)
        if task is None or task.finished is not None:
            raise self._no_task(subject, "fail")
        return self._end(task, "failed", at, seq)

    def _task_cancelled(self, subject: str, data: Data, at: float, seq: int) -> int:
        task = self.tasks.get(subject)
        if task is None or task.finished is not None:
            raise self._no_task(subject, "be cancelled")
        return self._end(task, "cancelled", at, seq)

    def _begun(self, subject: str, what: str) -> TaskNow:
        task = self.tasks.get(subject)
        if task is None or task.finished is not None:
            raise self._no_task(subject, what)
        if not task.attempts:
            raise IllegalTransitionError(f"task {subject} cannot {what}: it never started")
        return task

    def _end(self, task: TaskNow, state: str, at: float, seq: int) -> int:
        task.end_run(at, state)
        task.state = state
        task.finished = at
        task.outcome = seq
        return self._next(task, seq)

    def _next(self, task: TaskNow, seq: int) -> int:
        previous, task.last = task.last, seq
        self._touched_tasks[task.id] = task
        return previous

    def _no_task(self, subject: str, what: str) -> IllegalTransitionError:
        task = self.tasks.get(subject) or self._find("tasks", subject)
        why = f"it is {task.state}" if isinstance(task, TaskNow) else "it was never accepted"
        return IllegalTransitionError(f"task {subject} cannot {what}: {why}")

    # -- the others --------------------------------------------------------------------------

    def _known(self, table: str, subject: str) -> Any:
        return self.held[table].get(subject) or self._find(table, subject)

    def _touch(self, table: str, now: Now, seq: int) -> int:
        previous, now.last = now.last, seq
        self.held[table][now.id] = self.touched[table][now.id] = now
        return previous

    def _agent_registered(self, subject: str, data: Data, at: float, seq: int) -> int:
        name = _text("agent.registered", data, "name")
        kind = _text("agent.registered", data, "kind")
        agent = self._known("agents", subject) or AgentNow(subject, seq)
        agent.name, agent.kind, agent.state = name, kind, AgentState.CREATED.value
        agent.registered = agent.changed = at
        agent.described = seq
        return self._touch("agents", agent, seq)

    def _agent_state(self, subject: str, data: Data, at: float, seq: int) -> int:
        agent = self._known("agents", subject)
        state = data.get("state")
        if state not in _AGENT_STATES:
            raise InvalidEventError(f"agent.state: there is no state {state!r}")
        if agent is None or agent.state == AgentState.RETIRED.value:
            why = "it never registered" if agent is None else "it is retired"
            raise IllegalTransitionError(f"agent {subject} cannot become {state}: {why}")
        agent.state, agent.changed = state, at
        return self._touch("agents", agent, seq)

    def _workflow_started(self, subject: str, data: Data, at: float, seq: int) -> int:
        if self._known("workflows", subject) is not None:
            raise DuplicateTaskError(f"workflow {subject} was started already")
        name = _text("workflow.started", data, "name")
        if data.get("version") is not None:
            _text("workflow.started", data, "version")
        workflow = WorkflowNow(subject, seq, name, data.get("version"), at)
        return self._touch("workflows", workflow, seq)

    def _workflow_rolling_back(self, subject: str, data: Data, at: float, seq: int) -> int:
        workflow = self._known("workflows", subject)
        if workflow is None or workflow.state != "running":
            why = "it never started" if workflow is None else f"it is {workflow.state}"
            raise IllegalTransitionError(f"workflow {subject} cannot roll back: {why}")
        workflow.state, workflow.rollback = "rolling_back", seq
        return self._touch("workflows", workflow, seq)

    def _workflow_finished(self, subject: str, data: Data, at: float, seq: int) -> int:
        workflow = self._known("workflows", subject)
        state = data.get("state")
        if state not in _WORKFLOW_ENDS:
            raise InvalidEventError(f"workflow.finished: a workflow does not end as {state!r}")
        if workflow is None or workflow.final:
            why = "it never started" if workflow is None else f"it is {workflow.state}"
            raise IllegalTransitionError(f"workflow {subject} cannot finish: {why}")
        workflow.state, workflow.finished = state, at
        return self._touch("workflows", workflow, seq)

    def _message_sent(self, subject: str, data: Data, at: float, seq: int) -> int:
        if subject in self.messages:
            raise DuplicateTaskError(f"message {subject} was sent already")
        channel = _text("message.sent", data, "channel")
        sender = _text("message.sent", data, "sender")
        recipient = data.get("recipient")
        if recipient is None:
            self._broadcasts.append(subject)
        else:
            _text("message.sent", data, "recipient")
        message = MessageNow(subject, seq, channel, sender, recipient, at)
        return self._touch("messages", message, seq)

    def _message_delivered(self, subject: str, data: Data, at: float, seq: int) -> int:
        message = self._known("messages", subject)
        if message is None or message.final:
            why = "was never sent" if message is None else "was delivered already"
            raise IllegalTransitionError(f"message {subject} {why}")
        message.delivered = at
        message.deliveries += 1
        return self._touch("messages", message, seq)


def _nothing(subject: str, data: Data, at: float, seq: int) -> int:
    return 0


def table_of(event: Event) -> str:
    """The table that holds the subject of an event."""
    return f"{event.kind._value_.partition('.')[0]}s"


def _put(shelf: dict[str, Any], subject: str, now: Now | None) -> None:
    if now is None:
        shelf.pop(subject, None)
    else:
        shelf[subject] = now


def _text(kind: str, data: Data, name: str) -> str:
    value = data.get(name)
    if type(value) is not str:
        raise InvalidEventError(f"{kind}: {name} is text, not {value!r}")
    return value
