"""Values as JSON text, so that payloads and results survive in a database or on a wire.

A value is None, a bool, an int, a float, a str, bytes, a NumPy array or scalar, or a list, tuple or
dict (with str keys) of values. What JSON has no word for becomes an object with one key that begins
with ``$``; a dict of the user's whose only key begins with ``$`` is wrapped, so that every value
comes back as it was. Tuples come back as lists, NumPy scalars as Python's numbers.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from typing import Any

from .errors import OrchestrationError

_ESCAPE = "$dict"
_DTYPE = re.compile(r"[<>|=]?[biufc][0-9]{1,2}")  # of numbers


class ValueEncodingError(OrchestrationError, ValueError):
    """A value that has no JSON form, or text that is none of a value."""


def dumps(value: object) -> str:
    """A value as one line of JSON.

    Raises:
        ValueEncodingError: something in it has no JSON form; the message has the path to it.
    """
    try:
        if _is_plain(value):
            try:
                return _encode(value)
            except ValueError:
                pass  # infinities and NaNs, which JSON has no word for
        return _encode(_plain(value, "value"))
    except ValueEncodingError:
        raise
    except RecursionError:
        raise ValueEncodingError("value is nested too deeply, or contains itself") from None
    except (ValueError, RuntimeError) as error:  # an int of 5,000 digits; changed meanwhile
        raise ValueEncodingError(f"value has no JSON form: {error}") from error


def loads(text: str | bytes) -> Any:
    """The value of what :func:`dumps` wrote.

    Arrays come back as fresh, writable, C-contiguous ones.
    """
    try:
        return _value(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueEncodingError(f"not a value: {error}") from error


def _encoder() -> Callable[[object], str]:
    """``json.dumps`` without what it prepares anew at each call: half of its time on small values.

    The parts of the C encoder are no documented interface: where they are not, its face serves.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    parts = make(
        None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
    )
    join = "".join
    return lambda value: join(parts(value, 0))


_encode = _encoder()
_SCALARS = frozenset({type(None), bool, int, float, str})


def _is_plain(value: Any) -> bool:
    """Whether JSON says the value as it is, floats that are not finite aside."""
    kind = type(value)
    if kind is dict:
        key = ""
        for key, item in value.items():
            if type(key) is not str or (type(item) not in _SCALARS and not _is_plain(item)):
                return False
        return len(value) != 1 or not key.startswith("$")
    if kind is list or kind is tuple:
        return all(type(item) in _SCALARS or _is_plain(item) for item in value)
    return kind in _SCALARS


def _plain(value: object, path: str) -> object:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)  # an IntEnum's number
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValueEncodingError(f"{path} has a key that is no string: {key!r}")
        plain = {key: _plain(item, f"{path}[{key!r}]") for key, item in value.items()}
        if len(plain) == 1 and next(iter(plain)).startswith("$"):
            return {_ESCAPE: plain}
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{number}]") for number, item in enumerate(value)]
    return _numpy(value, path)


def _numpy(value: object, path: str) -> object:
    import numpy as np

    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return _plain(value.item(), path)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        data = base64.b64encode(value.tobytes()).decode()  # in C order
        return {"$array": {"dtype": value.dtype.str, "shape": list(value.shape), "data": data}}
    kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise ValueEncodingError(
        f"{path} has no JSON form: {kind}",
        hint="values are None, booleans, numbers, strings, bytes, numeric arrays, lists, dicts",
    )


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if len(plain) == 1:
        (key, inner), = plain.items()
        if key == "$bytes":
            return base64.b64decode(inner, validate=True)
        if key == "$float":
            return float(inner)
        if key == "$array":
            return _array(inner)
        if key == _ESCAPE:
            plain = inner
    return {key: _value(item) for key, item in plain.items()}


def _array(fields: Any) -> Any:
    import numpy as np

    data = base64.b64decode(fields["data"], validate=True)
    if not _DTYPE.fullmatch(fields["dtype"]):  # NumPy knows more, and evaluates some of it
        raise ValueError(f"an array of {fields['dtype']}")
    return np.frombuffer(data, np.dtype(fields["dtype"])).reshape(fields["shape"]).copy()
