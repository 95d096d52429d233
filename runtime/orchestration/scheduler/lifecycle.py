"""What happens to a task from when it is ready until it has ended for good.

One lock, the agent registry's, guards all of it. Under it only the books are kept: executors,
watchers and the store's disk are never waited for while it is held.

With a store, the end of a task is made known, to callers and to tasks that depend on it, when it is
durable. Until then the task is *storing*.
"""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ..agents.breaker import Breakers
from ..agents.entries import AgentEntry
from ..agents.registry import AgentRegistry
from ..agents.shedding import LoadShedder
from ..codec import ValueEncodingError
from ..engine import Attempt, Engine, LocalEngine
from ..errors import ClosedError, OrchestrationError, TaskCancelledError, TaskError
from ..events import Event, EventKind
from ..histogram import Histogram
from ..interfaces import AgentState, EventLog
from ..tasks import TaskContext, TaskRecord, TaskState
from .config import SchedulerConfig
from .entries import BECAME, Entry, Watcher, describe
from .placing import Placing

THROUGHPUT_WINDOW = 10  #: seconds

_ENDS = {
    TaskState.COMPLETED: EventKind.TASK_COMPLETED,
    TaskState.FAILED: EventKind.TASK_FAILED,
    TaskState.CANCELLED: EventKind.TASK_CANCELLED,
}


