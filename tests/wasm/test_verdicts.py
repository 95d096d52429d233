"""Damaged modules: accepted or refused exactly as wasmtime does, and always by an error of ours."""

from __future__ import annotations

import random
from functools import cache

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import DecodeError, UnsupportedFeatureError, ValidationError
from swarmc.runtime.tools.oracle import same_features

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
)


@cache
def _engine() -> wasmtime.Engine:
    """wasmtime with the features that swarmc has."""
    return wasmtime.Engine(same_features(wasmtime.Config()))


def _wasmtime_accepts(data: bytes) -> bool:
    try:
        wasmtime.Module.validate(_engine(), data)
    except wasmtime.WasmtimeError:
        return False
    return True


def _accepts(data: bytes) -> bool:
    """Our verdict; anything but our own errors fails the test."""
    try:
        validate(decode(data))
    except (DecodeError, ValidationError):
        return False
    except UnsupportedFeatureError as error:
        assert error.feature
        return False
    return True


def _mutate(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, removed, inserted or copied."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(8, len(out))
        match rng.randrange(5):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at] ^= 1 << rng.randrange(8)
            case 2:
                del out[at]
            case 3:
                out.insert(at, rng.randrange(256))
            case _:
                start = rng.randrange(len(out))
                out[at:at] = out[start:start + rng.randrange(8)]
    return bytes(out)


@pytest.fixture(scope="module")
def modules(corpus_modules: list[tuple[str, bytes]]) -> list[bytes]:
    texts = [bytes(wasmtime.wat2wasm(text)) for text in _TEXTS]
    small = [data for _, data in corpus_modules if len(data) < 4000]
    assert len(small) >= 5
    return texts + small


def test_modules_are_valid(modules: list[bytes], corpus_modules: list[tuple[str, bytes]]) -> None:
    for data in (*modules, *(data for _, data in corpus_modules)):
        assert _accepts(data)
        assert _wasmtime_accepts(data)


def test_truncations(modules: list[bytes]) -> None:
    for data in modules:
        for length in range(len(data)):
            assert _accepts(data[:length]) == _wasmtime_accepts(data[:length]), length


@pytest.mark.parametrize("seed", range(4))
def test_mutations(modules: list[bytes], seed: int) -> None:
    rng = random.Random(seed)
    accepted = 0
    for _ in range(2500):
        data = _mutate(rng.choice(modules), rng)
        verdict = _accepts(data)
        accepted += verdict
        assert verdict == _wasmtime_accepts(data), data.hex()
    assert accepted > 100
