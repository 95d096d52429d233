"""Dispatches in the background."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.errors import ArgumentError, SwarmStateError, UnknownAgentError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager, dispatching
from swarmc.runtime.handles import Started

Make = Callable[..., SwarmManager]

LONG = 1 << 62


@pytest.fixture(params=["cpu", "ptx"])
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_the_result_comes_later(make_swarm: Make, library: bytes, target: str) -> None:
    swarm = make_swarm(library, target=target)
    ids = swarm.spawn_agents(100, "add", np.arange(200).reshape(100, 2))
    handle = swarm.dispatch_async(ids)
    assert handle.result(60).results_array().tolist() == list(range(1, 400, 4))
    assert handle.done() and handle.wait() and not handle.interrupt()
    assert handle.result() is swarm.last_result
    assert repr(handle) == "<DispatchHandle: done>"
    again = swarm.dispatch_async(ids[:1], "add", [40, 2], fuel=100)
    assert list(again.result().agent_results.values()) == [42]


def test_the_caller_goes_on_meanwhile(make_swarm: Make, library: bytes, target: str) -> None:
    swarm = make_swarm(library, target=target, fuel=LONG)
    agent, other = swarm.spawn_agent("forever"), swarm.spawn_agent("tick")
    handle = swarm.dispatch_async([agent])
    assert not handle.done()
    with pytest.raises(TimeoutError):
        handle.result(0.05)
    assert not handle.wait(0.01)
    assert repr(handle) == "<DispatchHandle: running>"
    with pytest.raises(SwarmStateError, match="another dispatch of this swarm is running"):
        swarm.dispatch_async([other])
    assert handle.interrupt()
    result = handle.result(60)
    assert result.traps[agent].code == Trap.INTERRUPTED
    assert swarm.dispatch_async([other]).result().agent_results == {other: 1}


def test_what_looks_at_agents_waits(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, fuel=LONG)
    agent = swarm.spawn_agent("forever")
    handle = swarm.dispatch_async()
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(swarm.get_agent_memory(agent, 4, 4)))
    reader.start()
    reader.join(0.1)
    assert reader.is_alive() and not seen
    swarm.interrupt()
    reader.join(60)
    assert seen == [b"data"] and handle.result().interrupted


def test_two_swarms_take_turns(make_swarm: Make, library: bytes) -> None:
    swarms = [make_swarm(library) for _ in range(3)]
    for swarm in swarms:
        swarm.spawn_agents(10, "spin", [100_000])
    handles = [swarm.dispatch_async() for swarm in swarms]
    assert [len(handle.result(60)) for handle in handles] == [10] * 3


def test_mistakes_are_raised_at_once(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    swarm.spawn_agent("add", args=[1, 2])
    with pytest.raises(ArgumentError):
        swarm.dispatch_async(None, "nowhere")
    with pytest.raises(ArgumentError):
        swarm.dispatch_async(args=[1])
    with pytest.raises(ArgumentError):
        swarm.dispatch_async(fuel=0)
    with pytest.raises(UnknownAgentError):
        swarm.dispatch_async([99])
    assert list(swarm.dispatch_async().result().agent_results.values()) == [3]
    with pytest.raises(SwarmStateError, match="load_bytecode"):
        SwarmManager().dispatch_async()


def test_errors_of_the_dispatch_come_with_the_result(
    make_swarm: Make, library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = make_swarm(library)
    swarm.spawn_agent("tick")
    assert swarm._program is not None

    def fails(*args: object) -> None:
        raise OSError("the device is gone")

    monkeypatch.setattr(swarm._program.kernel, "dispatch", fails)
    handle = swarm.dispatch_async()
    with pytest.raises(OSError, match="the device is gone"):
        handle.result(60)
    assert handle.done()
    monkeypatch.undo()
    assert list(swarm.dispatch_async().result().agent_results.values()) == [1]


def test_as_a_context(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, fuel=LONG)
    agent = swarm.spawn_agent("spin", args=[1_000_000])
    with swarm.dispatch_async() as handle:
        pass
    assert handle.done() and handle.result().agent_results == {agent: None}
    with pytest.raises(ZeroDivisionError), swarm.dispatch_async(None, "forever") as handle:
        raise ZeroDivisionError
    assert handle.done() and handle.result().interrupted
    handle = swarm.dispatch_async(None, "forever")
    assert handle.cancel() and handle.done() and not handle.cancel()


def test_leaving_the_swarm_by_an_error_stops_its_agents(library: bytes, shared_cache: Path) -> None:
    with pytest.raises(ZeroDivisionError), SwarmManager.from_wasm(
        library, cache=shared_cache, fuel=LONG
    ) as swarm:
        swarm.spawn_agent("forever")
        handle = swarm.dispatch_async()
        raise ZeroDivisionError
    assert handle.result(60).interrupted


def test_in_a_coroutine(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    ids = swarm.spawn_agents(3, "double", [21])
    called: list[bool] = []

    async def main() -> list[int]:
        handle = swarm.dispatch_async(ids)
        handle.add_done_callback(lambda one: called.append(one is handle))
        result = await handle
        return list(result.results_array().tolist())

    assert asyncio.run(main()) == [42, 42, 42]
    assert called == [True]


def test_work_of_the_host_overlaps(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, fuel=LONG)
    swarm.spawn_agent("forever")
    handle = swarm.dispatch_async()
    for _ in range(100_000):
        assert not handle.done()
    assert handle.cancel()


PROGRAM = """
import sys
from swarmc import SwarmManager
swarm = SwarmManager.from_wasm(open(sys.argv[1], "rb").read(), cache=sys.argv[2], fuel=1 << 62)
swarm.spawn_agent("forever")
handle = swarm.dispatch_async()
print("leaving")
"""


def test_the_interpreter_ends_with_agents_running(
    library: bytes, shared_cache: Path, tmp_path: Path
) -> None:
    module = tmp_path / "library.wasm"
    module.write_bytes(library)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(module), str(shared_cache)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_a_cancelled_coroutine_leaves_the_handle_alone(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, fuel=LONG)
    agent = swarm.spawn_agent("forever")

    async def wait_a_little() -> None:
        handle = swarm.dispatch_async()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle, 0.1)
        assert not handle.done()
        assert handle.cancel()
        assert handle.result(60).traps[agent].code == Trap.INTERRUPTED

    asyncio.run(wait_a_little())


def test_an_interrupt_right_after_the_start_counts(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, fuel=LONG)
    swarm.spawn_agent("forever")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(30):
            handle = swarm.dispatch_async()
            swarm.interrupt()
            assert handle.result(60).interrupted
    finally:
        sys.setswitchinterval(before)


def test_an_interrupt_between_waves_counts(
    make_swarm: Make, library: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = make_swarm(library, max_agents=4)
    made = dispatching.spawn
    waves = 0

    def spawn(*args: Any) -> Any:
        nonlocal waves
        waves += 1
        if waves == 3:
            swarm.interrupt()
        return made(*args)

    monkeypatch.setattr(dispatching, "spawn", spawn)
    result = swarm.run_agents(400, "tick", waves=True)
    assert waves == 3 and len(result) == 12 and result.interrupted


def test_a_start_that_nobody_waited_for_is_stopped() -> None:
    for begun in (False, True):
        started, stop = Started(), np.zeros(1, np.int64)
        if begun:
            started.running(stop)
        started.abandon()
        if not begun:
            started.running(stop)
        assert stop[0] == 1
