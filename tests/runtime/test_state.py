"""Agents' memory, globals, snapshots and slots."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarmc.errors import ArgumentError, DecodeError, LinkError, UnknownAgentError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager

Make = Callable[..., SwarmManager]


@pytest.fixture(params=["flat", "interleaved:4", "interleaved:8", "interleaved:16"])
def layout(request: pytest.FixtureRequest) -> str:
    """Every test runs with agents laid out in each way."""
    chosen: str = request.param
    return chosen


class TestState:
    """Memory, globals, snapshots, resets."""

    def test_memory_is_isolated_and_stays(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        a, b = swarm.spawn_agent(), swarm.spawn_agent()
        assert swarm.get_agent_memory(a, 4, 4) == b"data"
        swarm.set_agent_memory(a, b"for A")
        swarm.set_agent_memory(b, bytearray(b"for B"), 100)
        assert swarm.get_agent_memory(a, length=8) == b"for Aata"
        assert swarm.get_agent_memory(b, 98, 9) == b"\0\0for B\0\0"
        swarm.dispatch([a], "poke", [1, 200])
        assert swarm.get_agent_memory(a, 0, 3) == b"f\xc8r"
        assert swarm.dispatch(entry_point="peek", args=[1]).agent_results == {a: 200, b: 0}
        assert len(swarm.get_agent_memory(a)) == 65536
        assert swarm.get_agent_memory(a, 65536) == b""
        assert swarm.get_agent_memory(a, 4, 4, memory="memory") == b"Aata"

    def test_ranges_are_checked(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        id_ = swarm.spawn_agent()
        for offset, length in ((65536, 1), (-1, 4), (0, 65537), (0, -1), (2**40, None)):
            with pytest.raises(ArgumentError, match="not in the agent's memory of 65536 bytes"):
                swarm.get_agent_memory(id_, offset, length)
        with pytest.raises(ArgumentError, match="not in the agent's memory"):
            swarm.set_agent_memory(id_, b"xx", 65535)
        with pytest.raises(ArgumentError, match="data must be bytes"):
            swarm.set_agent_memory(id_, "text")  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="exports no memory 'm'"):
            swarm.get_agent_memory(id_, memory="m")
        with pytest.raises(ArgumentError, match="there is no 1"):
            swarm.get_agent_memory(id_, memory=1)

    def test_memory_grows(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        id_ = swarm.spawn_agent("grow")
        assert swarm.memory_size(id_) == 65536
        assert swarm.dispatch().agent_results == {id_: 1}
        assert swarm.memory_size(id_) == 131072
        swarm.set_agent_memory(id_, b"end", 131069)
        assert swarm.get_agent_memory(id_)[-3:] == b"end"
        assert swarm.dispatch().agent_results == {id_: -1}
        swarm.reset_agent(id_)
        assert swarm.memory_size(id_) == 65536

    def test_memory_init(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        a = swarm.spawn_agent("peek", args=[5], memory_init=b"\1\2\3\4\5\6")
        b = swarm.spawn_agent("peek", args=[5])
        c = swarm.spawn_agent("peek", args=[0], memory_init=b"\xff")
        assert swarm.dispatch().agent_results == {a: 6, b: ord("a"), c: 255}
        assert swarm.get_agent_memory(a, 0, 8) == b"\1\2\3\4\5\6ta", "over the data segments"
        swarm.set_agent_memory(a, bytes(8))
        swarm.reset_agent(a)
        assert swarm.get_agent_memory(a, 0, 8) == b"\1\2\3\4\5\6ta"
        with pytest.raises(ArgumentError, match="65537 bytes, an agent's memory starts with 65536"):
            swarm.spawn_agent("peek", memory_init=bytes(65537))
        swarm.spawn_agents(2, "peek", [0], memory_init=[bytes(65536), b"x"])

    def test_memory_init_comes_before_the_start_function(self, make_swarm: Make) -> None:
        swarm = make_swarm("""(module (memory 1) (data (i32.const 0) "\\07")
            (global $seen (mut i32) (i32.const 0))
            (func $start (global.set $seen (i32.load8_u (i32.const 0))))
            (start $start)
            (func (export "seen") (result i32) (global.get $seen)))""")
        ids = swarm.spawn_agents(3, memory_init=[b"\1", b"", b"\3"])
        assert swarm.dispatch().agent_results == dict(zip(ids.tolist(), [1, 7, 3], strict=True))

    def test_scratch_of_a_module_without_memory(self, make_swarm: Make, single: bytes) -> None:
        swarm = make_swarm(single, memory_per_agent=64)
        a = swarm.spawn_agent(memory_init=b"init", args=[1])
        b = swarm.spawn_agent(args=[2])
        assert swarm.get_agent_memory(a) == b"init" + bytes(60)
        swarm.set_agent_memory(a, b"XY", 1)
        assert swarm.get_agent_memory(a, 0, 6) == b"iXYt\0\0"
        assert swarm.get_agent_memory(b) == bytes(64)
        saved = swarm.snapshot(a)
        assert swarm.dispatch().agent_results == {a: 1, b: 2}
        assert swarm.get_agent_memory(a, 0, 4) == b"iXYt"
        swarm.reset_agent(a)
        assert swarm.get_agent_memory(a, 0, 4) == b"init"
        swarm.restore(b, saved)
        assert swarm.get_agent_memory(b, 0, 4) == b"iXYt"
        swarm.kill_agents()
        c, d = swarm.spawn_agents(2)
        assert swarm.get_agent_memory(c) == swarm.get_agent_memory(d) == bytes(64)
        with pytest.raises(ArgumentError, match="memory of 64 bytes"):
            swarm.set_agent_memory(c, b"x", 64)
        with pytest.raises(ArgumentError, match="starts with 64"):
            swarm.spawn_agent(memory_init=bytes(65))

    def test_globals(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        a, b = swarm.spawn_agents(2, "tick").tolist()
        assert swarm.get_agent_global(a, "count") == 0
        swarm.set_agent_global(a, "count", 41)
        assert swarm.dispatch().agent_results == {a: 42, b: 1}
        assert swarm.get_agent_global(a, "count") == 42
        assert swarm.get_agent_global(a, "big") == -1
        assert swarm.get_agent_global(a, "half") == 0.5
        swarm.set_agent_global(b, "big", 2**63)
        assert swarm.get_agent_global(b, "big") == -(2**63)
        with pytest.raises(ArgumentError, match="global 'answer' is immutable"):
            swarm.set_agent_global(a, "answer", 1)
        with pytest.raises(ArgumentError, match="global 'count' is an i32"):
            swarm.set_agent_global(a, "count", 0.5)
        with pytest.raises(ArgumentError, match="no global 'x'; it has: answer, big, count, half"):
            swarm.get_agent_global(a, "x")

    def test_snapshot_and_restore(self, make_swarm: Make, library: bytes, single: bytes) -> None:
        swarm = make_swarm(library)
        a, b = swarm.spawn_agents(2, "tick").tolist()
        fresh = swarm.snapshot(a)
        swarm.dispatch()
        swarm.set_agent_memory(a, b"saved", 60000)
        saved = swarm.snapshot(a)
        swarm.dispatch()
        swarm.dispatch([a], "grow")
        swarm.set_agent_memory(a, b"other", 60000)
        swarm.restore(a, saved)
        assert swarm.memory_size(a) == 65536
        assert swarm.get_agent_memory(a, 60000, 5) == b"saved"
        assert swarm.dispatch().agent_results == {a: 2, b: 3}
        swarm.restore(b, saved)
        assert swarm.get_agent_memory(b, 60000, 5) == b"saved"
        assert swarm.dispatch().agent_results == {a: 3, b: 2}
        assert swarm.get_agent_memory(a, 60000, 5) == b"saved"
        swarm.restore(a, fresh)
        assert swarm.get_agent_memory(a, 60000, 5) == bytes(5)
        assert swarm.dispatch([a]).agent_results == {a: 1}
        other = make_swarm(single)
        with pytest.raises(ArgumentError, match="another program"):
            other.restore(other.spawn_agent(), saved)

    def test_snapshot_of_an_untouched_agent_replaces_memory_init(
        self, make_swarm: Make, library: bytes, single: bytes
    ) -> None:
        for wasm in (library, single):
            swarm = make_swarm(wasm)
            a, b = swarm.spawn_agent(), swarm.spawn_agent(memory_init=b"hello")
            swarm.restore(b, swarm.snapshot(a))
            assert swarm.get_agent_memory(b, 0, 8) == swarm.get_agent_memory(a, 0, 8)
            swarm.reset_agent(b)
            assert swarm.get_agent_memory(b, 0, 5) == b"hello"
        other = make_swarm(single, memory_per_agent=64)
        with pytest.raises(ArgumentError, match="another program"):
            other.restore(other.spawn_agent(), swarm.snapshot(a))

    def test_reset_agents(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library)
        swarm.spawn_agents(3, "tick")
        swarm.dispatch()
        swarm.reset_agents([1])
        assert swarm.dispatch().agent_results == {0: 2, 1: 1, 2: 2}
        swarm.reset_agents()
        assert swarm.dispatch().agent_results == {0: 1, 1: 1, 2: 1}


class TestLifecycle:
    """Ids, slots, reuse."""

    def test_spawn_dispatch_kill(self, make_swarm: Make, library: bytes) -> None:
        swarm = make_swarm(library, max_agents=100)
        seen: set[int] = set()
        for batch in range(10):
            ids = [swarm.spawn_agent("add", args=[batch, i]) for i in range(100)]
            assert not seen & set(ids)
            seen |= set(ids)
            result = swarm.dispatch(agent_ids=ids)
            assert result.agent_results == {id_: batch + i for i, id_ in enumerate(ids)}
            for id_ in ids:
                swarm.kill_agent(id_)
            assert len(swarm) == 0
        with pytest.raises(UnknownAgentError, match="no agent 0"):
            swarm.kill_agent(0)
        with pytest.raises(KeyError):
            swarm.dispatch([5])

    @pytest.mark.parametrize("bulk", [False, True])
    def test_new_agents_see_nothing_of_old_ones(
        self, make_swarm: Make, library: bytes, bulk: bool
    ) -> None:
        swarm = make_swarm(library, max_agents=70)
        secret = b"secret" * 10000
        for _ in range(3):
            ids = swarm.spawn_agents(70, "grow")
            swarm.dispatch(ids)
            for id_ in ids.tolist():
                initial = b"\0\0\0\0data" + bytes(2 * 65536 - 8)
                assert swarm.get_agent_memory(id_) == initial
                assert swarm.get_agent_global(id_, "count") == 0
                swarm.set_agent_memory(id_, secret, 65536)
                swarm.set_agent_memory(id_, secret)
                swarm.set_agent_global(id_, "count", 7)
            if bulk:
                swarm.kill_agents(ids)
            else:
                for id_ in ids.tolist():
                    swarm.kill_agent(id_)

    def test_close_and_reload(self, make_swarm: Make, library: bytes, single: bytes) -> None:
        swarm = make_swarm(library)
        old = swarm.spawn_agent()
        swarm.load_bytecode(single)
        assert len(swarm) == 0
        with pytest.raises(KeyError):
            swarm.get_agent_memory(old)
        assert swarm.spawn_agent(args=[1]) == old + 1
        with swarm:
            assert swarm.dispatch().agent_results == {old + 1: 1}
        with pytest.raises(RuntimeError, match="Must call load_bytecode"):
            swarm.spawn_agent()

    def test_a_module_that_is_refused_leaves_the_swarm(
        self, make_swarm: Make, single: bytes
    ) -> None:
        swarm = make_swarm(single)
        id_ = swarm.spawn_agent(args=[1])
        with pytest.raises(ArgumentError, match="bytecode must be bytes"):
            swarm.load_bytecode("x.wasm")  # type: ignore[arg-type]
        with pytest.raises(DecodeError):
            swarm.load_bytecode(b"\0asm")
        assert swarm.dispatch().agent_results == {id_: 1}

    def test_missing_imports(self, make_swarm: Make) -> None:
        wat = """(module (import "env" "f" (func $f)) (import "env" "g" (func))
            (func (export "good") (result i32) (i32.const 1))
            (func (export "bad") (call $f)))"""
        with pytest.raises(LinkError, match=r"(?s)env\.f.*env\.g"):
            make_swarm(wat)
        swarm = make_swarm(wat, missing_imports="trap")
        a, b = swarm.spawn_agent("good"), swarm.spawn_agent("bad")
        result = swarm.dispatch()
        assert result.agent_results == {a: 1}
        assert result.traps[b].code is Trap.MISSING_IMPORT
