"""Python values to bit patterns and back."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import ArgumentError
from swarmc.ir.types import Type
from swarmc.runtime import values

reproducible = settings(derandomize=True, database=None, deadline=None)

I32, I64, F32, F64 = Type.I32, Type.I64, Type.F32, Type.F64
V128, FUNCREF, EXTERNREF = Type.V128, Type.FUNCREF, Type.EXTERNREF


@reproducible
@given(st.integers(-(2**31), 2**32 - 1))
def test_i32_comes_back_signed(number: int) -> None:
    bits = values.encode(I32, number, "x")
    assert bits == number % 2**32
    assert values.decode(I32, bits) == (number + 2**31) % 2**32 - 2**31


@reproducible
@given(st.integers(-(2**63), 2**64 - 1))
def test_i64_comes_back_signed(number: int) -> None:
    assert values.decode(I64, values.encode(I64, number, "x")) == (
        (number + 2**63) % 2**64 - 2**63
    )


@reproducible
@given(st.floats(width=32, allow_nan=False))
def test_f32_round_trips(number: float) -> None:
    assert struct.pack("<f", values.decode(F32, values.encode(F32, number, "x"))) == struct.pack(
        "<f", number
    )


@reproducible
@given(st.floats(allow_nan=False))
def test_f64_round_trips(number: float) -> None:
    assert values.decode(F64, values.encode(F64, number, "x")) == number


def test_nan_keeps_its_payload() -> None:
    word = np.array([0x7FA00001], np.uint32)
    assert values.encode(F32, word.view(np.float32)[0], "x") == 0x7FA00001
    column = values.encode_rows((F32,), word.view(np.float32), 1, "f")
    assert column.tolist() == [[0x7FA00001]]


@pytest.mark.parametrize(
    ("type_", "value", "words"),
    [
        (I32, 2**32, "out of the range of i32"),
        (I32, -(2**31) - 1, "out of the range of i32"),
        (I64, 2**64, "out of the range of i64"),
        (I32, 1.0, "it must be an integer"),
        (I32, "1", "it must be an integer"),
        (I32, None, "it must be an integer"),
        (F32, 1e39, "out of the range of f32"),
        (F64, 10**400, "out of the range of f64"),
        (F64, "1.5", "it must be a number"),
        (F64, None, "it must be a number"),
        (V128, b"short", "it must be 16 bytes"),
        (V128, 1.0, "it must be 16 bytes or an integer"),
        (V128, 2**128, "out of the range of v128 (-2**127 to"),
        (EXTERNREF, -1, "None or a number"),
        (EXTERNREF, "x", "None or a number"),
        (FUNCREF, 1, "it must be None"),
    ],
)
def test_errors_name_the_argument(type_: Type, value: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match="argument 1 of f") as error:
        values.encode_row((I32, type_), [0, value], "f")
    assert words in str(error.value)


def test_other_types() -> None:
    vector = bytes(range(16))
    assert values.decode(V128, values.encode(V128, vector, "x")) == vector
    assert values.encode_row((V128, I32), [vector, 5], "f") == [
        *struct.unpack("<QQ", vector), 5,
    ]  # fmt: skip
    assert values.encode(EXTERNREF, 0, "x") == 1
    assert values.decode(EXTERNREF, 1) == 0
    assert values.decode(FUNCREF, 0) is None
    assert values.encode(F64, 3, "x") == values.encode(F64, 3.0, "x")
    assert values.encode(I32, True, "x") == 1
    assert values.encode(I32, np.int64(-1), "x") == 0xFFFF_FFFF


def test_number_of_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"f takes 2 arguments \(i32, f64\), got 1"):
        values.encode_row((I32, F64), [1], "f")
    with pytest.raises(ArgumentError, match="_start takes no arguments, got 1; argv="):
        values.encode_row((), [1], "_start")


class TestRows:
    """Arguments of many calls."""

    def test_array_of_one_column(self) -> None:
        rows = values.encode_rows((I32,), np.arange(-1, 2), 3, "f")
        assert rows.tolist() == [[0xFFFF_FFFF], [0], [1]]

    def test_sequence_of_one_column(self) -> None:
        assert values.encode_rows((I32,), range(3), 3, "f").tolist() == [[0], [1], [2]]

    def test_table(self) -> None:
        rows = values.encode_rows((I32, F64), np.array([[1, 2], [3, 4]], np.int16), 2, "f")
        assert rows.tolist() == [
            [1, values.encode(F64, 2, "")],
            [3, values.encode(F64, 4, "")],
        ]

    def test_structured_array(self) -> None:
        table = np.array([(-1, 2**63, 0.5)], [("a", "i4"), ("b", "u8"), ("c", "f8")])
        rows = values.encode_rows((I32, I64, F32), table, 1, "f")
        assert rows.tolist() == [[0xFFFF_FFFF, 2**63, values.encode(F32, 0.5, "")]]

    def test_one_row_for_all(self) -> None:
        rows = values.encode_rows((I32, I64), [1, -1], 3, "f")
        assert rows.tolist() == [[1, 2**64 - 1]] * 3
        assert rows.flags.c_contiguous

    def test_a_row_each(self) -> None:
        assert values.encode_rows((I32, I32), [[1, 2], (3, 4)], 2, "f").tolist() == [[1, 2], [3, 4]]

    def test_no_parameters(self) -> None:
        assert values.encode_rows((), [], 3, "f").shape == (3, 0)

    def test_object_array(self) -> None:
        table = np.array([[2**64 - 1, None], [0, 7]], object)
        rows = values.encode_rows((I64, EXTERNREF), table, 2, "f")
        assert rows.tolist() == [[2**64 - 1, 0], [0, 8]]

    @pytest.mark.parametrize(
        ("types", "args", "count", "words"),
        [
            ((I32,), np.array([0, 2**32]), 2, "argument 0 of f: 4294967296 is out of the range"),
            ((I32,), np.array([0.5, 1]), 2, "argument 0 of f is an i32"),
            ((F32,), np.array([1.0, 1e300]), 2, "argument 0 of f: .*range of f32"),
            ((F64,), np.array(["a", "b"]), 2, "argument 0 of f is a f64"),
            ((I32,), np.arange(3), 2, "3 rows for 2 agents"),
            ((I32, I32), np.arange(2), 2, "f takes 2 arguments"),
            ((I32, I32), [[1, 2]], 2, "1 rows for 2 agents"),
            ((I32,), np.zeros((2, 1, 1)), 2, "3 dimensions"),
            ((I32, I32), [[1, 2], [3]], 2, "f takes 2 arguments"),
        ],
    )
    def test_errors(self, types: Any, args: Any, count: int, words: str) -> None:
        with pytest.raises(ArgumentError, match=words):
            values.encode_rows(types, args, count, "f")

    @reproducible
    @given(st.lists(st.integers(-(2**31), 2**32 - 1), min_size=1))
    def test_columns_agree_with_single_values(self, numbers: list[int]) -> None:
        expected = [values.encode(I32, number, "x") for number in numbers]
        rows = values.encode_rows((I32,), np.array(numbers, np.int64), len(numbers), "f")
        assert rows[:, 0].tolist() == expected
        assert values.column_values(I32, rows) == [values.decode(I32, bits) for bits in expected]


@pytest.mark.parametrize(
    ("type_", "given_", "dtype"),
    [
        (I32, [-1, 5], np.int32),
        (I64, [-(2**63), 5], np.int64),
        (F32, [0.5, math.inf], np.float32),
        (F64, [0.1, -math.inf], np.float64),
        (EXTERNREF, [None, 5], np.int64),
    ],
)
def test_columns_are_typed(type_: Type, given_: list[Any], dtype: type) -> None:
    raw = np.array([[values.encode(type_, value, "x")] for value in given_], np.uint64)
    assert values.decode_column(type_, raw).dtype == dtype
    assert values.column_values(type_, raw) == given_


def test_v128_may_be_an_integer() -> None:
    assert values.encode(V128, (1 << 127) + 1, "x") == (1 << 127) + 1
    assert values.encode(V128, -1, "x") == (1 << 128) - 1
    assert values.encode_rows((V128,), [5, 7 << 64], 2, "f").tolist() == [[5, 0], [0, 7]]
    assert values.encode_rows((V128,), np.array([5, 7]), 2, "f").tolist() == [[5, 0], [7, 0]]


def test_columns_of_v128_are_arguments() -> None:
    raw = np.array([[1, 2], [3, 1 << 63]], np.uint64)
    column = values.decode_column(V128, raw)
    assert values.encode_rows((V128,), column, 2, "f").tolist() == raw.tolist()


def test_v128_columns() -> None:
    vectors = [bytes(range(16)), bytes(16)]
    raw = values.encode_rows((V128,), [[v] for v in vectors], 2, "f")
    assert values.column_values(V128, raw) == vectors
