"""What can be asked of a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ..codec import loads
from ..errors import OrchestrationError
from ..events import Event, EventKind
from ..interfaces import AgentState
from ..tasks import Task, TaskRecord, TaskState
from .connect import Readers
from .errors import StoreDamagedError
from .records import (
    AgentRecord,
    ExecutionRecord,
    MessageRecord,
    TaskSummary,
    WorkflowRecord,
)

T = TypeVar("T")

_PAGE = 512

_TASK = """
SELECT t.number, a.data, t.state, t.attempts, t.agent, o.data, t.accepted, t.started, t.finished
FROM tasks AS t JOIN events AS a ON a.seq = t.number LEFT JOIN events AS o ON o.seq = t.outcome
"""
#: Without payloads and results, which may be large.
_SUMMARY = """
SELECT t.number, t.id, json_extract(a.data, '$.name'), t.state, json_extract(a.data, '$.executor'),
  t.agent, t.attempts, json_extract(o.data, '$.error'), json_extract(o.data, '$.reason'), t.workflow
FROM tasks AS t JOIN events AS a ON a.seq = t.number
LEFT JOIN events AS o ON o.seq = t.outcome AND t.state <> 'completed'
"""
#: Turns of swarms: ids that are made up for both. Those of a workflow's tasks begin with its own.
_TURN = "t.workflow IS NOT NULL AND t.id GLOB 'turn-*' AND t.workflow GLOB 'swarm-*'"
_NEVER = (1 << 63) - 1  # no number is higher
_WORKFLOW = """
SELECT w.number, w.id, w.name, w.version, s.data, w.state, r.data, l.data, w.started, w.finished
FROM workflows AS w JOIN events AS s ON s.seq = w.number JOIN events AS l ON l.seq = w.last
LEFT JOIN events AS r ON r.seq = w.rollback
"""
_AGENT = """
SELECT a.number, a.id, a.name, a.kind, d.data, a.state, l.data, a.registered, a.changed
FROM agents AS a JOIN events AS d ON d.seq = a.described JOIN events AS l ON l.seq = a.last
"""
_MESSAGE = """
SELECT m.number, m.id, m.channel, m.sender, m.recipient, s.data, m.sent, m.delivered, m.deliveries
FROM messages AS m JOIN events AS s ON s.seq = m.number
"""
#: The events of a subject, along the chain from its last one.
_HISTORY = """
WITH RECURSIVE chain (seq, prev, kind, subject, at, data) AS (
  SELECT seq, prev, kind, subject, at, data FROM events
  WHERE seq IN (SELECT last FROM {table} WHERE id = :id)
  UNION ALL
  SELECT e.seq, e.prev, e.kind, e.subject, e.at, e.data FROM chain JOIN events AS e
  ON e.seq = chain.prev WHERE e.subject = :id)
