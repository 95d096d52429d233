"""Generic agents run functions and modules, say what is wrong, and tell whether they are well."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents import AgentFactory, AgentRegistry, LocalAgent
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    OrchestrationError,
    TaskCancelledError,
    TaskError,
)
from swarmc.runtime.orchestration.interfaces import Agent
from swarmc.runtime.orchestration.tasks import Task, TaskContext

from .fakes import FakeClock

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


def run(agent: Agent, payload: object, context: TaskContext | None = None) -> Any:
    return agent.execute(Task("t", payload), context or TaskContext())


def test_all_kinds_are_agents() -> None:
    agents: list[Agent] = [
        AgentFactory.create_neural("vision_net", 2048),
        AgentFactory.create_quantum("optimizer", 16),
        AgentFactory.create_generic("preprocessor"),
    ]
    registry = AgentRegistry()
    for agent in agents:
        registry.register(agent)
    for capability, agent in zip(
        ("neural_inference", "quantum_optimization", "general_processing"), agents, strict=True
    ):
        assert registry.by_capability(capability) == [agent]
    assert len({agent.id for agent in agents}) == 3
    registry.close()
    assert not any(agent.ping() for agent in agents if isinstance(agent, LocalAgent))


def test_a_handler_of_payload_or_payload_and_context() -> None:
    context = TaskContext(attempt=3)
    one = AgentFactory.create_generic("one", handler=lambda payload: payload + 1)
    two = AgentFactory.create_generic("two", handler=lambda payload, context: context.attempt)
    many = AgentFactory.create_generic("many", handler=lambda *everything: len(everything))
    builtin = AgentFactory.create_generic("builtin", handler=len)
    option = AgentFactory.create_generic("option", handler=lambda payload, *, sign=-1: sign)
    assert run(one, 1) == 2
    assert run(two, None, context) == 3
    assert run(many, 1) == 2
    assert run(builtin, "four") == 4
    assert run(option, 1) == -1


def test_what_handlers_raise_comes_out() -> None:
    def broken(payload: object) -> None:
        raise LookupError("nothing there")

    agent = AgentFactory.create_generic("broken", handler=broken)
    with pytest.raises(LookupError, match="nothing there"):
        run(agent, None)
    assert agent.ping()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"handler": lambda: 1}, "must take a payload"),
        ({"handler": lambda a, b, c: 1}, "must take a payload"),
        ({"handler": 7}, "must be a function, not 7"),
        ({"handler": len, "module": b""}, "neither module"),
        ({"handler": len, "target": "cpu"}, "neither module nor"),
        ({"module": "/nowhere/x.wasm"}, "cannot read /nowhere/x.wasm: No such file"),
        ({"capacity": 0}, "capacity of g must be at least 1"),
    ],
)
def test_agents_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OrchestrationError, match=message):
        AgentFactory.create_generic("g", **options)


def test_a_library() -> None:
    agent = AgentFactory.create_generic("lib", module=CORPUS / "lib.wasm")
    assert run(agent, {"entry_point": "fib", "args": [20]})["result"] == 6765
    several = run(agent, {"entry_point": "gcd", "args": [[12, 18], [7, 5]], "agents": 2})
    assert several["result"] == [6, 1]
    with pytest.raises(TaskError, match="parameters for the module of lib"):
        run(agent, {"bytes": b""})
    with pytest.raises(TaskError, match="parameters for the module of lib"):
        run(agent, 3.5)
    agent.close()


def test_a_command() -> None:
    agent = AgentFactory.create_generic("hash", module=(CORPUS / "sha256.wasm").read_bytes())
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  -\n"
    for payload in (b"abc", "abc", bytearray(b"abc"), {"stdin": "abc"}):
        assert run(agent, payload)["stdout"] == abc
    agent.close()


def test_modules_that_tasks_bring() -> None:
    agent = AgentFactory.create_generic("any")
    module = (CORPUS / "lib.wasm").read_bytes()
    found = run(agent, {"bytes": module, "entry_point": "gcd", "args": [12, 18]})
    assert found["result"] == 6
    with pytest.raises(TaskError, match="needs one of the parameters 'module'"):
        run(agent, {"entry_point": "gcd"})
    agent.restart()
    assert run(agent, {"module": str(CORPUS / "hello.wasm")})["stdout"] == "hello, swarm\n"
    agent.close()
    with pytest.raises(ClosedError):
        run(agent, {"bytes": module})


def test_executors_by_name() -> None:
    class Doubling:
        name = "double"
        closed = False

        def run(self, task: Task, context: TaskContext) -> Any:
            return task.payload * 2

        def close(self) -> None:
            self.closed = True

    executor = Doubling()
    agent = AgentFactory.create_generic("g", handler=lambda payload: payload, executors=[executor])
    assert agent.capabilities == {"general_processing", "double"}
    assert agent.execute(Task("t", 4, executor="double"), TaskContext()) == 8
    assert agent.execute(Task("t", 4), TaskContext()) == 4
    with pytest.raises(TaskError, match="agent g has no executor 'php', but double") as caught:
        agent.execute(Task("t", 4, executor="php"), TaskContext())
    assert not caught.value.retry
    agent.close()
    assert executor.closed


def test_a_handler_that_stops_when_told() -> None:
    def patient(payload: object, context: TaskContext) -> None:
        context.cancelled.wait(30)
        context.check()

    agent, context = AgentFactory.create_generic("g", handler=patient), TaskContext()
    threading.Timer(0.05, context.cancelled.set).start()
    with pytest.raises(TaskCancelledError):
        run(agent, None, context)


@pytest.mark.parametrize("why", ["deadline", "cancelled"])
def test_an_agent_whose_handler_hangs_is_not_well(why: str) -> None:
    clock, entered, leave = FakeClock(100.0), threading.Event(), threading.Event()

    def hanging(payload: object) -> None:
        entered.set()
        leave.wait(60)

    agent = AgentFactory.create_generic("g", handler=hanging, capacity=2)
    context = TaskContext(deadline=101.0, clock=clock)
    thread = threading.Thread(target=run, args=(agent, None, context))
    thread.start()
    assert entered.wait(60)
    assert agent.ping()
    if why == "cancelled":
        context.cancelled.set()
        assert agent.ping()  # it has a while to notice
    clock.advance(2.5)
    assert agent.ping() is (why == "deadline")  # over for 1.5 s, or cancelled for 2.5 s
    clock.advance(1.0)
    assert not agent.ping()
    agent.restart()
    assert agent.ping()  # though the thread still hangs
    leave.set()
    thread.join(60)
    agent.close()
    assert not agent.ping()
