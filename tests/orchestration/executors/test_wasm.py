"""WebAssembly as tasks: functions and commands, one agent and many, and how they end."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.executors import WasmExecutor
from swarmc.runtime.orchestration.tasks import Task, TaskContext

ROOT = Path(__file__).resolve().parents[3]
LIB = bytes(
    wasmtime.wat2wasm("""
(module (memory 1 100)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "swap") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "forever") (loop br 0)))
""")
)
#: Prints what it reads; exits with 3 if that is nothing.
CAT = bytes(
    wasmtime.wat2wasm("""
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 4096))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
    (if (i32.eqz (i32.load (i32.const 4))) (then (call $exit (i32.const 3))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
""")
)


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WasmExecutor]:
    cache = tmp_path_factory.mktemp("cache")
    made = WasmExecutor(root=ROOT, cache=cache, target="cpu")
    yield made
    made.close()


def run(executor: WasmExecutor, context: TaskContext | None = None, **parameters: Any) -> Any:
    return executor.run(Task("t", parameters), context or TaskContext())


def test_a_function(executor: WasmExecutor) -> None:
    given = run(executor, bytes=LIB, entry_point="add", args=[2, 40])
    assert given == {
        "result": 42, "stdout": "", "stderr": "", "exit_code": None, "trap": None,
        "instructions": 4, "truncated": False,
    }  # fmt: skip
    text = base64.b64encode(LIB).decode()
    swapped = run(executor, bytes=text, entry_point="swap", args=[1, 1 << 40])
    assert swapped["result"] == [1 << 40, 1]
    assert loads(dumps(swapped)) == swapped


def test_a_module_in_a_file(executor: WasmExecutor) -> None:
    given = run(executor, module="corpus/lib.wasm", entry_point="fib", args=[20])
    assert given["result"] == 6765


def test_many_agents_give_lists(executor: WasmExecutor) -> None:
    rows = [[i, 1] for i in range(5)]
    given = run(executor, bytes=LIB, entry_point="add", args=rows, agents=5)
    assert given["result"] == [1, 2, 3, 4, 5]
    assert given["instructions"] == [4] * 5
    assert given["trap"] == [None] * 5
    same = run(executor, bytes=LIB, entry_point="add", args=[2, 3], agents=3000)  # in waves
    assert same["result"] == [5] * 3000


def test_a_command(executor: WasmExecutor) -> None:
    given = run(executor, bytes=CAT, stdin="hellö")
    assert (given["stdout"], given["exit_code"], given["result"]) == ("hellö", 0, None)
    value = run(executor, bytes=CAT, input={"a": [1, None]}, output="json")
    assert value["stdout"] == {"a": [1, None]}
    assert run(executor, bytes=CAT, stdin=b"\xff", output="bytes")["stdout"] == b"\xff"


def test_failures_are_not_retried(executor: WasmExecutor) -> None:
    for parameters, message in (
        ({"bytes": 5}, "parameter 'bytes' of t must be bytes or bytearray or str, not 5"),
        ({"bytes": LIB, "entry_point": "divide", "args": [1, 0]},
         "t trapped: integer divide by zero"),
        ({"bytes": LIB, "entry_point": "divide", "args": [[1, 1], [1, 0]], "agents": 2},
         "agent 1 of t trapped: integer divide by zero"),
        ({"bytes": LIB, "entry_point": "forever", "fuel": 1000}, "t trapped: out of fuel"),
        ({"bytes": CAT}, "t exited with 3"),
        ({"bytes": CAT, "stdin": "no", "output": "json"}, "t printed no JSON"),
        ({"bytes": CAT, "input": [0] * 99, "output": "json", "output_size": 9},
         "t printed more than 9 bytes; set the parameter output_size"),
        ({"bytes": b"no"}, "t: "),
        ({"bytes": "!"}, "'bytes' of t is no base64"),
        ({"bytes": LIB, "entry_point": "ad", "args": [1, 2]}, "t: "),
        ({"bytes": LIB, "entry_point": "add", "args": [1]}, "t: "),
        ({"module": "corpus/none.wasm"}, "cannot read"),
        ({}, "t needs one of the parameters 'module' (a path) and 'bytes'"),
        ({"bytes": LIB, "agents": 0}, "agents of t must be positive, not 0"),
        ({"bytes": LIB, "agent": 1}, "executor wasm has no parameter 'agent': did you mean agents"),
        ({"bytes": LIB, "output": "xml"}, "output of t must be one of text, json, bytes, not"),
        ({"bytes": CAT, "stdin": "", "input": 1}, "t has both 'stdin' and 'input'"),
    ):  # fmt: skip
        with pytest.raises(TaskError) as raised:
            run(executor, **parameters)
        assert str(raised.value).startswith(message)
        assert not raised.value.retry


def test_failures_can_be_results(executor: WasmExecutor) -> None:
    given = run(
        executor,
        bytes=LIB,
        entry_point="divide",
        args=[[6, 3], [1, 0]],
        agents=2,
        allow_failures=True,
    )
    assert given["result"] == [2, None]
    assert given["trap"][0] is None
    assert given["trap"][1].startswith("integer divide by zero")
    assert run(executor, bytes=CAT, allow_failures=True)["exit_code"] == 3


def test_memory_is_limited(executor: WasmExecutor) -> None:
    for pages, grown in ((2, 1), (8, 1), (9, -1)):
        given = run(executor, bytes=LIB, entry_point="grow", args=[pages], memory=9 * 65536)
        assert given["result"] == grown


def test_cancellation_and_timeout_interrupt(executor: WasmExecutor) -> None:
    run(executor, bytes=LIB, entry_point="add", args=[1, 2])  # compiled from now on
    context = TaskContext()
    threading.Timer(0.05, context.cancelled.set).start()
    with pytest.raises(TaskCancelledError):
        run(executor, context, bytes=LIB, entry_point="forever", fuel=1 << 60)
    with pytest.raises(TaskTimeoutError):
        late = TaskContext(deadline=time.monotonic() + 0.05)
        run(executor, late, bytes=LIB, entry_point="forever", fuel=1 << 60)


def test_swarms_are_kept_and_closed(tmp_path: Path) -> None:
    with_two = WasmExecutor(kept=2, cache=tmp_path, target="cpu")
    for agents in (1, 2, 4, 4):
        run(with_two, bytes=LIB, entry_point="add", args=[1, 2], agents=agents)
    assert [str(key).rpartition(", ")[2] for key in with_two._pool._idle] == ["2)", "4)"]
    with_two.close()
    assert not with_two._pool._idle
    with pytest.raises(ClosedError):
        run(with_two, bytes=LIB, entry_point="add", args=[1, 2])


def test_many_threads_at_once(executor: WasmExecutor) -> None:
    found: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            given = run(executor, bytes=LIB, entry_point="add", args=[number, 100])
            found.append(given["result"])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted([100, 101, 102, 103] * 5)
