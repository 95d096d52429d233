"""Swarms of a library on the CPU: spawning, dispatching, looking at agents."""

from __future__ import annotations

import json
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swarmc.errors import (
    ArgumentError,
    SwarmStateError,
    TargetError,
)
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager, SwarmResult, TrapInfo

Make = Callable[..., SwarmManager]


def test_the_quick_example(make_swarm: Make, single: bytes) -> None:
    swarm = make_swarm(single)
    ids = [swarm.spawn_agent(args=[i]) for i in range(1024)]
    result = swarm.dispatch()
    assert isinstance(result, SwarmResult)
    assert result.agent_results == {id_: i for i, id_ in enumerate(ids)}
    assert set(result.agent_outputs.values()) == {b""}
    assert list(result.agent_outputs) == ids
    assert set(result.instruction_counts.values()) == {2}
    assert result.total_time_ms > 0
    assert swarm.mock
    with pytest.raises(RuntimeError, match=r"1024 of at most 1024 agents \(max_agents=1024\)"):
        swarm.spawn_agent()


def test_before_load_bytecode() -> None:
    swarm = SwarmManager(cache=False)
    for call in (swarm.spawn_agent, lambda: swarm.spawn_agents(3)):
        with pytest.raises(RuntimeError, match=r"^Must call load_bytecode\(\) before spawning ag"):
            call()
    with pytest.raises(SwarmStateError, match="before dispatching"):
        swarm.dispatch()
    with pytest.raises(KeyError, match="no agent 9999"):
        swarm.get_agent_memory(9999)
    with pytest.raises(KeyError):
        swarm.kill_agent(0)
    assert len(swarm) == 0
    assert swarm.agent_ids.tolist() == []
    swarm.kill_agents()
    swarm.close()