class Lifecycle:
    """The books of a scheduler. Methods are called with the lock held unless they say otherwise."""

    def __init__(
        self, registry: AgentRegistry, store: EventLog | None, config: SchedulerConfig,
        engine: Engine | None, clock: Callable[[], float], breakers: Breakers | None,
        shedder: LoadShedder | None, paused: bool,
    ) -> None:  # fmt: skip
        self.config, self.registry, self.store, self.clock = config, registry, store, clock
        self.lock = registry.lock
        #: What the timer, submitters and ``wait_idle`` wait for.
        self.changed = threading.Condition(self.lock)
        self.engine: Engine = engine or LocalEngine(config.max_concurrent_tasks)
        self.engine.open(self._started, self._done)
        self.entries: dict[str, Entry] = {}  # tasks that are not final, or not durably so
        self.finished: OrderedDict[str, TaskRecord] = OrderedDict()  # without a store
        self.placing = Placing(registry, config, breakers, shedder, clock)
        self.queue, self.guards = self.placing.queue, self.placing.guards
        self.delayed: list[tuple[float, int, Entry]] = []
        self.running: dict[str, Entry] = {}
        self.shedder = shedder
        self.paused = paused
        self.closing = self.closed = False
        self.broken: BaseException | None = None
        self.counts = dict.fromkeys(
            ("accepted", "completed", "failed", "cancelled", "retried", "timed_out", "failovers",
             "late", "storing"), 0,
        )  # fmt: skip
        self.queue_time, self.run_time = Histogram(), Histogram()
        self.completions: deque[list[int]] = deque(maxlen=THROUGHPUT_WINDOW + 1)
        self.next_tick = float("inf")
        self.keys: dict[str, str] = {}  # idempotency keys: ids of their tasks
        self.reserved: set[str] = set()  # ids of tasks that are being written down
        self.leaving: set[str] | None = None  # ids of those that end while recover() reads
        self.room_wanted: list[int] = []  # how many tasks each waiting submitter has
        #: What to call, for the thread that calls watchers and listeners; None ends it.
        self.calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self.guards.deliver_by(self.calls.put)
        self.listeners: list[Watcher] = []  # told of every change of a task
        self.unwatch = registry.on_change(self._agent_changed)

    # Between the parts of the scheduler

    def refuse_if_stopped(self, *, new: bool = False) -> None:
        """Raise if nothing more will happen, or nothing ``new`` will begin."""
        if self.broken is not None:
            raise OrchestrationError(
                f"the scheduler has stopped because its store failed: {self.broken}"
            ) from self.broken
        if self.closed or (new and self.closing):
            raise ClosedError("the scheduler is closed")

    def push(self, entry: Entry) -> None:
        """All that it depends on has completed: it may run."""
        entry.state = TaskState.QUEUED
        entry.ready = self.clock()
        self.queue.push(entry.needs, entry.task.id, entry, entry.task.priority, entry.since)

    def tell(self, entry: Entry) -> None:
        """A task has another state that is so: the end of one is when it is durable."""
        for listener in self.listeners:
            listener(entry.record())

    def place(self) -> list[Attempt]:
        """Give tasks to agents while there are both. What is placed is for :meth:`launch`."""
        if self.paused:
            return []
        pairs = self.placing.pairs(len(self.running), self.waiting)
        return [self._begin(entry, agent) for entry, agent in pairs]

    def launch(self, attempts: list[Attempt]) -> None:
        """Run what was placed. Without the lock."""
        for attempt in attempts:
            self.engine.launch(attempt)

    def tell_of_room(self) -> None:
        """Wake those who wait for room in the queue, or for nothing to run."""
        if not self.running or self._room_for_someone():
            self.changed.notify_all()

    def placeable(self) -> bool:
        """Whether :meth:`place` would place something."""
        return not self.paused and self.placing.possible(len(self.running), self.waiting)

    @property
    def waiting(self) -> int:
        """Tasks that wait for anything, those that are being written down included."""
        return len(self.entries) - len(self.running) + len(self.reserved)

    def _room_for_someone(self) -> bool:
        """Whether a submitter that waits should look: waking it for nothing is dear."""
        least = min(self.room_wanted, default=self.config.task_queue_size + 1)
        room = self.waiting + least <= self.config.task_queue_size
        return room or bool(self.room_wanted and self.shedder)

    def stop(self, error: BaseException) -> None:
        """The store has failed: nothing more can be promised."""
        self.broken = self.broken or error
        self.paused = True
        self.changed.notify_all()

    # An attempt

    def _begin(self, entry: Entry, agent: AgentEntry) -> Attempt:
        entry.incarnation = self.registry.acquire(agent.id, entry.task.resources)
        entry.permits = self.guards.take(agent.id, entry.task.executor)
        entry.state = TaskState.RUNNING
        entry.agent = agent.id
        entry.attempts += 1
        entry.started = time.time()
        deadline = self.clock() + entry.task.timeout
        context = TaskContext(entry.attempts, deadline, entry.inputs, clock=self.clock)
        attempt = entry.attempt = Attempt(entry.task, agent.agent, context)
        self.running[entry.task.id] = entry
        data = {"agent": agent.id, "attempt": entry.attempts}
        self._write(EventKind.TASK_STARTED, entry, data)
        self.tell(entry)
        self._wake_timer(deadline)
        return attempt

    def _started(self, attempt: Attempt) -> None:
        """The agent begins. Without the lock, in the engine's thread."""
        if attempt.context.cancelled.is_set():
            raise TaskCancelledError
        attempt.started = now = self.clock()
        attempt.context.deadline = now + attempt.task.timeout

    def _done(self, attempt: Attempt, result: Any, error: BaseException | None) -> None:
        """The attempt has ended. Without the lock, in the engine's thread."""
        with self.lock:
            entry = self.running.get(attempt.task.id)
            if entry is None or entry.attempt is not attempt:
                self.counts["late"] += 1
                return
            if attempt.started:  # else it was told to stop before it began
                took = self.clock() - attempt.started
                self.queue_time.observe(attempt.started - entry.ready)
                self.run_time.observe(took)
                self.placing.chooser.took(attempt.agent.id, took)
            self._release(entry, error)
            if error is None:
                entry.result = result
                self.end(entry, TaskState.COMPLETED)
            elif not (self.closed or (self.closing and isinstance(error, ClosedError))):
                # else it was told to stop, or refused what it needs: it runs again after recover()
                self.attempt_failed(entry, error)
            attempts = self.place()
            self.tell_of_room()
        self.launch(attempts)

    def _release(self, entry: Entry, error: BaseException | None) -> None:
        assert entry.agent is not None
        del self.running[entry.task.id]
        entry.attempt = None
        self.registry.release(entry.agent, entry.task.resources, entry.incarnation)
        self.guards.settle(entry.permits, entry.agent, entry.task.executor, error)
        if error is not None:
            self._wake_timer(self.clock() + self.guards.wait())

    def abandon(self, entry: Entry, error: TaskError) -> None:
        """Nobody waits for what runs any more: it is told to stop, its agent is free."""
        attempt = entry.attempt
        if attempt is not None:
            attempt.context.cancelled.set()
            self._release(entry, error)
            self.engine.abandon(attempt)

    def attempt_failed(self, entry: Entry, error: BaseException) -> None:
        """Another attempt after a delay, or the end."""
        entry.failures += 1
        entry.error = describe(error)
        hopeless = isinstance(error, TaskError) and not error.retry
        if hopeless or entry.failures > entry.task.retries:
            self.end(entry, TaskState.FAILED, entry.error)
            return
        delay = self.config.delay(entry.failures)
        due = self.clock() + delay
        entry.state = TaskState.QUEUED
        self.counts["retried"] += 1
        heapq.heappush(self.delayed, (due, self.counts["retried"], entry))
        data = {"error": entry.error, "attempt": entry.attempts, "delay": delay}
        self._write(EventKind.TASK_RETRIED, entry, data)
        self.tell(entry)
        self._wake_timer(due)

    def _agent_changed(self, agent_id: str, old: AgentState, new: AgentState) -> None:
        """The registry says so."""
        if new in (AgentState.FAILED, AgentState.RETIRED):
            for entry in [e for e in self.running.values() if e.agent == agent_id]:
                self._fail_over(entry, agent_id)
            self.guards.forget(agent_id)
            if new is AgentState.RETIRED:
                self.placing.chooser.forget(agent_id)
        self._wake_timer(0.0)  # which places what can be placed: here the lock is held

    def _fail_over(self, entry: Entry, agent_id: str) -> None:
        self.abandon(entry, TaskCancelledError())
        entry.failovers += 1
        self.counts["failovers"] += 1
        entry.error = f"agent {agent_id} failed"
        if entry.failovers > self.config.max_failovers:
            message = f"{entry.failovers} agents failed while they ran it, the last: {agent_id}"
            self.end(entry, TaskState.FAILED, message)
            return
        data = {"error": entry.error, "attempt": entry.attempts, "delay": 0.0, "failover": True}
        self._write(EventKind.TASK_RETRIED, entry, data)
        self.push(entry)
        self.tell(entry)

    def _wake_timer(self, due: float) -> None:
        if due < self.next_tick:
            self.next_tick = due
            self.changed.notify_all()

    def _write(self, kind: EventKind, entry: Entry, data: dict[str, Any]) -> None:
        if self.store is not None:
            self.store.append_soon((Event(kind, entry.task.id, data),), self._noted)

    def _noted(self, failure: BaseException | None) -> None:
        """What happened on the way is stored, or not. Without the lock, in the store's thread."""
        if failure is not None:
            with self.lock:
                self.stop(failure)

    # The end

    def end(self, entry: Entry, state: TaskState, error: str | None = None) -> None:
        """The task is final, as soon as that is durable."""
        self._close(entry, state, error)
        if self.store is None:
            self._settle(entry)

    def _close(self, entry: Entry, state: TaskState, error: str | None) -> None:
        if entry.attempt is not None:
            self.abandon(entry, TaskCancelledError())
        if entry.state is TaskState.QUEUED:
            self.queue.remove(entry.needs, entry.task.id)
        entry.state, entry.error = state, error
        entry.finished = time.time()
        if self.store is None:
            return
        data = {
            TaskState.COMPLETED: {"result": entry.result}, TaskState.FAILED: {"error": error},
            TaskState.CANCELLED: {"reason": error},
        }[state]  # fmt: skip
        entry.storing = True
        self.counts["storing"] += 1
        event = Event(_ENDS[state], entry.task.id, data)
        self.store.append_soon((event,), lambda failure: self._stored(entry, failure))

    def _stored(self, entry: Entry, failure: BaseException | None) -> None:
        """The end of a task is durable, or not. Without the lock, in the store's thread."""
        with self.lock:
            self.counts["storing"] -= 1
            entry.storing = False
            if failure is None:
                self._settle(entry)
            elif isinstance(failure, ValueEncodingError) and entry.state is TaskState.COMPLETED:
                entry.result = None
                self.end(entry, TaskState.FAILED, f"its result cannot be stored: {failure}")
            else:
                self.stop(failure)
            attempts = self.place()
            if not self.counts["storing"] or self._room_for_someone():
                self.changed.notify_all()
        self.launch(attempts)

    def _settle(self, entry: Entry) -> None:
        """A task has ended for good: others begin, or end as well."""
        ended = [entry]
        while ended:
            entry = ended.pop()
            self._remember(entry)
            for other in entry.dependents:
                if other.state is not TaskState.WAITING:
                    continue
                if entry.state is TaskState.COMPLETED:
                    self.satisfy(other, entry.task.id, entry.result)
                    continue
                reason = f"{entry.task.name}, which it needs, {BECAME[entry.state]}"
                self._close(other, TaskState.CANCELLED, reason)
                if self.store is None:
                    ended.append(other)

    def satisfy(self, entry: Entry, dependency: str, result: Any) -> None:
        """One of the tasks that it waits for has completed."""
        entry.inputs[dependency] = result
        entry.waiting.discard(dependency)
        if not entry.waiting:
            self.push(entry)
            self.tell(entry)

    def _remember(self, entry: Entry) -> None:
        task_id = entry.task.id
        del self.entries[task_id]
        if self.leaving is not None:
            self.leaving.add(task_id)
        record = entry.record()
        if entry.task.idempotency_key is not None and self.store is not None:
            self.keys.pop(entry.task.idempotency_key, None)  # from now on the store knows
        if self.store is None:
            self.finished[task_id] = record
            if len(self.finished) > self.config.keep_finished:
                _, oldest = self.finished.popitem(last=False)
                if oldest.task.idempotency_key is not None:
                    self.keys.pop(oldest.task.idempotency_key, None)
        self.counts[entry.state.value] += 1
        if entry.state is TaskState.COMPLETED:
            second = int(self.clock())
            if not self.completions or self.completions[-1][0] != second:
                self.completions.append([second, 0])
            self.completions[-1][1] += 1
        for final in (*entry.finals, *self.listeners):
            final(record)
        for watcher in entry.watchers:
            self.calls.put(partial(watcher, record))
