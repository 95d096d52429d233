"""Tasks in threads: as many at once as there is room for, and none lost when one hangs."""

from __future__ import annotations

import threading

from swarmc.runtime.orchestration.agents import AgentRegistry
from swarmc.runtime.orchestration.engine import LocalEngine
from swarmc.runtime.orchestration.scheduler import Scheduler, SchedulerConfig
from swarmc.runtime.orchestration.tasks import Task, TaskContext, TaskState

from .scheduling import Worker

LONG = 60.0  # seconds; nothing here waits that long unless it is broken


def registry(*workers: Worker) -> AgentRegistry:
    agents = AgentRegistry()
    for worker in workers:
        agents.register(worker)
    return agents


def test_as_many_at_once_as_agents_have_room_for() -> None:
    together = threading.Barrier(40)

    def meet(task: Task, context: TaskContext) -> int:
        return together.wait(LONG)

    with Scheduler(registry(Worker("w", capacity=40, run=meet))) as scheduler:
        ids = scheduler.submit_many([Task(str(n)) for n in range(40)])
        results = [record.result for record in scheduler.wait(ids, LONG)]
    assert sorted(results) == list(range(40))


def test_a_thousand_short_tasks_need_few_threads() -> None:
    with Scheduler(registry(Worker("w", capacity=64))) as scheduler:
        ids = scheduler.submit_many([Task(str(n), payload=n) for n in range(1000)])
        records = scheduler.wait(ids, LONG)
    assert [record.result for record in records] == list(range(1000))
    assert scheduler.stats().completed == 1000


def test_from_several_threads_with_dependencies_and_failures() -> None:
    def run(task: Task, context: TaskContext) -> object:
        if task.payload == "fails" and context.attempt < 3:
            raise ValueError("not yet")
        return sum(value for value in context.inputs.values() if isinstance(value, int)) + 1

    workers = [Worker(f"w{n}", capacity=2, run=run) for n in range(4)]
    with Scheduler(registry(*workers), None, SchedulerConfig(retry_delay=0.001)) as scheduler:
        results: dict[int, object] = {}

        def chain(number: int) -> None:
            before = Task("root", payload="fails")
            scheduler.submit(before)
            for _ in range(20):
                task = Task("next", dependencies=(before.id,))
                scheduler.submit(task)
                before = task
            results[number] = scheduler.wait([before.id], LONG)[0].result

        threads = [threading.Thread(target=chain, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
        stats = scheduler.stats()
    assert results == dict.fromkeys(range(8), 21)
    assert (stats.completed, stats.retried, stats.failed) == (8 * 21, 16, 0)


def test_a_hanging_attempt_does_not_hold_up_others() -> None:
    release = threading.Event()

    def run(task: Task, context: TaskContext) -> object:
        if task.name == "hangs":
            release.wait(LONG)  # looks at nothing
        return task.name

    agents = registry(Worker("w", run=run))
    with Scheduler(agents, engine=LocalEngine(threads=1)) as scheduler:
        hanging = scheduler.submit(Task("hangs", timeout=0.05, retries=0))
        other = scheduler.submit(Task("other"))
        records = scheduler.wait([hanging, other], LONG)
        release.set()
    assert [record.state for record in records] == [TaskState.FAILED, TaskState.COMPLETED]
    assert records[0].error == "timed out after 0.05 s"


def test_closing_waits_for_what_runs_and_leaves_the_rest() -> None:
    begun, release = threading.Event(), threading.Event()

    def run(task: Task, context: TaskContext) -> str:
        begun.set()
        release.wait(LONG)
        return "done"

    scheduler = Scheduler(registry(Worker("w", run=run)))
    first, second = scheduler.submit_many([Task("first"), Task("second")])
    assert begun.wait(LONG)
    threading.Timer(0.05, release.set).start()
    assert scheduler.close(LONG)
    assert scheduler.record(first).state is TaskState.COMPLETED
    assert scheduler.record(second).state is TaskState.QUEUED


def test_closing_tells_what_does_not_end_to_stop() -> None:
    def run(task: Task, context: TaskContext) -> None:
        assert context.cancelled.wait(LONG)

    scheduler = Scheduler(registry(Worker("w", run=run)))
    scheduler.submit(Task("endless"))
    assert scheduler.close(0.05)


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    with Scheduler(registry(Worker("w", capacity=8))) as scheduler:
        scheduler.wait(scheduler.submit_many([Task(str(n)) for n in range(50)]), LONG)
    assert set(threading.enumerate()) <= before


def test_short_tasks_begin_in_their_order() -> None:
    begun: list[int] = []
    launched = threading.Event()

    def run(task: Task, context: TaskContext) -> None:
        assert launched.wait(LONG)  # what is launched by this thread cannot overtake by then
        begun.append(task.payload)

    workers = [Worker(f"w{number}", run=run) for number in range(4)]
    one = LocalEngine(threads=1)  # so that no thread is overtaken while the system holds it up
    with Scheduler(registry(*workers), engine=one, paused=True) as scheduler:
        ids = scheduler.submit_many([Task(str(n), payload=n) for n in range(2000)])
        scheduler.resume()
        launched.set()
        scheduler.wait(ids, LONG)
    assert sorted(begun) == list(range(2000))
    assert max(abs(place - number) for place, number in enumerate(begun)) <= 8  # none waits on
