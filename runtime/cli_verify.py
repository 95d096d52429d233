"""``swarmc verify``: check a certificate, without asking anyone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ArgumentError

_WRONG = 1

CertificateFile = Annotated[
    Path, typer.Argument(help="Certificate of a shard, or of a proposal; JSON.")
]
Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="Public keys of those whom you know: a JSON object of names and"
                 " keys in hexadecimal. Without: those in the certificate, which proves only"
                 " that it was not altered by somebody without them."),
]  # fmt: skip
Faulty = Annotated[
    int | None,
    typer.Option("--f", min=0, help="How many of the replicas may lie; default: as the"
                 " certificate says."),
]  # fmt: skip
ModuleFile = Annotated[
    Path | None, typer.Option("--module", help="Module that it should be of.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_commands(app: typer.Typer, command: Callable[[Callable[..., Any]], Any]) -> None:
    """Give a command line this command."""

    @app.command()
    @command
    def verify(
        certificate: CertificateFile,
        keys: Keys = None,
        f: Faulty = None,
        module: ModuleFile = None,
        json: Json = False,
    ) -> int:
        """Check a certificate, offline: who signed what. Exits with 1 if it does not hold."""
        return verify_file(certificate, keys, f, module, as_json=json)


def verify_file(
    path: Path, keys: Path | None, f: int | None, module: Path | None, *, as_json: bool
) -> int:
    """Check a certificate and say what it proves; returns the exit code.

    Raises:
        SwarmcError: a file cannot be read.
    """
    from .orchestration.coordinator.errors import BadCertificateError, BadSignatureError

    text = _read(path)
    known = None if keys is None else _keys(keys)
    code = None if module is None else _read(module)
    try:
        found = _verify(text, known, f, code)
    except (BadCertificateError, BadSignatureError) as error:
        if as_json:
            typer.echo(json.dumps({"valid": False, "error": str(error)}))
        else:
            typer.echo(f"{path}: not valid: {error}")
        return _WRONG
    if as_json:
        typer.echo(json.dumps({"valid": True, "keys_known": known is not None, **found}))
        return 0
    typer.echo(f"{path}: valid")
    for name, value in found.items():
        for line in value if isinstance(value, list) else [value]:
            typer.echo(f"  {name}: {line}")
    if known is None:
        typer.echo("  The keys are those in the certificate itself: --keys says whom you know.")
    return 0


def _verify(
    text: bytes, known: Mapping[str, bytes] | None, f: int | None, module: bytes | None
) -> dict[str, Any]:
    """What a certificate proves. Raises BadCertificateError, BadSignatureError."""
    from .orchestration.coordinator.errors import BadCertificateError
    from .orchestration.coordinator.proposals import ProposalCertificate
    from .orchestration.verify import Shard, ShardCertificate, check_certificate

    if b'"swarmc proposal 1"' in text[:64]:
        if f is not None or module is not None:
            raise ArgumentError("--f and --module are for certificates of shards")
        proposal = ProposalCertificate.from_json(text)
        proposal.check(proposal.motion.members if known is None else known)
        return {
            "proposal": proposal.motion.id, "type": proposal.motion.type.value,
            "decision": proposal.decision.value,
            "signed by": [vote.voter for vote in proposal.votes],
        }  # fmt: skip
    certificate = ShardCertificate.from_json(text)
    keys = certificate.keys if known is None else known
    check_certificate(certificate, keys, f=certificate.f if f is None else f)
    statement = certificate.statement
    if module is not None and Shard(module).module_digest != statement.module:
        raise BadCertificateError("the certificate is of another module")
    return {
        "module": statement.module, "inputs": statement.inputs, "agents": statement.agents,
        "root": statement.root, "instructions": statement.instructions,
        "signed by": sorted(certificate.signatures.keys() & keys.keys()),
        "accused": [f"{a.replica}: {a.reason}" for a in certificate.accused],
    }  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror}") from error


def _keys(path: Path) -> dict[str, bytes]:
    try:
        return {str(name): bytes.fromhex(key) for name, key in json.loads(_read(path)).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"{path} is no JSON object of names and keys in hexadecimal: {error}"
        ) from error
