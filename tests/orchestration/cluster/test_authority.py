"""The cluster's certificate authority: its file, what it signs, what it does not."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from swarmc.runtime.orchestration.cluster.authority import Authority, KeyPair
from swarmc.runtime.orchestration.cluster.errors import AuthorityError


def load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def test_it_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "cluster.pem"
    made = Authority.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Authority.open(path).certificate == made.certificate
    assert [file.name for file in tmp_path.iterdir()] == ["cluster.pem"]
    path.chmod(0o640)
    with pytest.raises(AuthorityError, match="others may read"):
        Authority.open(path)


def test_what_it_signs_is_its_own_and_has_the_name_that_it_gives() -> None:
    authority = Authority.create()
    pair = KeyPair("what the worker calls itself")
    issued = load(authority.issue(pair.request, "worker-1/1"))
    issued.verify_directly_issued_by(load(authority.certificate))
    assert issued.subject.rfc4514_string() == "CN=worker-1/1"
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    left = issued.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=300) < left < datetime.timedelta(days=400)
    credentials = pair.credentials("certificate", "authority")
    assert "PRIVATE" in credentials.key
    assert "PRIVATE" not in repr(credentials) + pair.request
    other = load(Authority.create().certificate)
    with pytest.raises(InvalidSignature):
        issued.verify_directly_issued_by(other)


def test_what_is_no_request_is_refused() -> None:
    authority = Authority.create()
    request = KeyPair("x").request
    lines = request.splitlines()
    for wrong in ("", "text", authority.certificate, "\n".join([*lines[:3], *lines[4:]])):
        with pytest.raises(AuthorityError, match="not a certificate request"):
            authority.issue(wrong, "x")
    line = lines[-3]
    swapped = "A" if line[5] != "A" else "B"
    damaged = "\n".join([*lines[:-3], line[:5] + swapped + line[6:], *lines[-2:]])
    with pytest.raises(AuthorityError, match="request"):
        authority.issue(damaged, "x")


@pytest.mark.parametrize("data", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cluster.pem"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(AuthorityError, match="holds no certificate authority"):
        Authority.open(path)
    whole = tmp_path / "whole.pem"
    Authority.open(whole)
    key = whole.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    path.write_bytes(key + Authority.create().certificate.encode())
    with pytest.raises(AuthorityError, match="not of each other"):
        Authority.open(path)
