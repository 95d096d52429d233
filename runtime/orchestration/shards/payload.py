"""Shards as payloads of tasks: values of the codec, with the module's digest in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np

from ....errors import ArgumentError
from ...values import Slots
from ..codec import ValueEncodingError
from ..graph import suggestion
from ..verify.shard import Shard
from .modules import is_digest

#: Of a :class:`Shard`, by name: what each is in a payload.
_NUMBERS = frozenset({
    "agents", "fuel", "seed", "clock", "max_memory", "output_size", "first", "heap", "call_depth",
})  # fmt: skip
_TEXTS = frozenset({"entry_point", "missing_imports"})
_DEFAULTS = {f.name: f.default for f in fields(Shard) if f.default is not MISSING}
_MORE = frozenset({"module", "memories", "attest"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a task of the executor ``shard`` asks for.

    Args:
        module: its digest.
        shard: without its module.
        memories: offset and length of the part of each agent's memory that is wanted afterwards.
        attest: whether what came of it is to be signed.
    """

    module: str
    shard: Shard
    memories: tuple[int, int] | None = None
    attest: bool = False


def to_payload(
    shard: Shard, *, memories: tuple[int, int] | None = None, attest: bool = False
) -> dict[str, Any]:
    """What a task needs to run a shard; what is usual is left out."""
    data: dict[str, Any] = {"module": shard.module_digest}
    for name, usual in _DEFAULTS.items():
        value = getattr(shard, name)
        if value is usual or value == usual if not isinstance(value, Slots) else False:
            continue
        data[name] = _plain(name, value)
    if memories is not None:
        data["memories"] = list(memories)
    if attest:
        data["attest"] = True
    return data


def from_payload(data: Any) -> Request:
    """The request of what :func:`to_payload` gave.

    Raises:
        ArgumentError: a field is unknown, missing or wrong; what swarms refuse is for them.
    """
    if not isinstance(data, Mapping):
        raise ArgumentError(f"the payload of a shard is an object, not {type(data).__name__}")
    for name in data:
        if name not in _DEFAULTS and name not in _MORE:
            raise ArgumentError(f"a shard has no field {name!r}{suggestion(name, _DEFAULTS)}")
    if not is_digest(data.get("module")):
        raise ArgumentError("a shard names its module by 64 hexadecimal digits")
    given = {name: _read(name, data[name]) for name in _DEFAULTS if name in data}
    memories = data.get("memories")
    if memories is not None:
        whole = isinstance(memories, Sequence) and all(type(number) is int for number in memories)
        if not whole or len(memories) != 2 or min(memories) < 0:
            raise ArgumentError("memories are an offset and a length")
        memories = (memories[0], memories[1])
    return Request(data["module"], Shard(b"", **given), memories, data.get("attest") is True)


def pack(strings: Sequence[bytes]) -> dict[str, Any]:
    """Many byte strings as two arrays."""
    lengths = np.array([len(string) for string in strings], np.int64)
    return {"data": np.frombuffer(b"".join(strings), np.uint8), "lengths": lengths}


def unpack(packed: Mapping[str, Any]) -> list[bytes]:
    """What :func:`pack` packed.

    Raises:
        ValueEncodingError: nothing did.
    """
    try:
        data, lengths = packed["data"].tobytes(), packed["lengths"].astype(np.int64)
        ends = np.cumsum(lengths)
        if (lengths < 0).any() or (int(ends[-1]) if len(ends) else 0) != len(data):
            raise ValueError("lengths that are not those of the data")
        return [data[end - n : end] for end, n in zip(ends.tolist(), lengths.tolist(), strict=True)]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueEncodingError(f"no packed strings: {error}") from error


def _plain(name: str, value: Any) -> Any:
    if name == "args":
        if not isinstance(value, Slots):
            raise ArgumentError("arguments of a shard that travels are bit patterns: split() it")
        return value.rows
    if name in ("memory", "stdin") and not isinstance(value, bytes):
        return pack(value)
    return value


def _read(name: str, value: Any) -> Any:
    """A field of a shard. Raises ArgumentError."""
    if value is None:
        right = _DEFAULTS[name] is None
    elif name in _NUMBERS:
        right = type(value) is int
    elif name in _TEXTS:
        right = isinstance(value, str)
    elif name == "args":
        right = isinstance(value, np.ndarray)
        value = Slots(value) if right else value
    elif name in ("memory", "stdin"):
        value = unpack(value) if isinstance(value, Mapping) else value
        right = isinstance(value, (bytes, list))
    else:
        right = isinstance(value, (list, tuple, Mapping))
    if not right:
        raise ArgumentError(f"{name} of a shard is a {type(value).__name__}")
    return value
