"""Malformed modules: accepted or refused as wasmtime does, in little time and space.

Whatever the bytes are, the error is one of swarmc's.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import DecodeError, UnsupportedFeatureError, ValidationError
from swarmc.runtime.tools import malformed
from swarmc.runtime.tools.damage import (
    miscounted,
    respelt,
    take_apart,
    truncations,
)
from swarmc.runtime.tools.extremes import ABSURD, LONG, MANY, extremes
from swarmc.runtime.tools.malformed import Judge, base_modules, mutations

_TEXTS = (
    """(module (import "env" "f" (func (param i32) (result i64))) (memory 1 2) (table 4 funcref)
        (global (mut i32) (i32.const 5)) (global f64 (f64.const 0.5))
        (func (export "a") (param i32 i64) (result i32) (local f32 f32)
            (block (result i32) (loop (br_if 0 (local.get 0)))
                (if (result i32) (i64.eqz (local.get 1)) (then (i32.load offset=4 (local.get 0)))
                    (else (call_indirect (param i32) (result i32) (i32.const 3) (i32.const 1))))))
        (func (param f64) (result f64) (br_table 0 0 (local.get 0) (i32.const 1)))
        (func (drop (call 0 (global.get 0))) (global.set 0 (memory.grow (i32.const 1))))
        (elem (i32.const 0) 0 1 2) (data (i32.const 8) "some bytes") (start 3))""",
    """(module (memory 1) (table 2 externref) (table 1 funcref) (data "passive")
        (elem declare func 0) (elem externref (ref.null extern)) (elem func 0 1)
        (type $pair (func (param i32 i32) (result i32 i32)))
        (func (export "m") (memory.init 0 (i32.const 0) (i32.const 1) (i32.const 2)) (data.drop 0)
            (memory.copy (i32.const 1) (i32.const 2) (i32.const 3))
            (memory.fill (i32.const 1) (i32.const 2) (i32.const 3)))
        (func (param externref) (result externref i32)
            (table.set 0 (i32.const 0) (local.get 0))
            (select (result externref) (table.get 0 (i32.const 1)) (local.get 0) (i32.const 1))
            (table.grow 1 (ref.func 0) (i32.const 1)))
        (func (result i32 i32) i32.const 1 i32.const 2 block (type $pair) end
            loop (type $pair) i32.const 0 br_if 0 end)
        (func (drop (i64.extend8_s (i64.trunc_sat_f32_u (f32.const 1.5))))
            (table.init 1 2 (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop 2)))""",
    """(module (memory 1) (global (mut v128) (v128.const i64x2 1 2))
        (func (param v128 i32 f64) (result v128 i64) (local v128)
            (v128.store offset=4 align=8 (local.get 1) (v128.load32_splat (local.get 1)))
            (local.set 3 (v128.load16_lane align=1 3 (local.get 1) (local.get 0)))
            (v128.store64_lane 1 (local.get 1) (f64x2.splat (local.get 2)))
            (local.set 0 (i8x16.shuffle 0 1 2 3 4 5 6 7 24 25 26 27 28 29 30 31
                (i8x16.replace_lane 15 (local.get 3) (local.get 1)) (global.get 0)))
            (global.set 0 (select (local.get 0) (v128.load8x8_s (local.get 1)) (i32.const 1)))
            (v128.bitselect (i32x4.add (local.get 0) (local.get 3)) (f32x4.sqrt (local.get 0))
                (i16x8.shr_u (local.get 0) (i16x8.extract_lane_u 7 (local.get 0))))
            (i64x2.extract_lane 1 (i64x2.extmul_high_i32x4_u (local.get 0) (local.get 3)))))""",
    """(module (memory i64 1 2) (memory $n 1) (table i64 3 9 funcref) (table 2 funcref)
        (global i64 (i64.add (i64.const 1) (i64.mul (i64.const 2) (i64.const 3))))
        (data (memory $n) (i32.sub (i32.const 9) (i32.const 1)) "n") (data (i64.const 8) "wide")
        (data "passive") (elem (i64.const 1) func 0) (elem (table 1) (i32.const 0) func 0)
        (func (param i64 v128) (result i64 v128)
            (memory.copy $n 0 (i32.const 1) (local.get 0) (i32.const 2))
            (memory.init 0 2 (local.get 0) (i32.const 1) (i32.const 2))
            (memory.fill (local.get 0) (i32.const 0) (memory.size))
            (table.copy 1 0 (i32.const 0) (local.get 0) (i32.const 1))
            (i32.store $n offset=7 (i32.const 0) (i32.load8_u offset=0x100000000 (local.get 0)))
            (v128.store32_lane $n align=2 3 (i32.const 16) (local.get 1))
            (call_indirect (result) (local.get 0))
            (memory.grow (table.grow 0 (ref.null func) (table.size)))
            (f32x4.relaxed_madd (local.get 1) (v128.load8_splat $n (i32.const 0))
                (i8x16.relaxed_swizzle (local.get 1) (local.get 1)))))""",
)

@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def texts() -> list[bytes]:
    return [bytes(wasmtime.wat2wasm(text)) for text in _TEXTS]


@pytest.fixture(scope="module")
def small() -> list[bytes]:
    """Ten modules of the corpus, and more."""
    corpus = Path(__file__).resolve().parents[2] / "corpus"
    modules = [path.read_bytes() for path in sorted(corpus.rglob("*.wasm"))]
    found = [data for data in modules if len(data) < 3000]
    assert len(found) >= 10
    return found


def _problems(judge: Judge, modules: Iterable[bytes], further: int = 0) -> tuple[int, int]:
    """How many modules there are, and how many are accepted; fails where something is wrong."""
    count = accepted = 0
    for data in modules:
        verdict = judge.judge(data, further=bool(further) and count % further == 0)
        assert not verdict.problem, f"{verdict.problem}: {data[:5000].hex()}"
        count += 1
        accepted += verdict.error is None
    return count, accepted


def test_modules_are_valid(judge: Judge, texts: list[bytes],
                           corpus_modules: list[tuple[str, bytes]]) -> None:
    modules = [*texts, *base_modules(0)]
    assert _problems(judge, modules, further=1) == (len(modules), len(modules))
    modules = [data for _, data in corpus_modules]
    assert _problems(judge, modules) == (len(modules), len(modules))


def test_truncations(judge: Judge, texts: list[bytes], small: list[bytes]) -> None:
    for data in (*texts, *small):
        count, accepted = _problems(judge, truncations(data))
        assert count == len(data) and accepted < 10


@pytest.mark.parametrize("seed", range(4))
def test_mutations(judge: Judge, texts: list[bytes], small: list[bytes], seed: int) -> None:
    modules = [*texts, *small, *base_modules(seed)]
    count, accepted = _problems(judge, mutations(modules, seed, 1500), further=8)
    assert count == 1500 and accepted > 100


def test_mutations_follow_from_the_seed(texts: list[bytes]) -> None:
    first = list(mutations(texts, 1, 200))
    assert first == list(mutations(texts, 1, 200))
    assert first[:100] == list(mutations(texts, 1, 100))
    assert len({*first, *mutations(texts, 2, 200)}) > 350


def test_numbers_spelt_otherwise(judge: Judge, texts: list[bytes]) -> None:
    for data in texts:
        count, accepted = _problems(judge, respelt(take_apart(data)))
        assert count > 2000 and accepted > 100


def test_counts_that_are_wrong(judge: Judge, texts: list[bytes], small: list[bytes]) -> None:
    for data in (*texts, *small):
        _problems(judge, miscounted(take_apart(data)))


def test_parts_are_the_whole(small: list[bytes], texts: list[bytes]) -> None:
    for data in (*small, *texts):
        assert take_apart(data).join() == data


# Modules that are extreme: 50,000 of everything, bodies of a megabyte, absurd declarations.


@pytest.mark.parametrize("name", MANY)
def test_many(judge: Judge, name: str) -> None:
    verdict = judge.judge(MANY[name](50_000))
    assert not verdict.problem
    limited = {"memories": "too many memories", "tables": "too many tables",
               "blocks that do not end": "unexpected end"}
    assert limited.get(name) is None if verdict.error is None else \
        verdict.error.message.startswith(limited[name])


@pytest.mark.parametrize("name", LONG)
def test_long(judge: Judge, name: str) -> None:
    data = LONG[name](1_000_000)
    assert len(data) > 990_000
    verdict = judge.judge(data)
    assert not verdict.problem
    assert verdict.error is None or name in ("unreachable code",)


@pytest.mark.parametrize("name", ABSURD)
def test_absurd(judge: Judge, name: str) -> None:
    assert not judge.judge(ABSURD[name]).problem


#: Bytes of memory that a byte of a module takes at most. That of a body takes 25 where it is an
#: instruction; functions, globals and segments of a few bytes take more.
MULTIPLE = {"body": 60, "module": 150}


def test_memory_is_a_small_multiple_of_the_input() -> None:
    for name, data in extremes(many=5_000, long=100_000):
        tracemalloc.start()
        try:
            validate(decode(data))
        except (DecodeError, ValidationError, UnsupportedFeatureError):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        multiple = MULTIPLE["body" if " bytes of " in name else "module"]
        assert peak < multiple * len(data) + 300_000, f"{name}: {peak / len(data):.1f}"


# The judge itself.


def test_the_judge_sees_what_is_wrong(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    good = bytes(wasmtime.wat2wasm("(module (func))"))

    def refuse(data: bytes) -> None:
        raise DecodeError("no")

    def crash(data: bytes) -> None:
        raise RecursionError("deep")

    def take(module: object) -> None:
        """Everything is valid."""

    assert not judge.judge(good).problem
    monkeypatch.setattr(malformed, "decode", refuse)
    assert judge.judge(good).problem == "refused what wasmtime accepts: no"
    monkeypatch.setattr(malformed, "decode", crash)
    assert judge.judge(good).problem == "RecursionError: deep"
    monkeypatch.undo()
    monkeypatch.setattr(malformed, "validate", take)
    bad = bytes(wasmtime.wat2wasm("(module (func (result i32)))"))
    assert judge.judge(bad).problem.startswith("accepted what wasmtime refuses: ")
    monkeypatch.undo()
    monkeypatch.setattr(malformed, "decode_interface", refuse)
    assert judge.judge(good).problem == "accepted, but for its interface: no"
    monkeypatch.undo()
    monkeypatch.setattr(malformed, "_PATIENCE", -1.0)
    monkeypatch.setattr(malformed, "_PATIENCE_PER_MEGABYTE", 0.0)
    assert " s for " in judge.judge(good).problem


def test_run_saves_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = malformed.run(40, 3, tmp_path / "none")
    assert report.modules == 40 and 0 < report.accepted < 40 and not report.problems
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(Judge, "refusal", lambda self, data: "no such luck")
    report = malformed.run(40, 3, tmp_path)
    assert len(report.problems) == report.accepted == len(list(tmp_path.glob("*.wasm")))
    path, problem = report.problems[0]
    assert problem == "accepted what wasmtime refuses: no such luck"
    validate(decode(path.read_bytes()))
    assert report.to_json()["mismatches"][0] == {"file": str(path), "problem": problem}
    assert str(path) in str(report)
