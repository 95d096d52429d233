"""WASI commands: inputs of each agent, outputs, exit codes, and starting afresh."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmc.errors import ArgumentError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager

Make = Callable[..., SwarmManager]

CORPUS = Path(__file__).parents[2] / "corpus"


@pytest.fixture
def wasi(make_swarm: Make) -> SwarmManager:
    """The corpus's program that makes one WASI call a subcommand."""
    return make_swarm((CORPUS / "wasi.wasm").read_bytes(), seed=7)


def test_argv(wasi: SwarmManager) -> None:
    argvs = [["wasi", "args", "a"], ["wasi", "args", "b", "ä"], ["wasi", "args"]]
    for argv in argvs:
        wasi.spawn_agent(argv=argv)
    ids = wasi.spawn_agents(3, argv=argvs)
    shared = wasi.spawn_agents(2, argv=argvs[0])
    result = wasi.dispatch()
    outputs = result.agent_outputs
    assert list(outputs) == list(range(8))
    assert [outputs[id_] for id_ in range(3)] == [outputs[id_] for id_ in ids.tolist()]
    assert outputs[0] == outputs[int(shared[0])] == outputs[int(shared[1])]
    assert outputs[1].decode() == "1 args\n2 b\n3 ä\n3 arguments\n"
    assert set(result.exit_codes.values()) == {0}
    assert set(result.agent_results.values()) == {None}
    over = wasi.dispatch([0, 1], argv=["x", "args", "y"])
    assert set(over.agent_outputs.values()) == {b"1 args\n2 y\n2 arguments\n"}
    assert wasi.dispatch([0]).agent_outputs[0] == outputs[0]


def test_stdin_and_environment(wasi: SwarmManager) -> None:
    cat = ["wasi", "cat"]
    a = wasi.spawn_agent(argv=cat, stdin=b"for a")
    b = wasi.spawn_agent(argv=cat, stdin=bytes(range(256)) * 10)
    c = wasi.spawn_agent(argv=cat)
    result = wasi.dispatch()
    assert result.agent_outputs == {a: b"for a", b: bytes(range(256)) * 10, c: b""}
    ids = wasi.spawn_agents(3, argv=["wasi", "env"], env=[{"N": str(n)} for n in range(3)])
    outputs = wasi.dispatch(ids).agent_outputs
    assert [outputs[id_] for id_ in ids.tolist()] == [b"N=0\n", b"N=1\n", b"N=2\n"]
    over = wasi.dispatch(ids[:2], env={"A": "B"}).agent_outputs
    assert set(over.values()) == {b"A=B\n"}
    over = wasi.dispatch([a, c], stdin=[b"1", b"2"]).agent_outputs
    assert over == {a: b"1", c: b"2"}
    with pytest.raises(ArgumentError, match="stdin: 2 given for 3 agents"):
        wasi.dispatch([a, b, c], stdin=[b"1", b"2"])
    with pytest.raises(ArgumentError, match="_start takes no arguments, got 1; argv= gives"):
        wasi.spawn_agent(args=["x"])


def test_defaults_of_the_swarm(make_swarm: Make) -> None:
    code = (CORPUS / "wasi.wasm").read_bytes()
    swarm = make_swarm(code, argv=["wasi", "cat"], stdin=b"swarm's", env={"X": "1"})
    swarm.spawn_agent()
    swarm.spawn_agent(stdin=b"own")
    swarm.spawn_agent(argv=["wasi", "env"])
    swarm.spawn_agent(stdin=b"")
    assert swarm.dispatch().agent_outputs == {0: b"swarm's", 1: b"own", 2: b"X=1\n", 3: b""}


def test_exit_codes_and_errors(wasi: SwarmManager) -> None:
    a = wasi.spawn_agent(argv=["wasi", "exit", "3"])
    b = wasi.spawn_agent(argv=["wasi", "abort"])
    c = wasi.spawn_agent(argv=["wasi", "stderr"])
    result = wasi.dispatch()
    assert result.exit_codes == {a: 3, c: 0}
    assert result.agent_results == {a: None, c: None}
    assert result.traps[b].code is Trap.UNREACHABLE
    assert result.agent_errors[c] == b"to stderr\n"
    assert result.exited_array[0] and result.trapped_array[1]
    report = json.loads(json.dumps(result.to_dict()))["agents"]
    assert [agent["status"] for agent in report][:2] == ["exited", "trapped"]
    assert report[0]["exit_code"] == 3
    assert report[2]["stderr"] == "to stderr\n"


def test_output_is_cut_where_the_buffer_ends(make_swarm: Make) -> None:
    swarm = make_swarm(
        (CORPUS / "wasi.wasm").read_bytes(), output_size=10, argv=["wasi", "cat"]
    )
    for size in (9, 10, 11, 0):
        swarm.spawn_agent(stdin=bytes(range(65, 65 + size)))
    result = swarm.dispatch()
    assert result.truncated == {0: False, 1: False, 2: True, 3: False}
    assert result.agent_outputs[2] == b"ABCDEFGHIJ"
    assert [len(text) for text in result.agent_outputs.values()] == [9, 10, 10, 0]


def test_bytes_that_are_no_text(wasi: SwarmManager) -> None:
    wasi.spawn_agent(argv=["wasi", "cat"], stdin=b"\xff\x00")
    assert wasi.dispatch().to_dict()["agents"][0]["stdout"] == {"base64": "/wA="}


def test_random_numbers_depend_on_seed_and_agent(wasi: SwarmManager) -> None:
    wasi.spawn_agents(2, argv=["wasi", "random"])
    first, again, other = wasi.dispatch(), wasi.dispatch(), wasi.dispatch(seed=8)
    assert first.agent_outputs == again.agent_outputs
    assert first.agent_outputs[0] != first.agent_outputs[1]
    assert first.agent_outputs[0] != other.agent_outputs[0]


def test_clock_is_an_input(wasi: SwarmManager) -> None:
    wasi.spawn_agent(argv=["wasi", "clock"])
    early, again = wasi.dispatch(clock=10**18), wasi.dispatch(clock=10**18)
    late = wasi.dispatch(clock=15 * 10**17)
    assert early.agent_outputs == again.agent_outputs != late.agent_outputs


def test_commands_start_afresh(make_swarm: Make) -> None:
    swarm = make_swarm("""(module (memory (export "memory") 1)
        (global $runs (export "runs") (mut i32) (i32.const 0))
        (func (export "_start")
          (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
          (i32.store8 (i32.const 1) (i32.add (i32.load8_u (i32.const 1)) (i32.const 1))))
        (func (export "runs_so_far") (result i32) (global.get $runs)))""")
    a, b = swarm.spawn_agent(memory_init=b"\0\7"), swarm.spawn_agent()
    swarm.set_agent_memory(b, b"\5", 1)
    swarm.dispatch()
    assert swarm.get_agent_memory(a, 1, 1) == b"\x08"
    assert swarm.get_agent_memory(b, 1, 1) == b"\x06", "what was set before the first run stays"
    swarm.dispatch()
    assert swarm.get_agent_memory(a, 1, 1) == b"\x08", "memory_init is there again"
    assert swarm.get_agent_memory(b, 1, 1) == b"\x01"
    assert swarm.dispatch(entry_point="runs_so_far").agent_results == {a: 1, b: 1}
    assert swarm.get_agent_global(a, "runs") == 1, "other functions find what _start left"
