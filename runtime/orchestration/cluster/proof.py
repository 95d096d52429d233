"""That a worker has the private key whose public half it announces when it joins."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_DOMAIN = "codeswarm.router.v1 worker_join"


def statement(challenge: str, name: str, public_key: str, certificate_request: str) -> bytes:
    """What a worker signs when it joins.

    Args:
        challenge: what the router said in its welcome, of this connection alone.
        certificate_request: whom the router lets into the engine for this.
    """
    request = hashlib.sha256(certificate_request.encode()).hexdigest()
    # None of these has a line feed in it.
    return "\n".join((_DOMAIN, challenge, name, public_key, request)).encode()


def proves(proof: str, public_key: str, stated: bytes) -> bool:
    """Whether a signature, in hex, is this key's under what is stated."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(proof), stated)
    except (ValueError, InvalidSignature):
        return False
    return True
