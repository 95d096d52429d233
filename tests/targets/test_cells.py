"""Loads, stores and bulk operations at every alignment, on interleaved memories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import wasmtime

from swarmc.runtime import SwarmManager

LAYOUTS = ["interleaved:4", "interleaved:8", "interleaved:16"]
PATTERN = bytes((7 * n + 1) % 251 for n in range(96))
LITERAL = "".join(f"\\{byte:02x}" for byte in PATTERN)
SIZE = 65536

WIDTHS = {
    "i32.load8_u": 1, "i32.load16_u": 2, "i32.load": 4, "i64.load32_u": 4, "i64.load": 8,
    "f32.load": 4, "f64.load": 8, "v128.load": 16,
}  # fmt: skip


def _accesses() -> Iterator[str]:
    for name, width in WIDTHS.items():
        type_ = name.partition(".")[0]
        store = name.removesuffix("_u").replace("load", "store")
        result, convert = {
            "f32": ("i32", "i32.reinterpret_f32"), "f64": ("i64", "i64.reinterpret_f64"),
        }.get(type_, (type_, ""))  # fmt: skip
        for entry, offset in ((name, 0), (f"{name} far", SIZE - 16 - width)):
            load = f"({name} offset={offset} (local.get 0)) {convert}"
            yield f'(func (export "{entry}") (param i32) (result {result}) {load})'
        yield (f'(func (export "{store}") (param i32 i32) ({store} (local.get 0)'
               f' ({name} (local.get 1))))')


TEXT = f"""(module
  (memory (export "m") 1)
  (global $v (export "v") (mut v128) (v128.const i64x2 5 6))
  (global (export "after") (mut i64) (i64.const 7))
  (table $t 40 funcref) (table $u 40 funcref)
  (elem $e func $null $null $null)
  (func $null)
  (data (i32.const 0) "{LITERAL}")
  (data (i32.const {SIZE - 96}) "{LITERAL}")
  (data $d "{LITERAL}")
  {" ".join(_accesses())}
  (func (export "fill") (param i32 i32 i32)
    (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32)
    (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "init") (param i32 i32 i32)
    (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
  (func (export "swap") (param i64) (result v128 i64)
    (global.set $v (i64x2.replace_lane 1 (global.get $v) (local.get 0)))
    (global.get $v) (i64x2.extract_lane 1 (global.get $v)))
  (func (export "table") (param i32) (result i32)
    (table.init $t $e (local.get 0) (i32.const 0) (i32.const 3))
    (table.copy $u $t (i32.const 1) (i32.const 0) (i32.const 39))
    (table.copy $t $t (i32.const 2) (i32.const 0) (i32.const 38))
    (table.fill $t (i32.const 0) (ref.null func) (i32.const 4))
    (i32.add (ref.is_null (table.get $u (i32.add (local.get 0) (i32.const 3))))
      (i32.shl (ref.is_null (table.get $t (i32.add (local.get 0) (i32.const 2))))
        (i32.const 1)))))"""


@pytest.fixture(scope="module", params=itertools.product(LAYOUTS, (0, 2)), ids=str)
def swarm(request: pytest.FixtureRequest) -> Iterator[SwarmManager]:
    layout, level = request.param
    wasm = bytes(wasmtime.wat2wasm(TEXT))
    made = SwarmManager.from_wasm(
        wasm, layout=layout, opt_level=level, cache=False, max_agents=2000
    )
    yield made
    made.close()


def _memories(
    swarm: SwarmManager, entry: str, rows: Sequence[Sequence[int]], start: int = 0
) -> list[bytearray]:
    """The first bytes from ``start`` on of fresh agents that call the function with these rows."""
    swarm.kill_agents()
    ids = swarm.spawn_agents(len(rows), entry, np.array(rows))
    result = swarm.dispatch()
    assert not result.traps
    return [bytearray(swarm.get_agent_memory(id_, start, 96)) for id_ in ids.tolist()]


@pytest.mark.parametrize("name", WIDTHS)
def test_loads(swarm: SwarmManager, name: str) -> None:
    addresses = np.arange(17)
    for entry, first in ((name, 0), (f"{name} far", 80 - WIDTHS[name])):
        swarm.kill_agents()
        ids = swarm.spawn_agents(len(addresses), entry, addresses[:, None])
        results = swarm.dispatch().agent_results
        for address, id_ in zip(addresses.tolist(), ids.tolist(), strict=True):
            found, at = results[id_], first + address
            if isinstance(found, int):
                found = (found & (1 << 64) - 1).to_bytes(8, "little")[: WIDTHS[name]]
            assert found == PATTERN[at : at + WIDTHS[name]], (entry, address)


@pytest.mark.parametrize("name", WIDTHS)
def test_stores(swarm: SwarmManager, name: str) -> None:
    width = WIDTHS[name]
    rows = [(to, source) for to in range(17) for source in (40, 41)]
    store = name.removesuffix("_u").replace("load", "store")
    for (to, source), found in zip(rows, _memories(swarm, store, rows), strict=True):
        expected = bytearray(PATTERN)
        expected[to : to + width] = PATTERN[source : source + width]
        assert found == expected, (to, source)


def test_fill(swarm: SwarmManager) -> None:
    rows = [(to, 0x1AB, n) for to in range(17) for n in (0, 1, 2, 7, 8, 9, 23, 40)]
    for (to, _, n), found in zip(rows, _memories(swarm, "fill", rows), strict=True):
        expected = bytearray(PATTERN)
        expected[to : to + n] = b"\xab" * n
        assert found == expected, (to, n)
    for start in (0, 5):
        rows = [(SIZE - 96 + start, 0xCD, 96 - start)]
        (found,) = _memories(swarm, "fill", rows, SIZE - 96)
        assert found == PATTERN[:start] + b"\xcd" * (96 - start)


def test_copy(swarm: SwarmManager) -> None:
    rows = [
        (to, source, n)
        for to, source in itertools.product((0, 1, 3, 4, 8, 9, 16, 21, 32), repeat=2)
        for n in (0, 1, 3, 8, 15, 16, 17, 48)
    ]
    for (to, source, n), found in zip(rows, _memories(swarm, "copy", rows), strict=True):
        expected = bytearray(PATTERN)
        expected[to : to + n] = PATTERN[source : source + n]
        assert found == expected, (to, source, n)


def test_init(swarm: SwarmManager) -> None:
    rows = [
        (to, source, n) for to in (0, 1, 4, 8, 13) for source in (0, 1, 4, 8, 11)
        for n in (0, 1, 8, 17, 64)
    ]
    for (to, source, n), found in zip(rows, _memories(swarm, "init", rows), strict=True):
        expected = bytearray(PATTERN)
        expected[to : to + n] = PATTERN[source : source + n]
        assert found == expected, (to, source, n)


def test_globals_of_two_words(swarm: SwarmManager) -> None:
    swarm.kill_agents()
    ids = swarm.spawn_agents(40, "swap", np.arange(100, 140)[:, None]).tolist()
    result = swarm.dispatch()
    for number, id_ in enumerate(ids, 100):
        whole = (5 | number << 64).to_bytes(16, "little")
        assert result.agent_results[id_] == (whole, number)
        assert swarm.get_agent_global(id_, "v") == whole
        assert swarm.get_agent_global(id_, "after") == 7


def test_tables(swarm: SwarmManager) -> None:
    swarm.kill_agents()
    ids = swarm.spawn_agents(37, "table", np.arange(37)[:, None]).tolist()
    result = swarm.dispatch()
    # $u at n+3 holds what $t at n+2 held; $t at n+2 what it held at n, unless it was filled.
    expected = {id_: 2 * (n < 2) for n, id_ in enumerate(ids) if n < 36}
    assert {id_: result.agent_results[id_] for id_ in expected} == expected


def test_one_agent_of_a_group_is_reset(swarm: SwarmManager) -> None:
    swarm.kill_agents()
    ids = swarm.spawn_agents(70, "fill", [0, 0xEE, 90]).tolist()
    swarm.dispatch()
    again = [ids[3], *ids[32:64], ids[69]]
    swarm.reset_agents(again)
    for id_ in ids:
        expected = PATTERN if id_ in again else b"\xee" * 90 + PATTERN[90:]
        assert swarm.get_agent_memory(id_, 0, 96) == expected


def test_a_snapshot_goes_from_one_layout_to_another(swarm: SwarmManager) -> None:
    swarm.kill_agents()
    ids = swarm.spawn_agents(3, "fill", [3, 0x77, 50]).tolist()
    swarm.dispatch()
    swarm.dispatch([ids[2]], "swap", [9])
    taken = swarm.snapshot(ids[2])
    wasm = bytes(wasmtime.wat2wasm(TEXT))
    with SwarmManager.from_wasm(wasm, layout="flat", opt_level=0, cache=False) as flat:
        flat.spawn_agents(5, "copy", [0, 3, 4])
        flat.restore(4, taken)
        assert flat.get_agent_memory(4) == swarm.get_agent_memory(ids[2])
        assert flat.get_agent_global(4, "v") == swarm.get_agent_global(ids[2], "v")
        assert not flat.dispatch([4]).traps
        assert flat.get_agent_memory(4, 0, 5) == b"\x77" * 5
        swarm.restore(ids[0], flat.snapshot(4))
        assert swarm.get_agent_memory(ids[0], 0, 4) == b"\x77" * 4
