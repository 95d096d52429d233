"""The desk of tasks: clients submit them, ask for them, and hear what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from ..cluster.errors import ModuleError
from ..cluster.modules import ModuleFolder, module_of
from ..codec import ValueEncodingError, dumps, loads
from ..errors import (
    ClosedError,
    InvalidTaskError,
    QueueFullError,
    UnknownTaskError,
)
from ..store import DuplicateKeyError, DuplicateTaskError
from ..tasks import SWARM_TURN, Task, TaskRecord, ids_of, new_id
from .desk import Desk, Handler
from .protocol import MAX_MESSAGE, Code, Params
from .protocol_base import Value
from .protocol_tasks import (
    TaskCancel,
    TaskCounts,
    TaskInfo,
    TaskList,
    TaskPage,
    TasksNamed,
    TaskSpec,
    TaskStatus,
    TaskSubmit,
    TaskWanted,
    WorkerCounts,
)
from .task_pages import info_of, newest
from .tied import TiedTasks
from .wire import Connection, RequestError

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from ..dispatcher_status import DispatcherStatus
    from .core import Router

#: Bytes of results in one answer at most: the rest of a message is left to everything else.
MAX_RESULTS = MAX_MESSAGE - (2 << 20)

#: Counting a database that takes longer than so many seconds is done once in so many times that.
_LONG, _REST = 0.1, 10
_NOTHING = msgspec.Raw(b"null")
#: What is wrong with tasks, not with the router. A task may be known to the store alone.
_REFUSALS = (InvalidTaskError, QueueFullError, ClosedError, DuplicateTaskError, DuplicateKeyError)


class Waiters:
    """Who waits for what to be final. Lives in one event loop; nobody holds a thread."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def wait_for(self, ids: Iterable[str]) -> dict[str, asyncio.Future[None]]:
        """A future for each; :meth:`forget` them in any case."""
        loop = asyncio.get_running_loop()
        futures = {name: loop.create_future() for name in ids}
        for name, future in futures.items():
            self._waiting.setdefault(name, set()).add(future)
        return futures

    def forget(self, futures: Mapping[str, asyncio.Future[None]]) -> None:
        """Nobody waits for these any more."""
        for name, future in futures.items():
            others = self._waiting.get(name)
            if others is not None:
                others.discard(future)
                if not others:
                    del self._waiting[name]

    def final(self, name: str) -> None:
        """It is final."""
        for future in self._waiting.pop(name, ()):
            if not future.done():
                future.set_result(None)


