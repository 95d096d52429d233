"""``swarmc status`` and ``swarmc config``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import ArgumentError
from .cli_terminal import write_file

if TYPE_CHECKING:
    from .cli_routed import RouterWanted


def show_status(config_file: Path | None, wanted: RouterWanted, *, as_json: bool) -> None:
    """Print what a router that runs tells, or else the configured store."""
    from .cli_routed import routed_status
    from .orchestration.config_file import load_config
    from .orchestration.dispatcher_status import read_status

    config = load_config(config_file)
    path = config.path(config.dispatcher.state_db_path)
    told = routed_status(wanted, config)
    status, alive = (told[0], True) if told is not None else read_status(path)
    if as_json:
        router = told[1] if told is not None else None
        data = {**status.to_data(), "alive": alive, "router": router}
        typer.echo(json.dumps(data, indent=2))
        return
    typer.echo("\n".join(status.lines()))
    if told is not None:
        return
    if not path.exists():
        typer.echo(f"swarmc: there is no state database {path} yet", err=True)
    elif not alive and status.workflows:
        typer.echo(
            f"swarmc: no process works with {path}; `swarmc deploy --resume` goes on with what"
            " has not ended", err=True,
        )  # fmt: skip


def write_config(output: Path, *, force: bool, as_json: bool = False) -> None:
    """Write the default configuration."""
    from .orchestration.config_template import TEMPLATE

    if str(output) != "-" and output.exists() and not force:
        raise ArgumentError(f"{output} is there already", hint="--force overwrites it")
    if str(output) != "-":
        write_file(output, lambda file: file.write(TEMPLATE), binary=False)
        typer.echo(json.dumps({"file": str(output)}) if as_json else f"wrote {output}")
    else:
        typer.echo(json.dumps({"configuration": TEMPLATE}) if as_json else TEMPLATE, nl=as_json)