SELECT seq, kind, subject, at, data FROM chain
"""
_EVENTS = """
SELECT seq, kind, subject, at, data FROM events WHERE seq > ? {kinds} ORDER BY seq LIMIT ?
"""
_SUBJECTS = ("tasks", "agents", "workflows", "messages")


class StoreReader:
    """A store that is read only; :meth:`Store.open_readonly` opens one.

    Every method may be called from any thread. What iterates reads some hundred rows at a time:
    what changes meanwhile is seen or not, but no row twice.
    """

    def __init__(self, path: Path | None, readers: Readers) -> None:
        self.path = path
        self._readers = readers

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections; may be called more than once."""
        self._readers.close()

    # -- tasks -------------------------------------------------------------------------------

    def task(self, task_id: str) -> TaskRecord | None:
        """What is known of a task; None if it was never accepted, or is cleaned up."""
        row = self._row(f"{_TASK} WHERE t.id = ?", (task_id,))
        return self._made(_task, row)

    def task_by_key(self, idempotency_key: str) -> TaskRecord | None:
        """The task that was accepted with this key."""
        row = self._row(f"{_TASK} WHERE t.idempotency_key = ?", (idempotency_key,))
        return self._made(_task, row)

    def tasks(
        self, states: Iterable[TaskState] | None = None, *, workflow: str | None = None
    ) -> Iterator[TaskRecord]:
        """Tasks in these states (None: in any), in the order in which they were accepted."""
        where, values = "t.number > ?", list[Any]()
        if states is not None:
            wanted = sorted({state.value for state in states})
            where += f" AND t.state IN ({','.join('?' * len(wanted))})"
            values += wanted
            if not any(TaskState(state).final for state in wanted):
                where += " AND t.finished IS NULL"  # there is an index of these
        if workflow is not None:
            where += " AND t.workflow = ?"
            values.append(workflow)
        yield from self._pages(_task, f"{_TASK} WHERE {where} ORDER BY t.number", values)

    def newest_tasks(
        self, limit: int, states: Iterable[TaskState] | None = None, *,
        before: int | None = None, submitted: bool = False, among: Collection[str] | None = None,
    ) -> list[TaskSummary]:  # fmt: skip
        """Tasks, those accepted last first, without turns of swarms.

        No index has all of it: the table is read backwards until there are enough, some 10 ms for
        100,000 tasks if none fits. Those that have not ended have an index.

        Args:
            states: only those in these; None: in any.
            before: only those with lower numbers.
            submitted: only those that belong to no workflow.
            among: of tasks that have not ended, only those with these ids, whatever their state
                in the store.
        """
        wanted = set(TaskState if states is None else states)
        ended = sorted(state.value for state in wanted if state.final)
        begun = sorted(state.value for state in wanted if not state.final)
        where = "t.workflow IS NULL" if submitted else f"NOT ({_TURN})"
        least = _NEVER if before is None else before
        found: set[int] = set()
        if begun and among is None:
            which = f"t.finished IS NULL AND t.state IN ({_marks(begun)}) AND {where}"
            found.update(self._newest(which, begun, least, limit))
        elif begun:
            found.update(self._newest(f"t.finished IS NULL AND {where}", [], least, limit, among))
        if ended:  # second: what ends meanwhile is not left out
            which = f"t.state IN ({_marks(ended)}) AND {where}"
            found.update(self._newest(which, ended, least, limit))
        numbers = sorted(found, reverse=True)[:limit]
        rows = self._rows(
            f"{_SUMMARY} WHERE t.number IN ({_marks(numbers)}) ORDER BY t.number DESC", numbers
        )
        return [self._make(_summary, row) for row in rows]

    def _newest(
        self, where: str, values: list[str], before: int, limit: int,
        among: Collection[str] | None = None,
    ) -> list[int]:  # fmt: skip
        """Numbers of the newest tasks for which a condition holds."""
        if among is not None and len(among) <= _PAGE:
            where, values, among = f"{where} AND t.id IN ({_marks(among)})", [*values, *among], None
        size = limit if among is None else max(limit, _PAGE)
        query = f"""SELECT t.number, t.id FROM tasks AS t
            WHERE {where} AND t.number < ? ORDER BY t.number DESC LIMIT ?"""
        found: list[int] = []
        while len(found) < limit:
            rows = self._rows(query, [*values, before, size])
            found += [number for number, id in rows if among is None or id in among]
            if len(rows) < size:
                break
            before = rows[-1][0]
        return found[:limit]

    def executions(self, task_id: str) -> list[ExecutionRecord]:
        """The attempts at a task that began."""
        rows = self._rows(
            f"""SELECT x.attempt, x.agent, x.started, x.finished, x.outcome FROM executions AS x
            WHERE x.seq IN (SELECT seq FROM ({_HISTORY.format(table="tasks")})
            WHERE kind = 'task.started') ORDER BY x.seq""",
            {"id": task_id},
        )
        return [ExecutionRecord(task_id, *row) for row in rows]

    # -- the others --------------------------------------------------------------------------

    def workflow(self, workflow_id: str) -> WorkflowRecord | None:
        """A run of a workflow; None if there is none with this id."""
        row = self._row(f"{_WORKFLOW} WHERE w.id = ?", (workflow_id,))
        return self._made(_workflow, row)

    def workflows(self, states: Iterable[str] | None = None) -> Iterator[WorkflowRecord]:
        """Runs of workflows in these states (None: in any), in the order of their starts."""
        where, values = "w.number > ?", list[Any]()
        if states is not None:
            values += states
            where += f" AND w.state IN ({','.join('?' * len(values))})"
        yield from self._pages(_workflow, f"{_WORKFLOW} WHERE {where} ORDER BY w.number", values)

    def latest_workflows(
        self, limit: int, states: Iterable[str] | None = None
    ) -> list[WorkflowRecord]:
        """The runs that started last, at most ``limit`` of them, in the order of their starts."""
        where, values = "1", list[Any]()
        if states is not None:
            values += states
            where = f"w.state IN ({','.join('?' * len(values))})"
        rows = self._rows(
            f"{_WORKFLOW} WHERE {where} ORDER BY w.number DESC LIMIT ?", [*values, limit]
        )
        return [self._make(_workflow, row) for row in reversed(rows)]

    def agent(self, agent_id: str) -> AgentRecord | None:
        """An agent as it was last heard of; None if it never registered."""
        row = self._row(f"{_AGENT} WHERE a.id = ?", (agent_id,))
        return self._made(_agent, row)

    def agents(self) -> Iterator[AgentRecord]:
        """All agents, in the order of their first registration."""
        yield from self._pages(_agent, f"{_AGENT} WHERE a.number > ? ORDER BY a.number", [])

    def message(self, message_id: str) -> MessageRecord | None:
        """A message; None if there is none with this id."""
        row = self._row(f"{_MESSAGE} WHERE m.id = ?", (message_id,))
        return self._made(_message, row)

    def messages(
        self, *, channel: str | None = None, recipient: str | None = None,
        delivered: bool | None = None,
    ) -> Iterator[MessageRecord]:  # fmt: skip
        """Messages in the order in which they were sent.

        Args:
            channel, recipient: only those; None: all.
            delivered: only those that were, or were not, delivered to anybody.
        """
        where, values = "m.number > ?", list[Any]()
        for name, value in (("channel", channel), ("recipient", recipient)):
            if value is not None:
                where += f" AND m.{name} = ?"
                values.append(value)
        if delivered is not None:
            where += f" AND m.delivered IS {'NOT ' * delivered}NULL"
        yield from self._pages(_message, f"{_MESSAGE} WHERE {where} ORDER BY m.number", values)

    def events(
        self,
        after: int = 0,
        *,
        subject: str | None = None,
        kinds: Collection[EventKind] | None = None,
    ) -> Iterator[Event]:
        """Events in order, from the one behind sequence number ``after``.

        Args:
            subject: of this one only: a task, an agent, a workflow or a message.
            kinds: of these only.
        """
        names = None if kinds is None else [kind.value for kind in kinds]
        if subject is not None:
            found: list[Any] = []
            for table in _SUBJECTS:
                found += self._rows(_HISTORY.format(table=table), {"id": subject})
            for row in sorted(row for row in found if row[0] > after):
                if names is None or row[1] in names:
                    yield self._make(_event, row)
            return
        only = "" if names is None else f"AND kind IN ({','.join('?' * len(names))})"
        query = _EVENTS.format(kinds=only)
        while rows := self._rows(query, (after, *(names or ()), _PAGE)):
            for row in rows:
                yield self._make(_event, row)
            after = rows[-1][0]

    def get_state(self, key: str, default: Any = None) -> Any:
        """The value that :meth:`Store.set_state` wrote last; ``default`` if none."""
        row = self._row("SELECT value FROM state WHERE key = ?", (key,))
        return self._make(loads, row[0]) if row is not None else default

    def state_keys(self) -> list[str]:
        """The keys that have a value, sorted."""
        return [key for (key,) in self._rows("SELECT key FROM state ORDER BY key", ())]

    def record_counts(self) -> dict[str, int]:
        """How many records each table has."""
        tables = ("state", "executions", "tasks", "nodes", "workflows", "messages", "events")
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
        row = self._row(f"SELECT {counts}", ())
        return dict(zip(tables, row or (), strict=True))

    def task_counts(self) -> dict[TaskState, int]:
        """How many tasks are in each state."""
        rows = self._rows("SELECT state, count(*) FROM tasks GROUP BY state", ())
        return {state: 0 for state in TaskState} | {TaskState(name): n for name, n in rows}

    # -- rows --------------------------------------------------------------------------------

    def _row(self, text: str, values: Any) -> Any:
        with self._readers.connection() as db:
            return db.execute(text, values).fetchone()

    def _rows(self, text: str, values: Any) -> list[Any]:
        with self._readers.connection() as db:
            return db.execute(text, values).fetchall()

    def _pages(self, make: Callable[[Any], T], text: str, values: list[Any]) -> Iterator[T]:
        """What a query finds, by number: its first parameter is the last number seen."""
        last = 0
        while rows := self._rows(f"{text} LIMIT {_PAGE}", [last, *values]):
            for row in rows:
                yield self._make(make, row)
            last = rows[-1][0]

    def _made(self, make: Callable[[Any], T], row: Any) -> T | None:
        return self._make(make, row) if row is not None else None

    def _make(self, make: Callable[[Any], T], row: Any) -> T:
        try:
            return make(row)
        except (OrchestrationError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreDamagedError(
                f"{self.path} has a record that cannot be: {error}",
                hint="if the events are sound, rebuild() makes what follows from them again",
            ) from error


def _task(row: Any) -> TaskRecord:
    _number, data, state, attempts, agent, outcome, accepted, started, finished = row
    said = loads(outcome) if outcome is not None else {}
    return TaskRecord(
        task=Task.from_data(loads(data)),
        state=TaskState(state),
        attempts=attempts,
        agent=agent,
        result=said.get("result"),
        error=said.get("error", said.get("reason")),
        accepted=accepted,
        started=started,
        finished=finished,
    )


def _marks(values: Collection[Any]) -> str:
    return ",".join("?" * len(values))


def _summary(row: Any) -> TaskSummary:
    number, id, name, state, executor, agent, attempts, error, reason, workflow = row
    return TaskSummary(
        number, id, name, TaskState(state), executor, agent, attempts,
        reason if error is None else error, workflow,
    )  # fmt: skip


def _workflow(row: Any) -> WorkflowRecord:
    _number, id, name, version, start, state, rollback, last, started, finished = row
    rolled = loads(rollback) if rollback is not None else {}
    began = loads(start)
    return WorkflowRecord(
        id=id,
        name=name,
        version=version,
        manifest=began.get("manifest"),
        state=state,
        error=rolled.get("error", loads(last).get("error")),
        compensations=tuple(rolled.get("compensations", ())),
        started=started,
        finished=finished,
        reference=began.get("reference"),
    )


def _agent(row: Any) -> AgentRecord:
    _number, id, name, kind, described, state, last, registered, changed = row
    return AgentRecord(
        id=id,
        name=name,
        kind=kind,
        capabilities=frozenset(loads(described).get("capabilities", ())),
        state=AgentState(state),
        reason=loads(last).get("reason"),
        registered=registered,
        changed=changed,
    )


def _message(row: Any) -> MessageRecord:
    _number, id, channel, sender, recipient, data, sent, delivered, deliveries = row
    payload = loads(data).get("payload")
    return MessageRecord(id, channel, sender, recipient, payload, sent, delivered, deliveries)


def _event(row: Any) -> Event:
    seq, kind, subject, at, data = row
    return Event(EventKind(kind), subject, loads(data), at, seq)
