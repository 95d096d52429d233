"""Arrays come back from JSON as they were, whatever their elements are and however they lie."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from swarmc.runtime.orchestration.pipeline import arrays
from swarmc.runtime.orchestration.pipeline.errors import ArrayFormatError

Array = np.ndarray[Any, Any]

reproducible = settings(derandomize=True, database=None, deadline=None)

dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
)
given_arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


def rearranged(array: Array, how: str) -> Array:
    """The same elements or some of them, lying differently in memory."""
    if how == "fortran":
        return np.asfortranarray(array)
    if how == "transposed":
        return array.T
    if how == "reversed" and array.ndim:
        return array[::-1]
    if how == "strided" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if how == "broadcast":
        return np.broadcast_to(array, (2, *array.shape))
    return array


def same(one: Array, other: Array) -> bool:
    return (
        one.dtype.newbyteorder("=") == other.dtype.newbyteorder("=")
        and one.shape == other.shape
        and one.astype(one.dtype.newbyteorder("<")).tobytes()
        == other.astype(other.dtype.newbyteorder("<")).tobytes()
    )


@reproducible
@given(
    given_arrays,
    st.sampled_from(["plain", "fortran", "transposed", "reversed", "strided", "broadcast"]),
)
def test_arrays_come_back(array: Array, how: str) -> None:
    array = rearranged(array, how)
    value = json.loads(json.dumps(arrays.serialize_numpy(array)))
    back = arrays.deserialize_numpy(value)
    assert same(back, array)
    assert not back.flags.writeable
    assert arrays.serialize_numpy(back) == value


@reproducible
@given(given_arrays)
def test_data_is_little_endian_in_c_order(array: Array) -> None:
    value = arrays.serialize_numpy(array)
    assert set(value) == {"dtype", "shape", "data"}
    little = np.dtype(value["dtype"]).newbyteorder("<")
    assert base64.b64decode(value["data"]) == array.astype(little).tobytes("C")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | given_arrays,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and same(one, other)
    if isinstance(one, (list, tuple)):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(map(equal, one, other))
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    return bool(one == other) and type(one) is type(other)


@reproducible
@given(json_values)
def test_values_with_arrays_come_back(value: Any) -> None:
    assert equal(value, arrays.loads(arrays.dumps(value)))


def test_what_the_document_shows() -> None:
    array = np.array([1, 2.5], np.float32)
    assert arrays.serialize_numpy_wasm(array) == {
        "dtype": "float32", "shape": [2], "data": base64.b64encode(array.tobytes()).decode(),
    }  # fmt: skip


def test_an_array_of_a_hundred_megabytes_takes_little_more_than_its_text() -> None:
    array = np.arange(27_000_000, dtype=np.float32)[::-1]  # 108 MB, in the wrong order
    tracemalloc.start()
    try:
        value = arrays.serialize_numpy(array)
        peak = tracemalloc.get_traced_memory()[1]
        # one copy in order, the encoded bytes, the same as text
        assert peak < array.nbytes * (1 + 4 / 3 + 4 / 3) * 1.01
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        back = arrays.deserialize_numpy(value)
        taken = tracemalloc.get_traced_memory()[1] - before
        assert taken < array.nbytes * (1 + 4 / 3) * 1.01
    finally:
        tracemalloc.stop()
    assert np.array_equal(back, array)


def test_an_array_in_order_is_not_copied_before_it_is_encoded() -> None:
    array = np.zeros(4_000_000, np.uint8)
    tracemalloc.start()
    try:
        arrays.serialize_numpy(array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < array.nbytes * (4 / 3 + 4 / 3) * 1.01


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array(["x"]), "<U1"),
        (np.array([b"x"]), r"\|S1"),
        (np.array([None]), "object"),
        (np.zeros(2, "M8[s]"), "datetime64"),
        (np.zeros(2, [("a", "i4"), ("b", "f4")]), "'a'"),
        (np.zeros(2, np.longdouble), "float128"),
        (np.zeros(2, "V4"), "V4"),
    ],
)
def test_elements_that_have_no_form(array: Array, kind: str) -> None:
    with pytest.raises(ArrayFormatError, match=f"an array of .*{kind}.* has no JSON form"):
        arrays.serialize_numpy(array)
    with pytest.raises(ArrayFormatError, match=r"value\['a'\]\[1\]: an array of"):
        arrays.dumps({"a": [1, array]})


GOOD = {"dtype": "int16", "shape": [2], "data": "AQACAA=="}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "<i2"}, "dtype '<i2' is none of an array"),
        ({"dtype": "object"}, "dtype 'object' is none"),
        ({"dtype": ["int16"]}, "is none of an array"),
        ({"shape": 2}, "shape must be a list of integers"),
        ({"shape": [-2]}, "shape must be a list of integers"),
        ({"shape": [2.0]}, "shape must be a list of integers"),
        ({"shape": [True, 2]}, "shape must be a list of integers"),
        ({"shape": [3]}, r"data has 4 bytes, but int16 of shape \[3\] takes 6"),
        ({"shape": [1 << 70]}, "data has 4 bytes, but int16"),
        ({"shape": [1] * 33}, "33 dimensions"),
        ({"shape": [0, 1 << 70], "data": ""}, "shape"),
        ({"data": "AQACAA="}, "data is not base64"),
        ({"data": "AQAC AA=="}, "data is not base64"),
        ({"data": "AQACAAß="}, "data is not base64"),
        ({"data": b"AQACAA=="}, "data must be base64 text, not bytes"),
        ({"data": None}, "data must be base64 text"),
        ({"dtype": "bool", "shape": [4]}, "neither 0 nor 1"),
        ({"order": "C"}, "dtype, shape and data, and nothing else"),
    ],
)
def test_malformed_arrays(changes: dict[str, Any], message: str) -> None:
    assert arrays.deserialize_numpy(GOOD).tolist() == [1, 2]
    with pytest.raises(ArrayFormatError, match=message):
        arrays.deserialize_numpy({**GOOD, **changes})


@reproducible
@given(json_values)
def test_anything_else_is_no_array(value: Any) -> None:
    if not arrays.is_array_object(value):
        with pytest.raises(ArrayFormatError):
            arrays.deserialize_numpy(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([math.nan], r"value\[0\] is nan, for which JSON has no word"),
        ({"a": (math.inf,)}, r"value\['a'\]\[0\] is inf"),
        ({1: 2}, "value has a key that is no string: 1"),
        ({"a": b"x"}, r"value\['a'\] has no JSON form: bytes"),
        ([{1}], r"value\[0\] has no JSON form: set"),
        ([10**5000], "value has no JSON form: Exceeds the limit"),
    ],
)
def test_values_that_have_no_form(value: Any, message: str) -> None:
    with pytest.raises(ArrayFormatError, match=message):
        arrays.dumps(value)


def test_a_value_in_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for refuses in (arrays.dumps, arrays.frozen):
        with pytest.raises(ArrayFormatError, match="contains itself"):
            refuses(loop)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", b"\xff", "[" * 200_000, "1" * 5000]
)
def test_text_that_is_no_value(text: str | bytes) -> None:
    with pytest.raises(ArrayFormatError, match=r"not JSON|nested too deeply"):
        arrays.loads(text)


@reproducible
@given(json_values)
def test_frozen_values_are_equal_and_share_everything(value: Any) -> None:
    frozen = arrays.frozen(value)
    assert equal(value, frozen)
    for one, other in zip(leaves(value), leaves(frozen), strict=True):
        if isinstance(one, np.ndarray):
            assert not other.flags.writeable
            assert not one.size or np.shares_memory(one, other)
        else:
            assert one is other


def leaves(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def test_what_needs_no_freezing_is_handed_on_itself() -> None:
    value = {"a": [1, (2, "x")], "b": {}}
    assert arrays.frozen(value) is value
    array = np.arange(3)
    pair = (array, 1)
    assert arrays.frozen(pair)[0].base is array
    assert array.flags.writeable
