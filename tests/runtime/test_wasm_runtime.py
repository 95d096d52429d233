"""One instance of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.errors import ArgumentError, TrapError
from swarmc.ir.types import Trap
from swarmc.runtime import WASMRuntime

CORPUS = Path(__file__).parents[2] / "corpus"


def test_swarm_mode(single: bytes, shared_cache: Path) -> None:
    with WASMRuntime.from_wasm(single, swarm_mode=True, cache=shared_cache) as runtime:
        swarm = runtime.swarm
        assert swarm.max_agents == 1024
        id_ = swarm.spawn_agent(args=[3])
        assert swarm.dispatch().agent_results == {id_: 3}
        with pytest.raises(RuntimeError, match="holds a swarm"):
            runtime.call("only", 1)


def test_one_instance(library: bytes, shared_cache: Path) -> None:
    with WASMRuntime.from_wasm(library, cache=shared_cache) as runtime:
        assert runtime.call("add", 2, -5) == -3
        assert runtime.instructions == 4
        assert runtime.call("nothing") is None
        assert runtime.call("mix", 1, 2, 0.5, 0.25) == (0.25, 2, 0.5, 1)
        assert [runtime.call("tick") for _ in range(3)] == [1, 2, 3]
        assert runtime.get_global("count") == 3
        runtime.set_global("count", 10)
        assert runtime.call("tick") == 11
        runtime.write_memory(b"\x07", 9)
        assert runtime.call("peek", 9) == 7
        assert runtime.read_memory(4, 6) == b"data\0\x07"
        assert runtime.memory_size == 65536
        runtime.reset()
        assert runtime.call("tick") == 1
        assert "add" in runtime.functions
        with pytest.raises(RuntimeError, match="swarm_mode=True"):
            _ = runtime.swarm
        with pytest.raises(ArgumentError, match="no function 'sub'"):
            runtime.call("sub", 1)
        with pytest.raises(ArgumentError, match="add takes 2 arguments"):
            runtime.call("add", 1)
        with pytest.raises(ArgumentError, match="add takes 2 arguments"):
            runtime.call("add")


def test_traps_raise(library: bytes, shared_cache: Path) -> None:
    with WASMRuntime.from_wasm(library, cache=shared_cache) as runtime:
        with pytest.raises(TrapError, match=r"integer divide by zero \(in function divide") as trap:
            runtime.call("divide", 1, 0)
        assert trap.value.code == Trap.INTEGER_DIVIDE_BY_ZERO
        assert trap.value.offset is not None
        with pytest.raises(RuntimeError, match="out of fuel"):
            runtime.call("forever", fuel=1000)
        assert runtime.call("add", 1, 1) == 2


def test_command(shared_cache: Path) -> None:
    code = (CORPUS / "wasi.wasm").read_bytes()
    with WASMRuntime.from_wasm(code, cache=shared_cache) as runtime:
        assert runtime.output == b"" and runtime.exit_code is None
        assert runtime.call(argv=["wasi", "args", "x"]) is None
        assert runtime.output == b"1 args\n2 x\n2 arguments\n"
        assert runtime.exit_code == 0
        runtime.call("_start", argv=["wasi", "exit", "5"])
        assert runtime.exit_code == 5
        runtime.call(argv=["wasi", "cat"], stdin=b"text")
        assert (runtime.output, runtime.errors) == (b"text", b"")
