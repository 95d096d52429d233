"""Workflows on a real scheduler: order, retries, cancellation, and undoing what was done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    DependencyCycleError,
    OrchestrationError,
    QueueFullError,
    TaskError,
)
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.executors import Call, InternalExecutor
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task, TaskState
from swarmc.runtime.orchestration.worker import Worker
from swarmc.runtime.orchestration.workflow import (
    Symbol,
    TaskDefaults,
    UnknownWorkflowError,
    WorkflowManifest,
    WorkflowResult,
    WorkflowRunner,
    WorkflowState,
    parse_manifest,
)

SECONDS = 60.0


class Desk:
    """A runner over a store, whose operations write down that they ran."""

    def __init__(self, store: Store | None, **config: Any) -> None:
        self.store = store
        self.ran: list[str] = []
        self.calls: list[Call] = []
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        registry = AgentRegistry()
        executor = InternalExecutor({"do": self._do})
        registry.register(Worker("w", [executor], max_concurrent_tasks=8))
        self.scheduler = Scheduler(registry, store, SchedulerConfig(retry_delay=0.001, **config))
        self.runner = WorkflowRunner(self.scheduler, store)

    def _do(self, call: Call) -> Any:
        self.ran.append(call.name)
        self.calls.append(call)
        self.begun.setdefault(call.name, threading.Event()).set()
        gate = self.gates.get(call.name)
        while gate is not None and not gate.wait(0.002):
            call.task_context.check()
        if call.attempt <= call.parameters.get("fails", 0):
            raise TaskError(f"{call.name} has no luck")
        return f"{call.name} done"

    def hold(self, name: str) -> None:
        """Let a symbol wait until :meth:`let_go`."""
        self.gates[name] = threading.Event()
        self.begun[name] = threading.Event()

    def let_go(self, name: str) -> None:
        self.gates[name].set()

    def run(self, *symbols: dict[str, Any]) -> WorkflowResult:
        return self.runner.run(manifest(*symbols), SECONDS)

    def close(self) -> None:
        for gate in self.gates.values():
            gate.set()
        self.runner.close()
        self.scheduler.close(SECONDS)
        if self.store is not None:
            self.store.close()


def symbol(name: str, *dependencies: str, fails: int = 0, undo: int | None = None,
           **more: Any) -> dict[str, Any]:
    """A symbol whose first attempts fail; with a rollback whose first ``undo`` attempts fail."""
    made: dict[str, Any] = {
        "name": name, "type": "action", "dependencies": list(dependencies), "retries": 0,
        "parameters": {"operation": "do", "fails": fails}, **more,
    }  # fmt: skip
    if undo is not None:
        made["rollback"] = {
            "name": f"undo {name}", "type": "action", "retries": 1,
            "parameters": {"operation": "do", "fails": undo},
        }  # fmt: skip
    return made


def manifest(*symbols: dict[str, Any]) -> WorkflowManifest:
    return WorkflowManifest.model_validate({"name": "w", "symbols": list(symbols)})


@pytest.fixture(params=["in memory", "stored"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    store = Store(tmp_path / "w.db", power_safe=False) if request.param == "stored" else None
    made = Desk(store)
    yield made
    made.close()


def test_symbols_run_in_order(desk: Desk) -> None:
    result = desk.run(symbol("c", "a", "b"), symbol("b", "a"), symbol("a"))
    assert desk.ran == ["a", "b", "c"]
    assert result.state is WorkflowState.COMPLETED
    assert result.success
    assert (result.completed_tasks, result.total_tasks) == (3, 3)
    assert (result.failed_tasks, result.cancelled_tasks) == (0, 0)
    assert result.results == {"c": "c done", "b": "b done", "a": "a done"}
    assert list(result.symbols) == ["c", "b", "a"]
    assert result.error is None
    assert result.duration >= 0
    assert desk.runner.runs() == []
    last = desk.calls[-1]
    assert dict(last.inputs) == {"a": "a done", "b": "b done"}
    assert last.idempotency_key == f"{result.id}/c"
    assert (last.workflow, last.type, last.context) == (result.id, "action", "generic")
    data = result.to_data()
    assert (data["state"], data["completed_tasks"]) == ("completed", 3)
    assert data["symbols"][0]["result"] == "c done"


def test_priorities_order_what_could_run(tmp_path: Path) -> None:
    registry = AgentRegistry()
    ran: list[str] = []
    executor = InternalExecutor({"do": lambda call: ran.append(call.name)})
    registry.register(Worker("w", [executor], max_concurrent_tasks=1))
    with Scheduler(registry, paused=True) as scheduler, WorkflowRunner(scheduler) as runner:
        run_id = runner.deploy(manifest(
            symbol("low", priority=-1), symbol("high", priority=10), symbol("none")
        ))  # fmt: skip
        scheduler.resume()
        runner.wait(run_id, SECONDS)
    assert ran == ["high", "none", "low"]


def test_retries_come_before_rollback(desk: Desk) -> None:
    result = desk.run(symbol("a", fails=2, undo=0, retries=3))
    assert result.success
    assert desk.ran == ["a", "a", "a"]
    assert result.symbols["a"].attempts == 3
    assert {call.idempotency_key for call in desk.calls} == {f"{result.id}/a"}


def test_what_was_done_is_undone_in_reverse(desk: Desk) -> None:
    result = desk.run(
        symbol("a", undo=0), symbol("b", "a"), symbol("c", "b", undo=0),
        symbol("d", "c", fails=9, undo=0), symbol("e", "d", undo=0),
    )  # fmt: skip
    assert desk.ran == ["a", "b", "c", "d", "undo d", "undo c", "undo a"]
    assert result.state is WorkflowState.ROLLED_BACK
    assert not result.success
    assert result.error == "d failed: d has no luck"
    assert (result.completed_tasks, result.failed_tasks, result.cancelled_tasks) == (3, 1, 1)
    assert list(result.rollbacks) == ["d", "c", "a"]
    assert {r.state for r in result.rollbacks.values()} == {TaskState.COMPLETED}
    undone = {call.name: call.rollback_of for call in desk.calls if call.rollback_of}
    assert undone["undo d"] == {
        "symbol": "d", "state": "failed", "result": None, "error": "d has no luck",
    }  # fmt: skip
    assert undone["undo a"] == {
        "symbol": "a", "state": "completed", "result": "a done", "error": None,
    }  # fmt: skip
    keys = [call.idempotency_key for call in desk.calls if call.rollback_of]
    assert keys == [f"{result.id}/{name}/rollback" for name in "dca"]


def test_what_has_not_begun_is_not_undone(desk: Desk) -> None:
    """What runs beside a failure is waited for, and undone; what waits is cancelled."""
    desk.hold("slow")
    desk.hold("bad")
    run_id = desk.runner.deploy(manifest(
        symbol("slow", undo=0), symbol("after", "slow", undo=0), symbol("bad", fails=1, undo=0),
    ))  # fmt: skip
    for name in ("slow", "bad"):
        assert desk.begun[name].wait(SECONDS)
    desk.let_go("bad")
    desk.scheduler.wait([f"{run_id}/after"], SECONDS)
    assert desk.runner.result(run_id).state is WorkflowState.RUNNING
    desk.let_go("slow")
    result = desk.runner.wait(run_id, SECONDS)
    assert result.symbols["slow"].state is TaskState.COMPLETED
    assert result.symbols["after"].state is TaskState.CANCELLED
    assert list(result.rollbacks) == ["bad", "slow"]
    assert desk.ran[2:] == ["undo bad", "undo slow"]


def test_without_rollbacks_a_run_just_fails(desk: Desk) -> None:
    result = desk.run(symbol("a"), symbol("b", "a", fails=1), symbol("c", "b", undo=0))
    assert (result.state, result.rollbacks) == (WorkflowState.FAILED, {})
    assert desk.ran == ["a", "b"]


def test_rollbacks_are_retried_and_one_that_fails_keeps_none_from_running(desk: Desk) -> None:
    result = desk.run(
        symbol("a", undo=1), symbol("b", "a", undo=9), symbol("c", "b", undo=0),
        symbol("d", "c", fails=1),
    )  # fmt: skip
    assert desk.ran[4:] == ["undo c", "undo b", "undo b", "undo a", "undo a"]
    assert result.state is WorkflowState.FAILED
    assert result.rollbacks["b"].state is TaskState.FAILED
    assert result.rollbacks["b"].error == "undo b has no luck"
    assert result.rollbacks["a"].state is TaskState.COMPLETED


def test_cancelling_interrupts_and_undoes(desk: Desk) -> None:
    desk.hold("b")
    run_id = desk.runner.deploy(manifest(
        symbol("a", undo=0), symbol("b", "a", undo=0), symbol("c", "b", undo=0)
    ))  # fmt: skip
    assert desk.begun["b"].wait(SECONDS)
    assert desk.runner.cancel(run_id, "enough")
    result = desk.runner.wait(run_id, SECONDS)
    assert (result.state, result.error) == (WorkflowState.ROLLED_BACK, "enough")
    assert desk.ran == ["a", "b", "undo b", "undo a"]
    assert [s.state.value for s in result.symbols.values()] == [
        "completed", "cancelled", "cancelled"
    ]  # fmt: skip
    assert not desk.runner.cancel(run_id)


def test_a_task_that_is_cancelled_stops_its_run(desk: Desk) -> None:
    desk.hold("a")
    run_id = desk.runner.deploy(manifest(symbol("a", undo=0)))
    assert desk.begun["a"].wait(SECONDS)
    desk.scheduler.cancel(f"{run_id}/a", "by hand")
    result = desk.runner.wait(run_id, SECONDS)
    assert result.error == "a was cancelled: by hand"
    assert result.state is WorkflowState.ROLLED_BACK


def test_many_runs_at_once(desk: Desk) -> None:
    ids = [
        desk.runner.deploy(manifest(symbol("a", undo=0), symbol("b", "a", fails=i % 2)))
        for i in range(40)
    ]
    states = [desk.runner.wait(run_id, SECONDS).state for run_id in ids]
    assert states == [WorkflowState.COMPLETED, WorkflowState.ROLLED_BACK] * 20


def test_waiting_has_an_end(desk: Desk) -> None:
    desk.hold("a")
    run_id = desk.runner.deploy(manifest(symbol("a")))
    with pytest.raises(TimeoutError, match=f"run {run_id} is not done after 0.01 s"):
        desk.runner.wait(run_id, 0.01)
    assert desk.runner.runs() == [run_id]
    assert desk.runner.result(run_id).symbols["a"].state in (TaskState.RUNNING, TaskState.QUEUED)
    desk.let_go("a")
    assert desk.runner.wait(run_id, SECONDS).success


def test_wrong_questions(desk: Desk) -> None:
    for ask in (desk.runner.result, desk.runner.wait, desk.runner.cancel):
        with pytest.raises(UnknownWorkflowError, match="no run 'nothing'"):
            ask("nothing")
    with pytest.raises(DependencyCycleError):
        desk.runner.deploy(manifest(symbol("a", "b"), symbol("b", "a")))
    run_id = desk.runner.deploy(manifest(symbol("a")), run_id="mine")
    assert run_id == "mine"
    desk.runner.wait(run_id, SECONDS)
    with pytest.raises(OrchestrationError):
        desk.runner.deploy(manifest(symbol("a")), run_id="mine")


def test_a_run_that_finds_no_room_is_over(tmp_path: Path) -> None:
    with Store(tmp_path / "w.db", power_safe=False) as store:
        desk = Desk(store, task_queue_size=1)
        with pytest.raises(QueueFullError):
            desk.runner.deploy(manifest(symbol("a"), symbol("b")), run_id="r")
        stored = store.workflow("r")
        assert stored is not None
        assert stored.state == "failed"
        assert stored.error is not None
        assert stored.error.startswith("not started: ")
        desk.close()


def test_leaving_ends_waiting(desk: Desk) -> None:
    desk.hold("a")
    run_id = desk.runner.deploy(manifest(symbol("a")))
    threading.Timer(0.05, desk.runner.close).start()
    with pytest.raises(OrchestrationError, match=f"run {run_id} was left: the runner was closed"):
        desk.runner.wait(run_id, SECONDS)
    with pytest.raises(ClosedError):
        desk.runner.deploy(manifest(symbol("a")))


def told(result: WorkflowResult) -> object:
    """A result without how long things took."""
    data = result.to_data()
    for part in (data, *data["symbols"], *data["rollbacks"]):
        del part["duration_ms"]
    return data


def test_events(tmp_path: Path) -> None:
    desk = Desk(Store(tmp_path / "w.db", power_safe=False))
    assert desk.store is not None
    result = desk.run(symbol("a", undo=0), symbol("b", "a", fails=1))
    kinds = [event.kind for event in desk.store.events(subject=result.id)]
    assert kinds == [
        EventKind.WORKFLOW_STARTED, EventKind.WORKFLOW_ROLLING_BACK, EventKind.WORKFLOW_FINISHED
    ]  # fmt: skip
    order = [(e.kind.value, e.subject) for e in desk.store.events()]
    rolling = order.index(("workflow.rolling_back", result.id))
    assert order.index(("task.accepted", f"{result.id}/a/rollback")) > rolling
    again = WorkflowRunner(desk.scheduler, desk.store)
    other = again.result(result.id)
    assert told(other) == told(result)
    again.close()
    desk.close()


def test_defaults_for_what_was_not_said() -> None:
    defaults = TaskDefaults(retries=5, timeouts={"php_engine": 60_000}, priorities=False)
    a, b, c = parse_manifest("""