class TaskDesk(Desk):
    """Tasks of a dispatcher's scheduler.

    Args:
        modules: kept while tasks need them.
    """

    def __init__(self, dispatcher: Dispatcher, modules: ModuleFolder) -> None:
        self._dispatcher = dispatcher
        self._modules = modules
        self._waiters = Waiters()
        self._tied = TiedTasks(dispatcher)
        self._counting = asyncio.Lock()
        self._counts: DispatcherStatus | None = None
        self._counts_until = 0.0
        self._unwatch: Callable[[], None] = lambda: None

    def handlers(self) -> Mapping[str, Handler]:
        """Those of tasks."""
        return {
            "task_submit": self._submit, "task_status": self._status_of,
            "task_cancel": self._cancel, "task_list": self._list,
        }  # fmt: skip

    async def open(self, router: Router) -> None:
        """Listen to the scheduler."""
        await super().open(router)
        await self._tied.open(router)

        def changed(record: TaskRecord) -> None:
            if record.state.final:
                self._modules.release(record.task.id)
            elif (module := module_of(record.task)) is not None:
                self._modules.hold(record.task.id, module)
            router.feed.put(self._changed, record)

        self._unwatch = self._dispatcher.scheduler.on_change(changed)

    async def close(self) -> None:
        """Listen no more."""
        await asyncio.to_thread(self._unwatch)

    async def sweep(self) -> None:
        """Cancel what nobody is there for any more."""
        self._tied.sweep()

    async def status(self) -> Mapping[str, Any]:
        """Counts of the dispatcher: of a large database, those of a moment ago."""
        found = await self._count()
        return {
            "tasks": TaskCounts(
                queued=found.queued, running=found.running, completed=found.completed,
                failed=found.failed,
            ),
            "workflows": found.workflows,
            "workers": WorkerCounts(idle=found.idle, busy=found.busy),
            "database": dict(found.records),
        }  # fmt: skip

    async def _count(self) -> DispatcherStatus:
        clock = self.router.clock
        async with self._counting:
            if self._counts is None or clock() >= self._counts_until:
                began = clock()
                self._counts = await self.router.call(self._dispatcher.status)
                took = clock() - began
                self._counts_until = clock() + (_REST * took if took > _LONG else 0.0)
            return self._counts

    def _changed(self, record: TaskRecord) -> None:
        task_id = record.task.id
        if record.state.final:
            self._waiters.final(task_id)
            self._tied.final(task_id)
        self.router.events.emit(
            "task_changed", data={"task": info_of(record)}, reference=record.task.reference
        )

    # -- what clients ask --------------------------------------------------------------------

    async def _submit(self, connection: Connection, submit: TaskSubmit) -> TasksNamed:
        try:
            tasks = await self.router.call(_tasks_of, submit)
        except ValueEncodingError as error:
            raise RequestError(Code.INVALID_PARAMS, f"task_submit: payload: {error}") from error
        except InvalidTaskError as error:
            self.router.reject("task_submit", str(error), submit)
        held: set[str] = set()
        if any(module_of(task) is not None for task in tasks):
            held = await self._require_modules(tasks, submit)
        try:
            ids = await self._accepted(connection, submit, tasks)
        except BaseException as error:
            self._release(held)
            if isinstance(error, _REFUSALS):
                self.router.reject("task_submit", str(error), submit)
            raise
        self._release(held - set(ids))
        return TasksNamed(task_ids=ids)

    async def _accepted(
        self, connection: Connection, submit: TaskSubmit, tasks: Sequence[Task]
    ) -> list[str]:
        """Give tasks to the scheduler, tied to their client if it asks for that."""
        tie = None
        if submit.while_connected_ms is not None:
            patience = submit.while_connected_ms / 1000
            tie = await self._tied.tie(connection.client, patience, ids_of(tasks))
        try:
            ids = await self.router.call(self._dispatcher.scheduler.submit_many, tasks)
        except BaseException:
            if tie is not None:
                self._tied.drop(tie)
            raise
        await self._tied.accept(tie, ids)
        return ids

    async def _require_modules(self, tasks: Sequence[Task], submit: TaskSubmit) -> set[str]:
        """Have the modules of tasks kept; reject if one is not here any more.

        Gives the ids of those for which it was not done already, for earlier tasks of these ids.
        """

        def require() -> set[str]:
            held = set()
            try:
                for task in tasks:
                    module = module_of(task)
                    if module is not None and self._modules.require(task.id, module):
                        held.add(task.id)
            except ModuleError:
                self._release(held)
                raise
            return held

        try:
            return await self.router.call(require)
        except ModuleError as error:
            self.router.reject("task_submit", str(error), submit, Code.MODULE_MISSING)

    def _release(self, task_ids: Iterable[str]) -> None:
        """Tasks that need modules have not begun."""
        for task_id in task_ids:
            self._modules.release(task_id)

    async def _status_of(self, connection: Connection, wanted: TaskStatus) -> TaskList:
        seq = self.router.events.seq
        futures = self._waiters.wait_for(wanted.task_ids) if wanted.wait_ms else {}
        try:
            records = await self._records(wanted.task_ids, "task_status", wanted)
            left = [futures[r.task.id] for r in records if not r.state.final and futures]
            if left:
                await asyncio.wait(left, timeout=wanted.wait_ms / 1000)
                seq = self.router.events.seq
                records = await self._records(wanted.task_ids, "task_status", wanted)
            if not all(record.state.final for record in records):
                await self.router.call(self._dispatcher.scheduler.check)
        finally:
            self._waiters.forget(futures)
        return TaskList(seq=seq, tasks=await self.router.call(_infos_of, records))

    async def _list(self, connection: Connection, wanted: TaskWanted) -> TaskPage:
        seq = self.router.events.seq  # sooner than what is read, which may be of later events
        tasks, following = await self.router.call(newest, self._dispatcher, wanted)
        return TaskPage(seq=seq, tasks=tasks, next=following)

    async def _records(
        self, task_ids: Sequence[str], command: str, params: Params
    ) -> list[TaskRecord]:
        """Records of tasks; the command is rejected if one is not known."""
        scheduler = self._dispatcher.scheduler

        def read() -> list[TaskRecord]:
            return [scheduler.record(task_id) for task_id in task_ids]

        try:
            return await self.router.call(read)
        except UnknownTaskError as error:
            self.router.reject(command, str(error), params)

    async def _cancel(self, connection: Connection, cancel: TaskCancel) -> TasksNamed:
        await self._records(cancel.task_ids, "task_cancel", cancel)
        scheduler = self._dispatcher.scheduler
        reason = cancel.reason or "cancelled"

        def end() -> list[str]:
            return [task_id for task_id in cancel.task_ids if scheduler.cancel(task_id, reason)]

        return TasksNamed(task_ids=await self.router.call(end))


def _tasks_of(submit: TaskSubmit) -> list[Task]:
    return [_task_of(spec, submit.reference) for spec in submit.tasks]


def _task_of(spec: TaskSpec, reference: str | None) -> Task:
    if frozenset(spec.requires) == SWARM_TURN:  # after a restart it would be left to swarms
        raise InvalidTaskError(f"{spec.name}: swarm_turn is what turns of swarms require")
    return Task(
        spec.name, None if spec.payload is UNSET else loads(bytes(spec.payload)), spec.executor,
        frozenset(spec.requires), spec.resources, spec.priority, tuple(spec.dependencies),
        spec.timeout_ms / 1000, spec.retries, spec.idempotency_key,
        reference=reference, id=spec.task_id or new_id("task"),
    )  # fmt: skip


class Results:
    """Results for one answer, which must fit into one message."""

    def __init__(self) -> None:
        self._size = 0

    def encode(self, name: str, value: Any) -> Value:
        """A result of a task as it is sent.

        Raises:
            RequestError: with those before it is too much for one message.
        """
        if value is None:
            return _NOTHING
        data = dumps(value).encode()
        self._size += len(data)
        if self._size > MAX_RESULTS:
            raise RequestError(
                Code.REJECTED,
                f"results up to that of {name} have {self._size:,} bytes, and a message has at most"
                f" {MAX_RESULTS:,}: ask for fewer tasks at once",
            )
        return msgspec.Raw(data)


def _infos_of(records: Sequence[TaskRecord]) -> list[TaskInfo]:
    results = Results()
    infos = []
    for record in records:
        info = info_of(record)
        if record.state.value == "completed":
            result = results.encode(record.task.name, record.result)
            info = msgspec.structs.replace(info, result=result)
        infos.append(info)
    return infos
