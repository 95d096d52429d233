"""A message, and how its payload is kept: as it is, or compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from .. import codec
from .errors import HubConfigError

#: How fast against how small: of zlib's levels, one that costs little.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody sent to somebody.

    Args:
        id: the same at every delivery, so that who has seen it already can tell.
        channel: where it was sent to.
        recipient: None: whoever receives from the channel.
        sent: seconds since 1970.
        route: whom it reached one after another, the recipient last.
        deliveries: how often it was received, this time included.
    """

    id: str
    channel: str
    sender: str
    recipient: str | None
    payload: Any
    sent: float
    route: tuple[str, ...] = ()
    deliveries: int = 1

    @property
    def hops(self) -> int:
        """How many links it went over."""
        return len(self.route)


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload that is compressed.

    Args:
        size: bytes before.
        raw: whether it is bytes, rather than any value.
    """

    data: bytes
    size: int
    raw: bool

    def unpack(self) -> Any:
        """The payload."""
        data = zlib.decompress(self.data)
        return data if self.raw else codec.loads(data)

    def to_data(self) -> dict[str, Any]:
        """As a value of :mod:`..codec`."""
        return {"zlib": self.data, "size": self.size, "raw": self.raw}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Packed:
        """Inverse of :meth:`to_data`."""
        return cls(data["zlib"], data["size"], data["raw"])


def pack(payload: Any, threshold: int | None) -> Any:
    """A payload compressed, if that makes it smaller, else as it is.

    Args:
        threshold: bytes from which on it is tried; None: never.

    Raises:
        ValueEncodingError: it has no form as bytes.
    """
    if threshold is None:
        return payload
    raw = isinstance(payload, bytes)
    data = payload if raw else codec.dumps(payload).encode()
    if len(data) < threshold:
        return payload
    packed = zlib.compress(data, _LEVEL)
    return Packed(packed, len(data), raw) if len(packed) < len(data) else payload


def unpack(kept: Any) -> Any:
    """The payload of what :func:`pack` gave."""
    return kept.unpack() if isinstance(kept, Packed) else kept


def check_threshold(threshold: int | None) -> int | None:
    """A threshold that can be.

    Raises:
        HubConfigError: it is negative.
    """
    if threshold is not None and threshold < 0:
        raise HubConfigError(f"compress_above must not be negative: {threshold!r}")
    return threshold
