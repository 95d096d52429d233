"""Compiled WASI programs on swarmc and on wasmtime: output, exit code, and instruction count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import wasmtime

from swarmc.runtime import SwarmManager
from swarmc.runtime.results import SwarmResult

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
FUEL = 10**10


@dataclass(frozen=True)
class Case:
    program: str
    argv: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    stdin: bytes = b""

    def __str__(self) -> str:
        return " ".join((self.program, *self.argv))


@dataclass(frozen=True)
class Ending:
    stdout: bytes
    stderr: bytes
    exit_code: int | None  # None: a trap
    fuel: int


CASES = [
    Case("hello"),
    Case("hello", ["Ada", "Grace Hopper", "", "äöü"]),
    Case("wasi", ["args", "a", "", "b c"]),
    Case("wasi", ["env"], {"A": "1", "EMPTY": "", "LONG": "x" * 3000}),
    Case("wasi", ["cat"], stdin=b""),
    Case("wasi", ["cat"], stdin=bytes(range(256)) * 3),
    Case("wasi", ["exit", "0"]),
    Case("wasi", ["exit", "7"]),
    Case("wasi", ["exit", "125"]),
    Case("wasi", ["stderr"]),
    Case("wasi", ["abort"]),
    Case("wasi", ["flood", "300"]),
    Case("wasi", ["open"]),
    Case("wasi", ["unheard of"]),
    Case("tokeniser", stdin=b"one two 3\nfour 5.5 (two)\n" * 20),
]


@pytest.fixture(scope="session")
def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    return wasmtime.Engine(config)


def on_wasmtime(engine: wasmtime.Engine, wasm: bytes, case: Case, folder: Path) -> Ending:
    store = wasmtime.Store(engine)
    config = wasmtime.WasiConfig()
    out, err, stdin = folder / "out", folder / "err", folder / "in"
    stdin.write_bytes(case.stdin)
    config.stdin_file = str(stdin)
    config.stdout_file, config.stderr_file = str(out), str(err)
    config.argv = [f"{case.program}.wasm", *case.argv]
    config.env = list((case.env or {}).items())
    store.set_wasi(config)
    store.set_fuel(FUEL)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    exports = linker.instantiate(store, wasmtime.Module(engine, wasm)).exports(store)
    start = exports["_start"]
    assert isinstance(start, wasmtime.Func)
    left = store.get_fuel()
    code: int | None = 0
    try:
        start(store)
    except wasmtime.ExitTrap as end:
        code = end.code
    except wasmtime.Trap:
        code = None
    return Ending(out.read_bytes(), err.read_bytes(), code, left - store.get_fuel())


@pytest.fixture(scope="module")
def swarms() -> dict[str, SwarmManager]:
    return {
        name: SwarmManager.from_wasm(
            (CORPUS / f"{name}.wasm").read_bytes(), output_size=1 << 16, fuel=FUEL
        )
        for name in sorted({case.program for case in CASES})
    }


def dispatch(swarm: SwarmManager, case: Case, *, count: int = 2, seed: int = 0,
             clock: int = 0) -> SwarmResult:
    ids = swarm.spawn_agents(
        count, argv=[f"{case.program}.wasm", *case.argv], env=case.env or {}, stdin=case.stdin
    )
    result = swarm.dispatch(ids.tolist(), seed=seed, clock=clock)
    swarm.kill_agents(ids.tolist())
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_as_wasmtime(
    case: Case, engine: wasmtime.Engine, swarms: dict[str, SwarmManager], tmp_path: Path
) -> None:
    swarm = swarms[case.program]
    wasm = (CORPUS / f"{case.program}.wasm").read_bytes()
    expected = on_wasmtime(engine, wasm, case, tmp_path)
    result = dispatch(swarm, case)
    for id_ in result.ids.tolist():
        assert result.agent_outputs[id_] == expected.stdout
        assert result.agent_errors[id_] == expected.stderr
        assert result.exit_codes.get(id_) == expected.exit_code
        assert (id_ in result.traps) == (expected.exit_code is None)
        if expected.exit_code is not None:  # wasmtime's count is stale after a trap
            assert result.instruction_counts[id_] == expected.fuel


@pytest.fixture(scope="module")
def by_gpu_code() -> SwarmManager:
    """The program ``wasi``, functions of WASI included, as a GPU would run it."""
    wasm = (CORPUS / "wasi.wasm").read_bytes()
    return SwarmManager.from_wasm(wasm, target="ptx", output_size=1 << 16, fuel=FUEL)


@pytest.mark.parametrize("case", [case for case in CASES if case.program == "wasi"], ids=str)
def test_the_same_by_the_code_of_a_gpu(
    case: Case, swarms: dict[str, SwarmManager], by_gpu_code: SwarmManager
) -> None:
    expected, result = (
        dispatch(swarm, case, seed=3, clock=5) for swarm in (swarms["wasi"], by_gpu_code)
    )
    for name in ("agent_outputs", "agent_errors", "exit_codes", "traps", "instruction_counts"):
        found, wanted = (list(getattr(one, name).values()) for one in (result, expected))
        assert found == wanted


def test_random_depends_on_seed_and_agent(swarms: dict[str, SwarmManager]) -> None:
    case = Case("wasi", ["random", "16"])
    swarm = swarms["wasi"]
    ids = swarm.spawn_agents(3, argv=["wasi.wasm", *case.argv]).tolist()
    first, again = swarm.dispatch(ids, seed=5), swarm.dispatch(ids, seed=5)
    other = swarm.dispatch(ids, seed=6)
    assert first.agent_outputs == again.agent_outputs
    assert len({*first.agent_outputs.values(), *other.agent_outputs.values()}) == 6
    swarm.kill_agents(ids)


def test_clocks_say_what_the_dispatch_says(swarms: dict[str, SwarmManager]) -> None:
    case = Case("wasi", ["clock"])
    result = dispatch(swarms["wasi"], case, clock=1_234_567_890_123_456_789)
    expected = b"realtime 1234567890.123456789, monotonic never runs back\n"
    assert set(result.agent_outputs.values()) == {expected}


def test_streams_are_cut_where_the_buffer_ends() -> None:
    wasm = (CORPUS / "wasi.wasm").read_bytes()
    with SwarmManager.from_wasm(wasm, output_size=100) as swarm:
        swarm.spawn_agents(3, argv=["wasi.wasm", "flood", "50"])
        result = swarm.dispatch()
        whole = b"".join(b"line %d\n" % n for n in range(50))
        assert set(result.agent_outputs.values()) == {whole[:100]}
        assert all(result.truncated.values())


def test_each_agent_has_its_own_inputs() -> None:
    wasm = (CORPUS / "wasi.wasm").read_bytes()
    with SwarmManager.from_wasm(wasm, max_agents=50) as swarm:
        inputs = [b"input %d\n" % n * (n % 7) for n in range(50)]
        swarm.spawn_agents(50, argv=["wasi.wasm", "cat"], stdin=inputs)
        assert list(swarm.dispatch().agent_outputs.values()) == inputs
        assert list(swarm.dispatch().agent_outputs.values()) == inputs


def test_what_a_start_function_closes_stays_closed() -> None:
    wat = """(module
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (memory (export "memory") 1)
      (func $start (drop (call $close (i32.const 1))))
      (start $start)
      (func (export "close") (param i32) (result i32) (call $close (local.get 0))))"""
    with SwarmManager.from_wasm(bytes(wasmtime.wat2wasm(wat))) as swarm:
        swarm.spawn_agents(2, "close", [1])
        assert set(swarm.dispatch().agent_results.values()) == {8}
        ids = swarm.agent_ids
        assert set(swarm.dispatch(ids, "close", [2]).agent_results.values()) == {0}
        assert set(swarm.dispatch(ids, "close", [2]).agent_results.values()) == {8}
        swarm.reset_agents()
        assert set(swarm.dispatch(ids, "close", [2]).agent_results.values()) == {0}
