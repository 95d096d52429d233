"""Certified execution: replicas run the same shard, and sign what came of it, bit for bit.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

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

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
