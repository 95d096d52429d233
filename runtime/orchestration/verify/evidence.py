"""Whether a certificate shows that somebody has lied, so that nothing more is run there."""

from __future__ import annotations

from collections.abc import Mapping

from ..coordinator.errors import BadCertificateError
from .certificate import Accusation, ShardCertificate, check_certificate


def check_evidence(
    evidence: str | bytes,
    replica: str,
    keys: Mapping[str, bytes],
    *,
    f: int = 1,
    domains: Mapping[str, str] | None = None,
) -> Accusation:
    """Make sure that a certificate shows that a replica lied: f + 1 others signed something else.

    That it did not answer is no lie, and that somebody says so shows nothing.

    Args:
        evidence: a :class:`ShardCertificate`, as JSON.
        replica: who is said to have lied.
        keys: of all replicas whom the one who asks knows; those in the certificate prove nothing.
        f: how many of them may lie. What the certificate says of it counts if it is more.
        domains: what fails together; signatures of one domain count once. None: each by itself.

    Returns:
        What the replica has signed, and where that differs.

    Raises:
        BadCertificateError: it does not show that.
    """
    certificate = ShardCertificate.from_json(evidence)
    if replica not in keys:
        raise BadCertificateError(f"there is no key of {replica}")
    needed = max(f, certificate.f, 1)
    check_certificate(certificate, keys, f=needed)
    signers = set(certificate.signatures) & set(keys)
    if replica in signers:
        raise BadCertificateError(f"{replica} has signed what it is accused of contradicting")
    if domains is not None:
        apart = {domains.get(name, name) for name in signers}
        if len(apart) <= needed:
            raise BadCertificateError(
                f"who signed it is of {len(apart)} domains: it takes {needed + 1}"
            )
    for accusation in certificate.accused:
        if accusation.replica == replica and accusation.statement is not None:
            return accusation
    raise BadCertificateError(f"the certificate has nothing that {replica} has signed")
