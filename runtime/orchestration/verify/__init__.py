"""Certified execution: replicas run the same shard, and sign what came of it, bit for bit.

Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .certificate import (
        Accusation,
        CertificationError,
        ShardCertificate,
        certify,
        check_certificate,
    )
    from .merkle import merkle_root
    from .replica import Attestation, LocalReplica, ShardReplica, Statement
    from .shard import Shard

__all__ = [
    "Accusation",
    "Attestation",
    "CertificationError",
    "LocalReplica",
    "Shard",
    "ShardCertificate",
    "ShardReplica",
    "Statement",
    "certify",
    "check_certificate",
    "merkle_root",
]

_HOMES = {
    "Accusation": ".certificate",
    "Attestation": ".replica",
    "CertificationError": ".certificate",
    "LocalReplica": ".replica",
    "Shard": ".shard",
    "ShardCertificate": ".certificate",
    "ShardReplica": ".replica",
    "Statement": ".replica",
    "certify": ".certificate",
    "check_certificate": ".certificate",
    "merkle_root": ".merkle",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
