"""Which task runs when and where, with a clock and an engine of the test's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.agents.breaker import BreakerPolicy
from swarmc.runtime.orchestration.agents.shedding import LoadShedder, OverloadedError, ShedPolicy
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    DependencyCycleError,
    InvalidTaskError,
    QueueFullError,
    TaskError,
    UnknownTaskError,
)
from swarmc.runtime.orchestration.scheduler import AgentSelectionStrategy
from swarmc.runtime.orchestration.tasks import Task, TaskPriority, TaskRecord, TaskState

from .scheduling import Bench, Worker


def states(bench: Bench, *tasks: Task) -> list[str]:
    return [bench.scheduler.record(task.id).state.value for task in tasks]


def test_a_task_runs_and_gives_its_result() -> None:
    bench = Bench()
    task = Task("t")
    assert bench.scheduler.submit(task) == task.id
    assert states(bench, task) == ["running"]
    bench.engine.end("t", {"x": 1})
    record = bench.scheduler.record(task.id)
    assert (record.state, record.result, record.attempts) == (TaskState.COMPLETED, {"x": 1}, 1)
    assert record.agent == "w"


def test_only_tasks_can_be_submitted() -> None:
    bench = Bench()
    no_task: Any = "t"
    with pytest.raises(InvalidTaskError, match="only a Task can be submitted, not 't'"):
        bench.scheduler.submit(no_task)
    assert bench.scheduler.stats().accepted == 0


def test_higher_priorities_first_then_the_order_of_submission() -> None:
    bench = Bench(paused=True)
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 10), ("e", 5), ("f", -1)):
        bench.scheduler.submit(Task(name, priority=priority))
    bench.scheduler.resume()
    assert bench.run_all() == ["d", "b", "e", "a", "c", "f"]


def test_waiting_raises_priority_so_that_nothing_starves() -> None:
    bench = Bench(aging=2.0)
    bench.scheduler.submit(Task("first"))
    bench.scheduler.submit(Task("low", priority=0))
    for number in range(10):  # one more urgent task every second: three steps are six seconds
        bench.scheduler.submit(Task(f"urgent{number}", priority=3))
        bench.pass_time(1)
        bench.engine.end(next(iter(bench.engine.running)))
    order = bench.engine.order()
    assert order[: order.index("low")] == ["first", *(f"urgent{n}" for n in range(6))]


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.floats(0, 5)), min_size=1, max_size=30))
def test_no_task_overtakes_one_that_has_waited_for_the_difference(
    arrivals: list[tuple[int, float]],
) -> None:
    bench = Bench(paused=True)
    at: dict[str, tuple[int, float]] = {}
    for number, (priority, gap) in enumerate(arrivals):
        bench.pass_time(gap)
        bench.scheduler.submit(Task(str(number), priority=priority))
        at[str(number)] = (priority, bench.now)
    bench.scheduler.resume()
    order = bench.run_all()
    for position, name in enumerate(order):
        for other in order[position + 1 :]:
            (p, t), (q, u) = at[name], at[other]
            assert p - t >= q - u - 1e-9  # one second weighs as much as one step


def test_dependencies_in_any_order_and_their_results() -> None:
    bench = Bench(Worker("w", capacity=4))
    a, b = Task("a"), Task("b")
    c = Task("c", dependencies=(a.id, b.id))
    bench.scheduler.submit_many([c, a, b])
    assert states(bench, a, b, c) == ["running", "running", "waiting"]
    bench.engine.end("b", 2)
    bench.engine.end("a", 1)
    assert bench.engine.running["c"].context.inputs == {a.id: 1, b.id: 2}
    bench.engine.end("c")
    late = Task("late", dependencies=(a.id,))  # of a task that is long done
    bench.scheduler.submit(late)
    assert bench.engine.running["late"].context.inputs == {a.id: 1}


def test_cycles_are_refused_by_name_and_nothing_is_accepted() -> None:
    bench = Bench()
    a = Task("a", id="1", dependencies=("3",))
    b = Task("b", id="2", dependencies=("1",))
    c = Task("c", id="3", dependencies=("2",))
    with pytest.raises(DependencyCycleError, match="a -> c -> b -> a") as error:
        bench.scheduler.submit_many([Task("innocent", id="0"), a, b, c])
    assert error.value.cycle == ("a", "c", "b", "a")
    with pytest.raises(UnknownTaskError, match="no task '0'"):
        bench.scheduler.record("0")


def test_failure_and_cancellation_reach_all_that_depend() -> None:
    bench = Bench(retry_delay=1)
    root = Task("root", retries=0)
    chain = [root]
    for number in range(5000):  # deeper than Python's stack
        chain.append(Task(f"t{number}", dependencies=(chain[-1].id,)))
    bench.scheduler.submit_many(chain)
    bench.engine.end("root", ValueError("no"))
    assert bench.scheduler.record(root.id).error == "ValueError: no"
    last = bench.scheduler.record(chain[-1].id)
    assert last.state is TaskState.CANCELLED
    assert last.error == "t4998, which it needs, was cancelled"
    assert bench.scheduler.record(chain[1].id).error == "root, which it needs, failed"
    late = Task("late", dependencies=(root.id,))
    bench.scheduler.submit(late)
    assert bench.scheduler.record(late.id).error == "root, which it needs, failed"
    assert bench.scheduler.stats().cancelled == 5001


def test_retries_with_growing_delays_then_failure() -> None:
    bench = Bench(retry_delay=0.5, max_retry_delay=1.5)
    task = Task("t", retries=3)
    bench.scheduler.submit(task)
    delays = []
    for _ in range(3):
        bench.engine.end("t", TaskError("try again"))
        assert states(bench, task) == ["queued"]
        delays.append(bench.scheduler.tick() - bench.now)
        bench.pass_time(delays[-1] - 0.01)
        assert not bench.engine.running
        bench.pass_time(0.02)
    assert delays == [0.5, 1.0, 1.5]
    bench.engine.end("t", TaskError("the last"))
    record = bench.scheduler.record(task.id)
    assert (record.state, record.attempts, record.error) == (TaskState.FAILED, 4, "the last")


def test_no_retry_is_spent_on_what_fails_every_time() -> None:
    bench = Bench()
    task = Task("t")
    bench.scheduler.submit(task)
    bench.engine.end("t", TaskError("wrong type", retry=False))
    assert bench.scheduler.record(task.id).attempts == 1
    assert states(bench, task) == ["failed"]


def test_an_attempt_that_takes_too_long_is_told_to_stop_and_not_waited_for() -> None:
    bench = Bench(retry_delay=1)
    task = Task("t", timeout=2, retries=1)
    bench.scheduler.submit(task)
    first = bench.engine.running.pop("t")
    bench.pass_time(2)
    assert first.context.cancelled.is_set()
    assert bench.engine.abandoned == ["t"]
    bench.pass_time(1)
    assert bench.engine.running["t"].context.attempt == 2
    bench.engine._done(first, "too late", None)  # nobody listens
    assert states(bench, task) == ["running"]
    bench.engine.end("t", "in time")
    record = bench.scheduler.record(task.id)
    assert (record.state, record.result) == (TaskState.COMPLETED, "in time")
    assert (bench.scheduler.stats().timed_out, bench.scheduler.stats().late) == (1, 1)


def test_cancelling_what_waits_runs_or_is_delayed() -> None:
    bench = Bench(retry_delay=1)
    running, queued = Task("running"), Task("queued")
    waiting = Task("waiting", dependencies=(queued.id,))
    delayed = Task("delayed")
    bench.scheduler.submit(delayed)
    bench.engine.end("delayed", ValueError())
    bench.scheduler.submit_many([running, queued, waiting])
    context = bench.engine.running["running"].context
    for task in (queued, running, delayed):
        assert bench.scheduler.cancel(task.id, "not wanted")
        assert not bench.scheduler.cancel(task.id)
    assert context.cancelled.is_set()
    assert states(bench, running, queued, waiting, delayed) == ["cancelled"] * 4
    assert bench.scheduler.record(waiting.id).error == "queued, which it needs, was cancelled"
    bench.pass_time(5)
    assert bench.engine.order() == ["delayed", "running"]
    with pytest.raises(UnknownTaskError):
        bench.scheduler.cancel("nobody")


def test_the_queue_is_bounded() -> None:
    bench = Bench(task_queue_size=3)
    bench.scheduler.submit_many([Task("runs"), Task("a"), Task("b")])
    bench.scheduler.submit(Task("c"))  # one runs, three wait
    with pytest.raises(QueueFullError, match="3 tasks wait, and 1 more would be over the limit"):
        bench.scheduler.submit(Task("d"))
    with pytest.raises(QueueFullError, match="submit fewer at once"):
        bench.scheduler.submit_many([Task(str(n)) for n in range(4)])
    bench.engine.end("runs")
    bench.scheduler.submit(Task("d"))
    assert bench.run_all() == ["runs", "a", "b", "c", "d"]


def test_only_agents_that_can_get_a_task() -> None:
    plain, neural = Worker("plain"), Worker("neural", frozenset({"neural_inference", "wasm"}))
    bench = Bench(plain, neural)
    thinking = [Task(f"n{n}", requires=frozenset({"neural_inference"})) for n in range(2)]
    odd = Task("odd", requires=frozenset({"levitation"}), priority=99)
    named = Task("named", executor="wasm")
    bench.scheduler.submit_many([odd, *thinking, named, Task("p")])
    assert bench.engine.begun == [("n0", "neural"), ("p", "plain")]
    assert bench.scheduler.stats().unplaced == 1
    bench.engine.end("n0")
    bench.engine.end("n1")
    assert bench.engine.begun[2:] == [("n1", "neural"), ("named", "neural")]
    bench.registry.register(Worker("yogi", frozenset({"levitation"})))
    bench.scheduler.tick()
    assert bench.engine.begun[-1] == ("odd", "yogi")


def test_resources_are_not_promised_twice() -> None:
    bench = Bench(Worker("gpu", capacity=10, resources={"gpu": 2}))
    for number in range(4):
        bench.scheduler.submit(Task(f"half{number}", resources={"gpu": 0.75}))
    bench.scheduler.submit(Task("none"))
    assert bench.engine.order() == ["half0", "half1", "none"]
    bench.engine.end("half0")
    assert bench.engine.order()[-1] == "half2"


def test_no_more_at_once_than_configured() -> None:
    bench = Bench(Worker("w", capacity=10), max_concurrent_tasks=2)
    bench.scheduler.submit_many([Task("a"), Task("b"), Task("c")])
    assert bench.engine.order() == ["a", "b"]
    bench.engine.end("b")
    assert bench.engine.order() == ["a", "b", "c"]


def given_agents(strategy: AgentSelectionStrategy, tasks: int, **config: Any) -> list[str]:
    workers = [
        Worker("versatile", frozenset({"a", "b", "c"}), 4), Worker("small", frozenset({"a"}), 2),
        Worker("large", frozenset({"a", "b"}), 8),
    ]  # fmt: skip
    bench = Bench(*workers, selection_strategy=strategy, **config)
    for number in range(tasks):
        bench.scheduler.submit(Task(str(number), requires=frozenset({"a"})))
    return [agent for _, agent in bench.engine.begun]


def test_strategies() -> None:
    each = AgentSelectionStrategy
    assert given_agents(each.ROUND_ROBIN, 4) == ["versatile", "small", "large", "versatile"]
    assert given_agents(each.LEAST_LOADED, 14).count("large") == 8
    assert given_agents(each.LEAST_LOADED, 7).count("large") == 4  # half of each one's room
    special = given_agents(each.CAPABILITY_BASED, 12)
    assert special == ["small"] * 2 + ["large"] * 8 + ["versatile"] * 2
    first = given_agents(each.ROUND_ROBIN, 5, load_balancing=False)
    assert first == ["versatile"] * 4 + ["small"]


def test_load_balanced_prefers_who_has_been_quick() -> None:
    bench = Bench(Worker("slow"), Worker("quick"), load_balancing=True)
    bench.scheduler.submit_many([Task("s"), Task("q")])
    bench.pass_time(0.1)
    bench.engine.end("q")
    bench.pass_time(0.9)
    bench.engine.end("s")
    bench.scheduler.submit(Task("next"))
    assert bench.engine.begun[-1] == ("next", "quick")


def test_tasks_of_an_agent_that_fails_run_elsewhere() -> None:
    bench = Bench(Worker("a"), Worker("b"))
    task = Task("t", retries=0)
    bench.scheduler.submit(task)
    first = bench.engine.running.pop("t")
    bench.registry.suspect("a", "late")
    bench.scheduler.submit(Task("other"))
    assert bench.engine.begun == [("t", "a"), ("other", "b")]  # a suspect gets nothing new
    bench.engine.end("other")
    bench.registry.fail("a", "dead")
    bench.scheduler.tick()
    assert first.context.cancelled.is_set()
    assert bench.engine.begun[-1] == ("t", "b")
    bench.engine._done(first, "a ghost's", None)
    bench.engine.end("t", "b's")
    assert bench.scheduler.record(task.id).result == "b's"
    assert bench.scheduler.stats().failovers == 1


def test_a_task_that_agents_die_of_is_given_up() -> None:
    bench = Bench(max_failovers=2)
    task = Task("poison")
    bench.scheduler.submit(task)
    for _ in range(3):
        bench.engine.running.pop("poison")
        bench.registry.fail("w", "dead")
        bench.registry.restart("w")
        bench.scheduler.tick()
    record = bench.scheduler.record(task.id)
    assert record.state is TaskState.FAILED
    assert record.error == "3 agents failed while they ran it, the last: w"


def test_an_agent_that_keeps_failing_is_left_alone() -> None:
    bench = Bench(Worker("bad"), Worker("good"), breakers=BreakerPolicy(consecutive=2, open_for=5))
    for number in range(2):
        bench.scheduler.submit_many([Task(f"{number}", retries=0), Task(f"good{number}")])
        bench.engine.end(f"{number}", ValueError())
        bench.engine.end(f"good{number}")
    bench.scheduler.submit_many([Task("a"), Task("b")])
    assert bench.engine.begun[4:] == [("a", "good")]
    assert bench.scheduler.tick() == bench.now + 5
    bench.pass_time(5)
    assert bench.engine.begun[5:] == [("b", "bad")]  # a probe
    bench.engine.end("b")
    bench.scheduler.submit(Task("c"))
    assert bench.engine.begun[6:] == [("c", "bad")]


def test_an_executor_that_keeps_failing_is_left_alone_on_all_agents() -> None:
    policy = BreakerPolicy(consecutive=3, open_for=5)
    workers = [Worker(name, frozenset({"php", "wasm"})) for name in "abcd"]
    bench = Bench(*workers, breakers=policy)
    bench.scheduler.submit_many([Task(f"{n}", executor="php", retries=0) for n in range(3)])
    for number in range(3):
        bench.engine.end(f"{number}", ValueError())
    bench.scheduler.submit_many([Task("php", executor="php"), Task("wasm", executor="wasm")])
    assert bench.engine.order()[3:] == ["wasm"]
    bench.scheduler.submit(Task("php2", executor="php"))
    bench.pass_time(5)
    assert bench.engine.order()[4:] == ["php"]  # one probe
    bench.engine.end("php")
    assert bench.engine.order()[5:] == ["php2"]


def test_a_task_that_is_wrong_says_nothing_against_its_agent() -> None:
    bench = Bench(breakers=BreakerPolicy(consecutive=1))
    for number in range(3):
        bench.scheduler.submit(Task(str(number)))
        bench.engine.end(str(number), TaskError("no such operation", retry=False))
    assert bench.scheduler.stats().failed == 3


def test_under_load_urgent_tasks_get_in_and_find_a_place() -> None:
    shedder = LoadShedder(ShedPolicy(elevated=0.5, critical=0.8, reserve=0.25))
    bench = Bench(Worker("w", capacity=4), shedder=shedder, task_queue_size=10)
    bench.scheduler.submit_many([Task(f"runs{n}") for n in range(3)])
    bench.scheduler.submit_many([Task(f"waits{n}") for n in range(7)])
    assert bench.engine.order() == ["runs0", "runs1", "runs2"]  # of 4 places one is kept
    bench.engine.end("runs0")
    assert bench.engine.order()[3:] == ["waits0"]
    with pytest.raises(OverloadedError, match="low has priority -10"):
        bench.scheduler.submit(Task("low", priority=TaskPriority.LOW))
    bench.scheduler.submit(Task("urgent", priority=TaskPriority.HIGH))
    assert bench.engine.order()[4:] == ["urgent"]
    assert bench.scheduler.wait_idle(0) is False
    order = bench.run_all()
    assert sorted(order[5:]) == [f"waits{n}" for n in range(1, 7)]
    bench.scheduler.submit(Task("low", priority=TaskPriority.LOW))


def test_idempotency_keys() -> None:
    bench = Bench()
    first = Task("t", idempotency_key="k")
    again = Task("t", idempotency_key="k")
    after = Task("after", dependencies=(again.id,))
    assert bench.scheduler.submit(first) == first.id
    assert bench.scheduler.submit_many([again, after]) == [first.id, after.id]
    bench.engine.end("t", "once")
    assert bench.engine.running["after"].context.inputs == {first.id: "once"}
    assert bench.scheduler.submit(Task("t", idempotency_key="k")) == first.id
    assert bench.engine.order() == ["t", "after"]


def test_what_cannot_be_accepted() -> None:
    bench = Bench()
    task = Task("t")
    bench.scheduler.submit(task)
    with pytest.raises(InvalidTaskError, match=f"there is a task '{task.id}' already"):
        bench.scheduler.submit(task)
    twin = Task("twin")
    with pytest.raises(InvalidTaskError, match="two of these tasks have one id"):
        bench.scheduler.submit_many([twin, twin])
    with pytest.raises(InvalidTaskError, match="x depends on 'nobody', which is no known task"):
        bench.scheduler.submit(Task("x", dependencies=("nobody",)))
    assert bench.scheduler.submit_many([]) == []
    with pytest.raises(InvalidTaskError, match="dependency_resolution is off"):
        Bench(dependency_resolution=False).scheduler.submit(Task("x", dependencies=("y",)))


def test_watchers_and_waiting() -> None:
    bench = Bench()
    task = Task("t")
    seen: list[TaskRecord] = []
    bench.scheduler.submit(task)
    bench.scheduler.watch(task.id, seen.append)
    with pytest.raises(TimeoutError, match="1 of 1 tasks are not done"):
        bench.scheduler.wait([task.id], timeout=0.01)
    assert not bench.scheduler.wait_idle(timeout=0.01)
    bench.engine.end("t", 7)
    assert [r.result for r in bench.scheduler.wait([task.id, task.id], timeout=60)] == [7, 7]
    bench.scheduler.watch(task.id, seen.append)
    assert bench.scheduler.wait_idle(timeout=60)
    bench.scheduler.close()
    assert [record.result for record in seen] == [7, 7]


def test_a_closed_scheduler_takes_nothing() -> None:
    bench = Bench()
    bench.scheduler.close()
    bench.scheduler.close()
    with pytest.raises(ClosedError, match="the scheduler is closed"):
        bench.scheduler.submit(Task("t"))


def test_statistics() -> None:
    bench = Bench()
    bench.scheduler.submit_many([Task("a"), Task("b")])
    bench.pass_time(0.5)
    bench.engine.end("a")
    bench.pass_time(1)
    stats = bench.scheduler.stats()
    assert (stats.accepted, stats.completed, stats.running, stats.queued) == (2, 1, 1, 0)
    assert stats.throughput == 0.1  # over ten seconds
    assert stats.run_time.mean == 0.5
    assert stats.queue_time.quantile(0.5) == 1e-5
