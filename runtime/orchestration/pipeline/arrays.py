"""Arrays as JSON: ``{"dtype": "float32", "shape": [2, 3], "data": base64}``.

``data`` is the elements in C order and little endian, whatever the array's own order is, so that a
program in C or a page in a browser needs to know nothing of NumPy. In a value, a dictionary with
exactly these three keys is an array.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ArrayFormatError

#: Names that ``dtype`` may have.
DTYPES: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip
_KEYS = frozenset({"dtype", "shape", "data"})
_MOST_DIMENSIONS = 32  # NumPy 1's; NumPy 2 has 64
_HINT = f"dtypes are {', '.join(DTYPES)}"


def serialize_numpy(array: NDArray[Any] | np.generic) -> dict[str, Any]:
    """An array as a JSON object.

    Raises:
        ArrayFormatError: elements of this dtype have no form: objects, strings, dates, structures.
    """
    kind = DTYPES.get(array.dtype.name)
    if kind is None or array.dtype.fields is not None:
        raise ArrayFormatError(f"an array of {array.dtype} has no JSON form", hint=_HINT)
    packed = np.asarray(array, kind, order="C")  # a copy only where it lies otherwise
    data = base64.b64encode(packed.reshape(-1).view(np.uint8).data) if packed.size else b""
    return {
        "dtype": array.dtype.name,
        "shape": list(packed.shape),
        "data": str(data, "ascii"),
    }


#: The document that pipelines come from calls it so.
serialize_numpy_wasm = serialize_numpy


def deserialize_numpy(value: Any) -> NDArray[Any]:
    """The array of what :func:`serialize_numpy` gave; read-only, because nothing is copied.

    Raises:
        ArrayFormatError: it is no such object, or its parts do not fit together.
    """
    if not is_array_object(value):
        raise ArrayFormatError("an array is an object with dtype, shape and data, and nothing else")
    name, shape, text = value["dtype"], value["shape"], value["data"]
    kind = DTYPES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ArrayFormatError(f"dtype {name!r} is none of an array", hint=_HINT)
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ArrayFormatError(f"shape must be a list of integers from 0, not {shape!r:.80}")
    if len(shape) > _MOST_DIMENSIONS:
        raise ArrayFormatError(f"shape has {len(shape)} dimensions: {_MOST_DIMENSIONS} at most")
    data = _decoded(text)
    wanted = math.prod(shape) * kind.itemsize
    if len(data) != wanted:
        raise ArrayFormatError(
            f"data has {len(data):,} bytes, but {name} of shape {shape} takes {wanted:,}"
        )
    if kind == np.bool_ and data.translate(None, b"\x00\x01"):
        raise ArrayFormatError("data of bool has bytes that are neither 0 nor 1")
    try:
        return np.frombuffer(data, kind).reshape(shape)
    except ValueError as error:  # dimensions too large for NumPy, beside one that is 0
        raise ArrayFormatError(f"shape {shape!r:.80}: {error}") from None


def is_array_object(value: object) -> bool:
    """Whether a JSON value stands for an array, well-formed or not."""
    return isinstance(value, dict) and value.keys() == _KEYS


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise ArrayFormatError(f"data must be base64 text, not {type(text).__name__}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArrayFormatError(f"data is not base64: {error}") from None


def dumps(value: object, *, indent: int | None = None) -> str:
    """A value with arrays in it as JSON text.

    Raises:
        ArrayFormatError: something in it has no JSON form; the message says where.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    plain = to_json(value)
    try:
        return json.dumps(plain, separators=separators, allow_nan=False, indent=indent)
    except ValueError as error:  # an integer of more digits than Python writes
        raise ArrayFormatError(f"value has no JSON form: {error}") from None


def loads(text: str | bytes) -> Any:
    """The value of JSON text, arrays in place of the objects that stand for them.

    Raises:
        ArrayFormatError: it is not JSON, or an array in it is malformed.
    """
    try:
        return from_json(json.loads(text, parse_constant=_refuse))
    except ArrayFormatError:
        raise
    except RecursionError:
        raise ArrayFormatError("nested too deeply") from None
    except ValueError as error:  # JSON's, Unicode's, an integer of too many digits
        raise ArrayFormatError(f"not JSON: {error}") from None


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def to_json(value: object, path: str = "value") -> Any:
    """A value as JSON has it: objects for arrays, lists for tuples.

    Raises:
        ArrayFormatError: something in it has no JSON form.
    """
    try:
        return _plain(value, path)
    except RecursionError:
        raise ArrayFormatError(f"{path} is nested too deeply, or contains itself") from None


def _plain(value: Any, path: str) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise ArrayFormatError(
            f"{path} is {float(value)!r}, for which JSON has no word", hint="an array may have it"
        )
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ArrayFormatError(f"{path} has a key that is no string: {key!r:.80}")
        return {key: _plain(item, f"{path}[{key!r}]") for key, item in value.items()}
    if isinstance(value, np.ndarray):
        try:
            return serialize_numpy(value)
        except ArrayFormatError as error:
            raise ArrayFormatError(f"{path}: {error.message}", hint=_HINT) from None
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return _plain(value.item(), path)
    raise ArrayFormatError(
        f"{path} has no JSON form: {type(value).__name__}",
        hint="values are None, booleans, numbers, strings, arrays, lists and dictionaries",
    )


def from_json(plain: Any) -> Any:
    """The value of what JSON gave: arrays for the objects that stand for them.

    Raises:
        ArrayFormatError: an array in it is malformed.
    """
    if isinstance(plain, list):
        return _replaced(plain, from_json)
    if not isinstance(plain, dict):
        return plain
    if plain.keys() == _KEYS:
        return deserialize_numpy(plain)
    return {key: from_json(item) for key, item in plain.items()}


def frozen(value: Any) -> Any:
    """The value with a read-only view in place of every array in it; nothing is copied.

    Looks into lists, tuples and dictionaries, and gives those back themselves if nothing in them
    had to be replaced.

    Raises:
        ArrayFormatError: it is nested too deeply, or contains itself.
    """
    try:
        return _frozen(value)
    except RecursionError:
        raise ArrayFormatError("value is nested too deeply, or contains itself") from None


def _frozen(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, np.ndarray):
        if not value.flags.writeable:
            return value
        view = value.view()
        view.flags.writeable = False
        return view
    if kind is list:
        return _replaced(value, _frozen)
    if kind is tuple:
        items = _replaced(value, _frozen)
        return value if items is value else tuple(items)
    if kind is dict:
        found = {key: _frozen(item) for key, item in value.items()}
        same = all(found[key] is item for key, item in value.items())
        return value if same else found
    return value


def _replaced(items: Any, replace: Callable[[Any], Any]) -> Any:
    """A list of what ``replace`` gives for each; the list itself if all stay what they are."""
    found = [replace(item) for item in items]
    same = all(new is old for new, old in zip(found, items, strict=True))
    return items if same else found
