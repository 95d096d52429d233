"""What the events of a turn tell of agents: text and host calls, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

from swarmc.runtime import SwarmManager, cli_turns
from swarmc.runtime.cli_turns import TurnPrinter
from swarmc.runtime.orchestration.router import turn_events as told
from swarmc.runtime.orchestration.router.protocol import Event, Inject, Launch, TurnEvent, TurnRun
from swarmc.runtime.orchestration.router.turn_events import traced_calls, turn_events

from .routing import RunningRouter, collect

ROOT = Path(__file__).resolve().parents[3]
WASI = "wasi_snapshot_preview1"

#: Writes "a€" in two pieces, "!" to standard error, "b", and does what its first argument says.
PROGRAM = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "a\\e2\\82\\acb!")
  (func $say (param $fd i32) (param $from i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $from)) (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $all
    (call $say (i32.const 1) (i32.const 16) (i32.const 2))
    (call $say (i32.const 1) (i32.const 18) (i32.const 2))
    (drop (call $close (i32.const 9)))
    (call $say (i32.const 2) (i32.const 21) (i32.const 1))
    (call $say (i32.const 1) (i32.const 20) (i32.const 1)))
  (func (export "_start") (call $all) END))"""


def events_of(end: str, agents: int = 1, limit: int | None = 64, **options: Any) -> list[TurnEvent]:
    turn = TurnRun(turn_id="turn-1", module="x", agents=agents, data="")
    wasm = bytes(wat2wasm(PROGRAM.replace("END", end)))
    with SwarmManager.from_wasm(wasm, trace_host_calls=limit, **options) as swarm:
        return list(turn_events(turn, swarm.run_agents(agents)))


def in_short(events: list[TurnEvent], agent: int = 0) -> list[str]:
    """Names of calls, and texts in quotes."""
    found = []
    for event in events:
        data = event.data
        if data.get("agent") != agent:
            continue
        if event.type == "command_started":
            found.append(f"{data['name']}(")
        elif event.type == "command_completed":
            assert found[-1] == f"{data['name']}("
            found[-1] += f"{data.get('errno', '')})"
        else:
            found.append(f"{event.type[0]}:{data['text']}")
    return found


WRITTEN = [
    "fd_write(success)", "fd_write(success)", "a:a€", "fd_close(badf)", "fd_write(success)", "r:!",
    "fd_write(success)",
]  # fmt: skip


def test_text_comes_behind_the_calls_that_wrote_it() -> None:
    events = events_of("(drop (call $yield))")
    assert in_short(events) == [*WRITTEN, "a:b", "sched_yield(success)"]
    assert events[-1].type == "usage" and events[-1].data["host_calls"] == 6
    assert events[-1].data["host_calls_told"] == 6
    started, completed = events[5].data, events[6].data
    assert started == {"agent": 0, "module": WASI, "name": "fd_close", "args": [9]}
    assert completed == {
        "agent": 0, "module": WASI, "name": "fd_close", "result": 8, "errno": "badf",
        "error": "badf",
    }  # fmt: skip


def test_how_a_call_ends_an_agent() -> None:
    (exit,) = [e.data for e in events_of("(call $exit (i32.const 3))") if "exit_code" in e.data]
    assert exit == {
        "agent": 0, "module": WASI, "name": "proc_exit", "result": None, "exit_code": 3
    }
    *_, last, usage = events_of("(call $say (i32.const 1) (i32.const -9) (i32.const 9))")
    assert (last.type, last.data["name"], last.data["result"]) == (
        "command_completed", "fd_write", None
    )  # fmt: skip
    assert last.data["error"] == "out of bounds memory access" and "errno" not in last.data
    assert usage.data["host_calls"] == 6


def test_without_a_trace_there_is_text_alone() -> None:
    events = events_of("", limit=None)
    assert in_short(events) == ["r:!", "a:a€b"]
    assert "host_calls" not in events[-1].data


def test_what_is_not_noted_comes_at_the_end() -> None:
    assert in_short(events_of("", limit=1)) == ["fd_write(success)", "a:a", "r:!", "a:€b"]


def test_output_that_is_not_kept() -> None:
    events = events_of("", output_size=3)
    assert in_short(events) == [*WRITTEN[:2], "a:a\ufffd", *WRITTEN[3:]]


def test_a_turn_of_many_agents_tells_some_calls_and_counts_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(told, "TOLD_CALLS", 12)
    events = events_of("", agents=10, max_agents=10)
    assert sum(event.type == "command_started" for event in events) == 12
    assert events[-1].data["host_calls"] == 50 and events[-1].data["host_calls_told"] == 12
    assert in_short(events, 1) == [*WRITTEN, "a:b"] == in_short(events, 0)
    assert in_short(events, 2) == ["fd_write(success)", "fd_write(success)", "a:a€", "r:!", "a:b"]
    assert in_short(events, 9) == ["r:!", "a:a€b"]


def test_how_many_calls_of_an_agent_are_noted() -> None:
    assert [traced_calls(n) for n in (1, 8, 16, 1_000, 1 << 20)] == [64, 64, 32, 16, 16]


def test_swarms_with_and_without_a_trace(tmp_path: Path) -> None:
    hello = str(ROOT / "corpus" / "hello.wasm")
    with RunningRouter(tmp_path) as running, running.client() as client:
        client.subscribe()
        for trace in (True, False):
            swarm = client.call("swarm_launch", Launch(module=hello, trace=trace))
            client.call("swarm_inject", Inject(swarm_id=swarm.swarm_id, prompt="x"))
            events = collect(client, lambda event: event.type == "turn_complete")
            kinds = {event.type for event in events}
            assert ({"command_started", "command_completed"} <= kinds) is trace
            assert "assistant_delta" in kinds
            (usage,) = [event.data for event in events if event.type == "usage"]
            assert usage.get("host_calls") == (5 if trace else None)


def printed(capsys: pytest.CaptureFixture[str], events: list[TurnEvent], **options: bool) -> Any:
    printer = TurnPrinter(**options)
    for number, event in enumerate(events):
        printer.show(Event(seq=number, at=0.0, type=event.type, node=2, data=event.data))
    return capsys.readouterr()


def test_what_inject_prints(capsys: pytest.CaptureFixture[str]) -> None:
    events = events_of("(call $exit (i32.const 3))")
    plain = printed(capsys, events)
    assert plain.out == "[node 2] agent 0: a€b\n"
    first, usage = plain.err.splitlines()
    assert first == "[node 2] agent 0: !" and usage.startswith("[node 2] ")
    shown = printed(capsys, events, commands=True)
    assert shown.out == plain.out
    lines = [line.removeprefix("[node 2] agent 0: ") for line in shown.err.splitlines()]
    assert lines[2:] == [
        "fd_close(9) = badf", "fd_write(2, 0, 1, 8) = success", "fd_write(1, 0, 1, 8) = success",
        "proc_exit(3) exited with 3", "!", usage,
    ]  # fmt: skip


@pytest.mark.parametrize(("ending", "text"), [
    ({"result": None}, "f(1, null)"), ({"result": [2, "nan"]}, 'f(1, null) = [2,"nan"]'),
    ({"result": None, "error": "wrong\x1b[2J"}, "f(1, null) failed: wrong"),
])  # fmt: skip
def test_a_call_in_a_line(ending: dict[str, Any], text: str) -> None:
    found = cli_turns.call_text({"name": "f"} | ending, [1, None])
    assert found.startswith(text) and "\x1b" not in found
