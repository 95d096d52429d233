"""Attestations as values of the codec: their hashes are one array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..codec import ValueEncodingError
from ..verify.replica import Attestation, Statement
from ..verify.shard import PARTS

_HASH = 32
_AGENT = _HASH * len(PARTS)


def to_data(attestation: Attestation) -> dict[str, Any]:
    """An attestation as a value."""
    hashes = b"".join(b"".join(of_agent) for of_agent in attestation.hashes)
    return {
        "replica": attestation.replica, "statement": attestation.statement.to_data(),
        "signature": attestation.signature, "hashes": np.frombuffer(hashes, np.uint8),
    }  # fmt: skip


def from_data(data: Mapping[str, Any]) -> Attestation:
    """What :func:`to_data` gave.

    Raises:
        ValueEncodingError: nothing did.
    """
    try:
        hashes = data["hashes"].astype(np.uint8).tobytes()
        if len(hashes) % _AGENT or not isinstance(data["signature"], bytes):
            raise ValueError("hashes or a signature of another length")
        leaves = tuple(
            (hashes[at : at + 32], hashes[at + 32 : at + 64], hashes[at + 64 : at + 96],
             hashes[at + 96 : at + 128])
            for at in range(0, len(hashes), _AGENT)
        )  # fmt: skip
        return Attestation(
            str(data["replica"]), Statement.from_data(data["statement"]), data["signature"], leaves
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueEncodingError(f"no attestation: {error}") from error
