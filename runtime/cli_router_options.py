"""Options of all commands that may talk to a router."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ArgumentError

#: Of a swarm and of a node; the protocol's bounds, which `--help` must not load to know.
MAX_NODES = 1024
MAX_AGENTS = 1 << 20
DEFAULT_ROUTER = "ws://127.0.0.1:8080"

Router = Annotated[
    str | None,
    typer.Option("--router", envvar="SWARMC_ROUTER", help="Where the router is; default: as the"
                 f" configuration says, else {DEFAULT_ROUTER}."),
]  # fmt: skip
RunningRouter = Annotated[
    str | None,
    typer.Option("--router", envvar="SWARMC_ROUTER", help="Where the router is; default: the one"
                 " that has the state database in use, if there is one."),
]  # fmt: skip
TokenFile = Annotated[
    Path | None,
    typer.Option(envvar="SWARMC_ROUTER_TOKEN_FILE", help="File with the router's token."),
]
Certificate = Annotated[
    Path | None, typer.Option(help="Certificate to trust, of a router that has its own; PEM.")
]


def read_token(path: Path | None) -> str | None:
    """The token of ``--token-file``; None if none was named.

    Raises:
        ArgumentError: the file cannot be read, is no text, or has no token in it.
    """
    from .cli_inputs import read_text

    if path is None:
        return None
    token = read_text(path).strip()
    if not token:
        raise ArgumentError(f"{path} has no token in it")
    return token
