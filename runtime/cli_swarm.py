"""``swarmc status`` and ``swarmc config``."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from ..errors import ArgumentError
from .cli_terminal import write_file


def show_status(config_file: Path | None, *, as_json: bool) -> None:
    """Print what the configured store tells."""
    from .orchestration.config_file import load_config
    from .orchestration.dispatcher_status import read_status

    config = load_config(config_file)
    path = config.path(config.dispatcher.state_db_path)
    status, alive = read_status(path)
    if as_json:
        typer.echo(json.dumps({**status.to_data(), "alive": alive}, indent=2))
        return
    typer.echo("\n".join(status.lines()))
    if not path.exists():
        typer.echo(f"swarmc: there is no state database {path} yet", err=True)
    elif not alive and status.workflows:
        typer.echo(
            f"swarmc: no process works with {path}; `swarmc deploy --resume` goes on with what"
            " has not ended", err=True,
        )  # fmt: skip


def write_config(output: Path, *, force: bool) -> None:
    """Write the default configuration."""
    from .orchestration.config_template import TEMPLATE

    if str(output) != "-" and output.exists() and not force:
        raise ArgumentError(f"{output} is there already", hint="--force overwrites it")
    write_file(output, lambda file: file.write(TEMPLATE), binary=False)
    if str(output) != "-":
        typer.echo(f"wrote {output}")
