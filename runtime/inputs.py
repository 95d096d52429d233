"""What agents are given to read: standard input, arguments, environment, initial memory.

Equal strings are kept once, so that a swarm that shares one costs four bytes an agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..targets.base import Strings

Text = str | bytes
Data = bytes | bytearray | memoryview
Argv = Sequence[Text]
Env = Mapping[str, str]
Int64s = NDArray[np.int64]


class InputColumn:
    """One string for each slot; slots that were given none have the default."""

    __slots__ = ("_counts", "_free", "_index", "_refs", "_strings")

    def __init__(self, capacity: int, default: bytes = b"") -> None:
        self._refs = np.zeros(capacity, np.int32)
        self._strings: list[bytes] = [default]
        self._counts: list[int] = [1]  # the default is always in use
        self._index: dict[bytes, int] = {default: 0}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Different strings held, the default included."""
        return len(self._index)

    def __getitem__(self, slot: int) -> bytes:
        return self._strings[int(self._refs[slot])]

    def given(self, slots: Int64s) -> Int64s:
        """Those of the slots that have another string than the default."""
        chosen: Int64s = slots[self._refs[slots] != 0]
        return chosen

    def _intern(self, string: bytes, count: int) -> int:
        ref = self._index.get(string)
        if ref is None:
            if self._free:
                ref = self._free.pop()
                self._strings[ref] = string
            else:
                ref = len(self._strings)
                self._strings.append(string)
                self._counts.append(0)
            self._index[string] = ref
        self._counts[ref] += count
        return ref

    def put(self, slot: int, string: bytes) -> None:
        """Give a clear slot its string."""
        self._refs[slot] = self._intern(string, 1)

    def put_all(self, slots: Int64s, strings: bytes | list[bytes]) -> None:
        """Give clear slots one string for all, or a string each."""
        if isinstance(strings, bytes):
            self._refs[slots] = self._intern(strings, len(slots))
        else:
            self._refs[slots] = [self._intern(string, 1) for string in strings]

    def clear_one(self, slot: int) -> None:
        """Put a slot back to the default, and forget its string if nobody else has it."""
        ref = int(self._refs[slot])
        if ref:
            self._refs[slot] = 0
            self._release(ref, 1)

    def clear(self, slots: Int64s) -> None:
        """Put many slots back to the default."""
        held = self._refs[slots]
        if not held.any():
            return
        refs, counts = np.unique(held, return_counts=True)
        self._refs[slots] = 0
        for ref, count in zip(refs.tolist(), counts.tolist(), strict=True):
            if ref:
                self._release(ref, count)

    def _release(self, ref: int, count: int) -> None:
        self._counts[ref] -= count
        if self._counts[ref] == 0:
            del self._index[self._strings[ref]]
            self._strings[ref] = b""
            self._free.append(ref)

    def pack(self, slots: Int64s) -> Strings:
        """The strings of some slots, in order, each kept once."""
        refs = self._refs[slots]
        if not refs.any():
            return pack_strings(self._strings[0], len(slots))
        used = np.zeros(len(self._strings), np.bool_)
        used[refs] = True
        chosen = np.flatnonzero(used)
        lengths = np.zeros(len(self._strings), np.int64)
        lengths[chosen] = [len(self._strings[ref]) for ref in chosen.tolist()]
        starts = np.cumsum(lengths) - lengths
        data = b"".join([self._strings[ref] for ref in chosen.tolist()])
        spans = np.empty((len(slots), 2), np.int64)
        spans[:, 0] = starts[refs]
        spans[:, 1] = lengths[refs]
        return Strings(_as_array(data), spans)


def pack_strings(strings: bytes | list[bytes], count: int) -> Strings:
    """One string for each of ``count`` agents, or one for all."""
    spans = np.zeros((count, 2), np.int64)
    if isinstance(strings, bytes):
        spans[:, 1] = len(strings)
        return Strings(_as_array(strings), spans)
    spans[:, 1] = [len(string) for string in strings]
    spans[:, 0] = np.cumsum(spans[:, 1]) - spans[:, 1]
    return Strings(_as_array(b"".join(strings)), spans)


def _as_array(data: bytes) -> NDArray[np.uint8]:
    # never empty, so that it always has an address
    return np.frombuffer(data or b"\0", np.uint8)


def encode_data(data: object, what: str) -> bytes:
    """Bytes of a bytes-like object; ``what`` names it in errors."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray | memoryview | np.ndarray):
        return data.tobytes() if not isinstance(data, bytearray) else bytes(data)
    raise ArgumentError(f"{what} must be bytes, not {type(data).__name__}")


def _terminated(text: object, what: str) -> bytes:
    if not isinstance(text, str | bytes):
        raise ArgumentError(f"{what} must be a string, not {text!r}")
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if b"\0" in data:
        raise ArgumentError(f"{what} holds a NUL byte: {text!r}")
    return data + b"\0"


def encode_argv(argv: object) -> bytes:
    """NUL-terminated strings of a command line, the program's name first."""
    if isinstance(argv, str | bytes) or not isinstance(argv, Sequence):
        raise ArgumentError(f"argv must be a list of strings, not {argv!r}")
    return b"".join([_terminated(text, f"argv[{n}]") for n, text in enumerate(argv)])


def encode_env(env: object) -> bytes:
    """NUL-terminated ``KEY=VALUE`` strings of an environment."""
    if not isinstance(env, Mapping):
        raise ArgumentError(f"env must be a mapping, not {env!r}")
    parts = []
    for key, value in env.items():
        if not isinstance(key, str) or not key or "=" in key:
            raise ArgumentError(f"not the name of an environment variable: {key!r}")
        parts.append(_terminated(key, "env")[:-1] + b"=" + _terminated(value, f"env[{key!r}]"))
    return b"".join(parts)


def encode_defaults(stdin: Data, argv: Argv, env: Env | None) -> tuple[bytes, bytes, bytes]:
    """The inputs of agents that are spawned without."""
    return encode_data(stdin, "stdin"), encode_argv(argv), encode_env(env or {})


def each_data(data: object, count: int, what: str) -> bytes | list[bytes]:
    """Bytes for all agents, or a sequence with bytes for each."""
    if isinstance(data, list | tuple):
        return [encode_data(one, what) for one in _counted(data, count, what)]
    return encode_data(data, what)


def each_argv(argv: object, count: int) -> bytes | list[bytes]:
    """A command line for all agents, or a sequence with one for each."""
    if isinstance(argv, Sequence) and argv and not isinstance(argv[0], str | bytes):
        return [encode_argv(one) for one in _counted(argv, count, "argv")]
    return encode_argv(argv)


def each_env(env: object, count: int) -> bytes | list[bytes]:
    """An environment for all agents, or a sequence with one for each."""
    if isinstance(env, list | tuple):
        return [encode_env(one) for one in _counted(env, count, "env")]
    return encode_env(env)


def _counted(given: Sequence[object], count: int, what: str) -> Sequence[object]:
    if len(given) != count:
        raise ArgumentError(f"{what}: {len(given)} given for {count} agents")
    return given
