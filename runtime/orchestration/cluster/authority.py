"""The cluster's certificate authority: who may connect to the engine.

A dispatcher has one. Workers make a key of their own, which stays with them, and ask for a
certificate over their authenticated control connection.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .errors import AuthorityError

_YEARS = datetime.timedelta(days=3650)
_YEAR = datetime.timedelta(days=365)
_SKEW = datetime.timedelta(minutes=10)  # clocks of other machines may be behind
#: In the certificate of every authority.
NAME = "swarmc cluster"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one end of a mutual TLS connection has; all in PEM.

    Args:
        authority: certificate of who signed those of all peers.
        certificate, key: its own.
    """

    authority: str
    certificate: str
    key: str

    def __repr__(self) -> str:
        return "<Credentials>"  # the key must not get into a log


class KeyPair:
    """A fresh private key, and what asks for a certificate for it.

    Args:
        name: goes into the certificate.
    """

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
        request = builder.sign(self._key, hashes.SHA256())
        self.request = request.public_bytes(Encoding.PEM).decode()

    def credentials(self, certificate: str, authority: str) -> Credentials:
        """With the certificate that the authority gave."""
        return Credentials(authority, certificate, _private_pem(self._key).decode())


class Authority:
    """Signs certificates. Make one by :meth:`open` or :meth:`create`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._own = certificate
        self.certificate = certificate.public_bytes(Encoding.PEM).decode()

    @classmethod
    def create(cls) -> Self:
        """A new one, which is kept nowhere."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(NAME))
            .issuer_name(_subject(NAME))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def open(cls, path: Path) -> Self:
        """The one in a file that only its owner may read; made there if there is none.

        Raises:
            AuthorityError: the file is damaged, or others may read it.
            OSError: it cannot be read or written.
        """
        with contextlib.suppress(FileNotFoundError):
            return cls._read(path)
        made = cls.create()
        data = _private_pem(made._key) + made.certificate.encode()
        # Written beside, and given its name when it is whole: half a file would be in the way.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        except FileExistsError:
            return cls._read(path)
        finally:
            beside.unlink()
        return made

    @classmethod
    def _read(cls, path: Path) -> Self:
        if path.stat().st_mode & 0o077:
            raise AuthorityError(
                f"others may read the certificate authority's key in {path}",
                hint=f"chmod 600 {path}",
            )
        data = path.read_bytes()
        try:
            key = load_pem_private_key(data, None)
            certificate = x509.load_pem_x509_certificate(data)
        except ValueError as error:
            raise AuthorityError(f"{path} holds no certificate authority: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AuthorityError(f"{path} holds another kind of key")
        if key.public_key() != certificate.public_key():
            raise AuthorityError(f"the key and the certificate in {path} are not of each other")
        return cls(key, certificate)

    def issue(self, request: str, name: str) -> str:
        """A certificate for who asks, under the name that the dispatcher gives.

        Args:
            request: a PEM certificate signing request; only its key is taken.

        Raises:
            AuthorityError: it is none, or whoever made it does not have the key.
        """
        try:
            asked = x509.load_pem_x509_csr(request.encode())
            if not asked.is_signature_valid:
                raise AuthorityError("the certificate request is not signed by its own key")
            public = asked.public_key()
        except (ValueError, InvalidSignature) as error:
            raise AuthorityError(f"not a certificate request: {error}") from error
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise AuthorityError("a certificate request must be for an elliptic curve's key")
        now = datetime.datetime.now(datetime.UTC)
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(name))
            .issuer_name(self._own.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _YEAR)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def credentials(self, name: str) -> Credentials:
        """A key and a certificate for this process itself."""
        pair = KeyPair(name)
        return pair.credentials(self.issue(pair.request, name), self.certificate)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
