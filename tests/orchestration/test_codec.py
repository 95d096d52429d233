"""Values come back from JSON as they were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from swarmc.runtime.orchestration.codec import ValueEncodingError, dumps, loads

reproducible = settings(derandomize=True, database=None, deadline=None)

keys = st.text() | st.sampled_from(["$bytes", "$array", "$float", "$dict", "$"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=20,
)  # fmt: skip


@reproducible
@given(values)
def test_values_come_back(value: Any) -> None:
    assert loads(dumps(value)) == value


dtypes = (
    hnp.boolean_dtypes() | hnp.integer_dtypes(endianness="?") | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
)  # fmt: skip


@reproducible
@given(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0)), st.booleans())
def test_arrays_come_back_to_the_bit(array: np.ndarray[Any, Any], transposed: bool) -> None:
    if transposed:
        array = array.T
    back = loads(dumps({"a": [array]}))["a"][0]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_nan_and_numpy_scalars() -> None:
    assert math.isnan(loads(dumps(math.nan)))
    assert loads(dumps([np.int32(-3), np.float32(0.5), np.bool_(True)])) == [-3, 0.5, True]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {2}]}, r"value\['a'\]\[1\] has no JSON form: set"),
        ({1: 2}, "value has a key that is no string: 1"),
        (np.array(["x"]), "value has no JSON form: array of <U1"),
    ],
)
def test_what_has_no_form_is_named(value: object, message: str) -> None:
    with pytest.raises(ValueEncodingError, match=message):
        dumps(value)


def test_a_value_in_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueEncodingError, match="contains itself"):
        dumps(loop)


@pytest.mark.parametrize(
    "text",
    ["{", '{"$bytes": "!"}', '{"$array": {"dtype": "<i4", "shape": [2], "data": ""}}',
     '{"$array": {"dtype": "?!", "shape": [2], "data": ""}}', '{"$array": 1}', '{"$float": []}'],
)  # fmt: skip
def test_text_that_is_no_value(text: str) -> None:
    with pytest.raises(ValueEncodingError, match="not a"):
        loads(text)