class TestEntryPoints:
    """Which function an agent runs."""

    def test_default_is_start_then_main_then_the_only_one(self, make_swarm: Make) -> None:
        def result(*names: str) -> Any:
            funcs = "".join(
                f'(func (export "{name}") (result i32) (i32.const {n}))'
                for n, name in enumerate(names)
            )
            swarm = make_swarm(f"(module {funcs})")
            return swarm.dispatch([swarm.spawn_agent()]).agent_results.popitem()[1]

        assert result("a", "main", "_start") == 2
        assert result("a", "main") == 1
        assert result("only") == 0
        with pytest.raises(ArgumentError, match=r"no entry point was chosen.*one of: a, b"):
            result("a", "b")
        with pytest.raises(ArgumentError, match="exports no functions"):
            result()

    def test_initialize_is_not_the_only_function(self, make_swarm: Make) -> None:
        swarm = make_swarm("""(module (global $g (mut i32) (i32.const 1))
            (func (export "_initialize")
              (global.set $g (i32.add (global.get $g) (i32.const 5))))
            (func (export "value") (result i32) (global.get $g)))""")
        id_ = swarm.spawn_agent()
        assert swarm.dispatch().agent_results == {id_: 6}
        assert swarm.dispatch().agent_results == {id_: 6}, "it runs once"

    def test_unknown_entry_point(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        with pytest.raises(ArgumentError, match="no function 'ad'; it exports add, divide, double"):
            swarm.spawn_agent("ad")
        id_ = swarm.spawn_agent()
        with pytest.raises(ArgumentError, match="no function 'ad'"):
            swarm.dispatch([id_], "ad")
        assert len(swarm) == 1

    def test_only_chosen_entry_points(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library, entry_points=["tick"])
        assert list(swarm.functions) == ["tick"]
        assert swarm.dispatch([swarm.spawn_agent()]).agent_results == {0: 1}
        with pytest.raises(ArgumentError, match="no function 'add'"):
            swarm.spawn_agent("add")
        with pytest.raises(ArgumentError, match="no function 'nix'"):
            make_swarm(library, entry_points=["nix"])

    def test_different_ones_in_one_dispatch(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        a = swarm.spawn_agent("add", args=[1, 2])
        b = swarm.spawn_agent("mix", args=[1, 2, 0.5, 0.25])
        c = swarm.spawn_agent("nothing")
        d = swarm.spawn_agent("divide", args=[1, 0])
        e = swarm.spawn_agent("tick")
        result = swarm.dispatch()
        assert result.agent_results == {a: 3, b: (0.25, 2, 0.5, 1), c: None, e: 1}
        assert list(result.agent_results) == [a, b, c, e]
        assert result.status.tolist() == [0, 0, 0, Trap.INTEGER_DIVIDE_BY_ZERO, 0]
        with pytest.raises(ArgumentError, match="nothing has no result 0"):
            result.results_array()
        result = swarm.dispatch([a, d, e])
        assert result.results_array().tolist() == [3, 0, 2]
        with pytest.raises(ArgumentError, match="different types"):
            swarm.dispatch([a, b]).results_array()


class TestArguments:
    """Where arguments come from, and what is wrong with some."""

    def test_wrong_ones_are_refused_at_spawn(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library, max_agents=1)
        for args, words in (
            ([1], r"add takes 2 arguments \(i32, i32\), got 1"),
            ([1, "2"], "argument 1 of add is an i32: it must be an integer, not '2'"),
            ([1, 2**32], "argument 1 of add: 4294967296 is out of the range of i32"),
            ("12", "args must be a sequence"),
        ):
            with pytest.raises(ArgumentError, match=words):
                swarm.spawn_agent("add", args=args)
        with pytest.raises(ArgumentError, match="no entry point was chosen"):
            swarm.spawn_agent(args=[1])
        swarm.spawn_agent("add", args=[1, 2])  # none of them took the slot

    def test_they_may_come_with_dispatch(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        ids = [swarm.spawn_agent("add") for _ in range(3)]
        with pytest.raises(ArgumentError, match="agent 0 has no arguments for add: add takes 2"):
            swarm.dispatch()
        assert set(swarm.dispatch(args=[2, 3]).agent_results.values()) == {5}
        table = np.array([[1, 1], [2, 2], [3, 3]])
        assert swarm.dispatch(ids[::-1], args=table).agent_results == {2: 2, 1: 4, 0: 6}
        with pytest.raises(ArgumentError, match="3 rows for 2 agents"):
            swarm.dispatch(ids[:2], args=table)
        with pytest.raises(ArgumentError, match="agent 0 has no arguments"):
            swarm.dispatch()

    def test_dispatch_wins_over_spawn(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        ids = swarm.spawn_agents(3, "double", range(3))
        assert swarm.dispatch(args=range(10, 13)).agent_results == {0: 20, 1: 22, 2: 24}
        assert swarm.dispatch().agent_results == {0: 0, 1: 2, 2: 4}
        result = swarm.dispatch(ids, "add", [[1, 2], [3, 4], [5, 6]])
        assert result.agent_results == {0: 3, 1: 7, 2: 11}
        with pytest.raises(ArgumentError, match="agent 0 has no arguments for add"):
            swarm.dispatch(ids, "add")
        assert swarm.dispatch(ids, "double").agent_results == {0: 0, 1: 2, 2: 4}

    def test_rows_for_agents_with_different_entries(
        self, make_swarm: Make, library: bytes
    ) -> None:
        swarm = make_swarm(library)
        swarm.spawn_agent("double")
        swarm.spawn_agent("add")
        assert swarm.dispatch(args=[[5], [6, 7]]).agent_results == {0: 10, 1: 13}

    def test_every_type_goes_in_and_out(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        swarm.spawn_agent("mix", args=[2**32 - 1, 2**63, 1.5, -0.0])
        swarm.spawn_agent("mix", args=[-5, -6, math.inf, 1e300])
        result = swarm.dispatch()
        assert result.agent_results == {
            0: (-0.0, -(2**63), 1.5, -1),
            1: (1e300, -6, math.inf, -5),
        }
        assert math.copysign(1, result.agent_results[0][0]) == -1
        assert [result.results_array(n).dtype.name for n in range(4)] == [
            "float64", "int64", "float32", "int32",
        ]  # fmt: skip
        assert result.results_array(3).tolist() == [-1, -5]
        same = swarm.dispatch(entry_point="same", args=[[None], [7]])
        assert same.agent_results == {0: None, 1: 7}
        assert same.results_array().tolist() == [-1, 7]


class TestTraps:
    """Traps are data."""

    def test_report(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        ids = swarm.spawn_agents(4, "divide", [[1, 1], [1, 0], [-(2**31), -1], [6, 2]])
        result = swarm.dispatch()
        assert result.agent_results == {0: 1, 3: 3}
        assert list(result.traps) == [1, 2]
        trap = result.traps[1]
        assert isinstance(trap, TrapInfo)
        assert (trap.code, trap.function) == (Trap.INTEGER_DIVIDE_BY_ZERO, "divide")
        assert trap.offset is not None and library[trap.offset] == 0x6D  # i32.div_s
        assert str(trap) == (
            f"integer divide by zero (in function divide, at byte {trap.offset:#x})"
        )
        assert result.traps[2].message == "integer overflow"
        assert result.results_array().tolist() == [1, 0, 0, 3]
        assert result.trapped_array.tolist() == [False, True, True, False]
        assert len(result) == 4
        assert "2 trapped" in repr(result)
        assert swarm.dispatch(ids, "tick").agent_results == {0: 1, 1: 1, 2: 1, 3: 1}

    def test_fuel(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library, fuel=1000)
        swarm.spawn_agent("spin", args=[10])
        swarm.spawn_agent("spin", args=[0])
        result = swarm.dispatch()
        assert result.traps[1].code is Trap.OUT_OF_FUEL
        assert result.counts_array[1] >= 1000
        assert result.agent_results == {0: None}
        assert swarm.dispatch(fuel=5).traps.keys() == {0, 1}
        with pytest.raises(ArgumentError, match="fuel must be an integer from 1"):
            swarm.dispatch(fuel=0)

    def test_interrupt_from_another_thread(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library, fuel=1 << 62)
        a, b = swarm.spawn_agent("forever"), swarm.spawn_agent("tick")
        swarm.interrupt()  # nothing runs: no effect
        timer = threading.Timer(0.3, swarm.interrupt)
        timer.start()
        result = swarm.dispatch()
        assert result.interrupted
        assert result.agent_results == {b: 1}
        trap = result.traps[a]
        assert trap.code is Trap.INTERRUPTED
        assert swarm.dispatch([b]).agent_results == {b: 2}

    def test_interrupt_reaches_agents_that_have_not_begun(
        self, make_swarm: Make, library: bytes
    ) -> None:
        swarm = make_swarm(library, fuel=1 << 62)
        ids = swarm.spawn_agents(50, "forever")
        timer = threading.Timer(0.2, swarm.interrupt)
        timer.start()
        result = swarm.dispatch()
        assert {trap.code for trap in result.traps.values()} == {Trap.INTERRUPTED}
        assert list(result.traps) == ids.tolist()


def test_bulk_and_empty_dispatches(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    nothing = swarm.dispatch()
    assert nothing.agent_results == {} and nothing.traps == {} and nothing.to_dict()["agents"] == []
    assert nothing.results_array().tolist() == []
    assert swarm.spawn_agents(0).tolist() == []
    ids = swarm.spawn_agents(1000, "add", np.stack([np.arange(1000)] * 2, axis=1))
    assert ids.dtype == np.int64
    result = swarm.dispatch()
    assert result.ids.tolist() == ids.tolist()
    assert result.results_array().tolist() == list(range(0, 2000, 2))
    assert result.results_array().dtype == np.int32
    assert swarm.dispatch([]).agent_results == {}
    with pytest.raises(RuntimeError, match=r"max_agents=1024\). 25 more"):
        swarm.spawn_agents(25)
    with pytest.raises(ArgumentError, match="999 rows for 1000"):
        swarm.dispatch(ids, "double", np.arange(999))


def test_result_is_json(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    swarm.spawn_agent("mix", args=[1, 2, math.nan, -math.inf])
    swarm.spawn_agent("divide", args=[1, 0])
    report = json.loads(json.dumps(swarm.dispatch().to_dict(), allow_nan=False))
    first, second = report["agents"]
    assert first == {
        "id": 0, "status": "returned", "result": ["-inf", 2, "nan", 1], "instructions": 5,
        "stdout": "", "stderr": "", "truncated": False,
    }  # fmt: skip
    assert second["trap"]["code"] == "integer_divide_by_zero"
    assert "result" not in second


def test_result_can_be_pickled(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    swarm.spawn_agents(2, "divide", [[1, 0], [4, 2]])
    result = swarm.dispatch()
    copy = pickle.loads(pickle.dumps(result))
    assert copy.agent_results == result.agent_results == {1: 2}
    assert copy.traps == result.traps
    assert copy.to_dict() == result.to_dict()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_agents": 0}, "max_agents must be an integer from 1"),
        ({"fuel": 0}, "fuel"),
        ({"fuel": 1.5}, "fuel"),
        ({"seed": -1}, "seed"),
        ({"output_size": -1}, "output_size"),
        ({"missing_imports": "ignore"}, "missing_imports is 'error' or 'trap'"),
        ({"argv": "prog"}, "argv must be a list of strings"),
        ({"argv": ["a\0b"]}, "NUL"),
        ({"env": {"A=B": "C"}}, "not the name of an environment variable"),
        ({"opt_level": 4}, "opt_level"),
        ({"call_depth": 1 << 31}, "call_depth must be an integer from 1 to 2147483647"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        SwarmManager(cache=False, **options)


def test_unknown_target() -> None:
    with pytest.raises(TargetError, match="no target 'tpu'; the targets are"):
        SwarmManager("tpu", cache=False)


def test_threads_share_a_swarm(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(20):
            id_ = swarm.spawn_agent("add", args=[number, turn])
            other = swarm.spawn_agent("tick")
            swarm.set_agent_memory(other, bytes([number]))
            result = swarm.dispatch([id_, other])
            expected = {id_: number + turn, other: 1}
            if result.agent_results != expected:
                wrong.append((result.agent_results, expected))
            if swarm.get_agent_memory(other, 0, 1) != bytes([number]):
                wrong.append((number, turn))
            swarm.kill_agents([id_, other])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(swarm) == 0


def test_two_swarms_in_threads(make_swarm: Make, library: bytes, single: bytes) -> None:
    swarms = [make_swarm(library), make_swarm(single)]
    swarms[0].spawn_agents(100, "double", range(100))
    swarms[1].spawn_agents(100, args=range(100))
    sums: list[int] = []

    def work(swarm: SwarmManager) -> None:
        sums.extend(int(swarm.dispatch().results_array().sum()) for _ in range(20))

    threads = [threading.Thread(target=work, args=(swarm,)) for swarm in swarms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sums) == [4950] * 20 + [9900] * 20
