"""Signatures: Ed25519 for use, and the seams for others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from .errors import BadSignatureError


class Signer(Protocol):
    """Signs in one member's name."""

    @property
    def public_key(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class Verifier(Protocol):
    """Tells whose signature it is."""

    def verify(self, member: str, data: bytes, signature: bytes) -> bool:
        """Whether this member has signed these bytes."""


class Ed25519Signer:
    """A private key.

    Args:
        seed: its 32 bytes; None: a fresh one.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._key = (
            Ed25519PrivateKey.generate()
            if seed is None
            else Ed25519PrivateKey.from_private_bytes(seed)
        )
        self.public_key = self._key.public_key().public_bytes_raw()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Ed25519Signer:
        """The key in a file, made there if there is none: 32 bytes that only the owner may read.

        Raises:
            BadSignatureError: the file holds something else, or others may read it.
            OSError: it cannot be read or written.
        """
        path = Path(path)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls._read(path)
        signer = cls()
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(signer._key.private_bytes_raw())
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)  # half a key would keep the member from ever starting
            raise
        return signer

    @classmethod
    def _read(cls, path: Path) -> Ed25519Signer:
        if path.stat().st_mode & 0o077:
            raise BadSignatureError(f"others may read the key in {path}", hint=f"chmod 600 {path}")
        seed = path.read_bytes()
        if len(seed) != 32:
            raise BadSignatureError(f"{path} holds no key: {len(seed)} bytes, not 32")
        return cls(seed)

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of a signature."""
        return self._key.sign(data)


class Ed25519Verifier:
    """Public keys of members.

    Args:
        keys: 32 bytes each, by member.

    Raises:
        BadSignatureError: one is no key.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys: dict[str, Ed25519PublicKey] = {}
        for member, key in keys.items():
            try:
                self._keys[member] = Ed25519PublicKey.from_public_bytes(key)
            except ValueError as error:
                raise BadSignatureError(f"the public key of {member} is none: {error}") from error

    def verify(self, member: str, data: bytes, signature: bytes) -> bool:
        """Whether this member has signed these bytes."""
        key = self._keys.get(member)
        if key is None:
            return False
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True