name: w
symbols:
  - {name: a, type: action, dispatch: php_engine, priority: 4}
  - {name: b, type: action, dispatch: php_engine, timeout: 30000, retries: 3}
  - {name: c, type: action}
""").symbols
    assert [defaults.timeout(s) for s in (a, b, c)] == [60_000, 30_000, 30_000]
    assert [defaults.retries_of(s) for s in (a, b, c)] == [5, 3, 5]
    assert isinstance(a, Symbol)


def test_a_worker_runs_what_its_executors_can() -> None:
    from swarmc.runtime.orchestration.tasks import TaskContext

    class Other(InternalExecutor):
        closed = False

        def close(self) -> None:
            self.closed = True

    first, second = Other(), Other(name="second")
    with Worker("w", [first, second], capabilities=["gpu"], resources={"gpu": 1}) as worker:
        assert worker.capabilities == {"internal", "second", "gpu"}
        assert (worker.capacity, worker.resources) == (4, {"gpu": 1})
        task = Task("t", {"operation": "echo", "value": 1}, "second")
        assert worker.execute(task, TaskContext()) == 1
        for executor, message in ((None, "no default executor"), ("x", "no executor 'x'")):
            with pytest.raises(TaskError, match=f"worker w has {message}; it has internal, second"):
                worker.execute(Task("t", {"operation": "echo"}, executor), TaskContext())
        one = Worker("one", [first], owns=False)
        assert one.execute(Task("t", {"operation": "echo", "value": 2}), TaskContext()) == 2
        one.close()
        assert not first.closed
    assert first.closed
    assert second.closed


def test_resuming(tmp_path: Path) -> None:
    """A runner that is left in the middle is taken up by the next one."""
    path = tmp_path / "w.db"
    desk = Desk(Store(path, power_safe=False))
    desk.hold("undo b")
    run_id = desk.runner.deploy(manifest(
        symbol("a", undo=0), symbol("b", "a", undo=0), symbol("c", "b", fails=1, undo=0)
    ))  # fmt: skip
    assert desk.begun["undo b"].wait(SECONDS)
    desk.runner.close()
    desk.scheduler.close(0)
    assert desk.store is not None
    desk.store.close()

    later = Desk(Store(path, power_safe=False))
    later.scheduler.recover()
    assert later.runner.resume() == [run_id]
    result = later.runner.wait(run_id, SECONDS)
    assert result.state is WorkflowState.ROLLED_BACK
    assert later.ran == ["undo b", "undo a"]
    assert later.runner.resume() == []
    later.close()


@pytest.mark.parametrize("tasks_too", [False, True])
def test_resuming_what_had_hardly_begun(
    tmp_path: Path, tasks_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.db"
    desk = Desk(Store(path, power_safe=False))
    desk.scheduler.pause()
    if not tasks_too:  # as if the process had ended right after the first event
        def crash(*args: object, **more: object) -> None:
            raise SystemExit

        monkeypatch.setattr(desk.scheduler, "submit_many", crash)
    try:
        desk.runner.deploy(manifest(symbol("a"), symbol("b", "a")), run_id="r")
    except SystemExit:
        assert not tasks_too
    desk.close()

    later = Desk(Store(path, power_safe=False))
    later.scheduler.recover()
    assert later.runner.resume() == ["r"]
    assert later.runner.wait("r", SECONDS).success
    assert later.ran == ["a", "b"]
    later.close()


def test_a_store_that_fails_ends_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(Store(tmp_path / "w.db", power_safe=False))
    desk.hold("a")
    run_id = desk.runner.deploy(manifest(symbol("a", fails=1, undo=0)))
    assert desk.store is not None

    def full(events: object) -> None:
        raise OrchestrationError("the disk is full")

    monkeypatch.setattr(desk.store, "append", full)
    desk.let_go("a")
    with pytest.raises(OrchestrationError, match=f"run {run_id} was left: the disk is full"):
        desk.runner.wait(run_id, SECONDS)
    assert f"run {run_id} cannot go on" in caplog.text
    desk.close()
