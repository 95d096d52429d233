"""``swarmc status`` and ``swarmc config``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import ArgumentError
from .cli_terminal import write_file

if TYPE_CHECKING:
    from .cli_routed import RouterWanted, Tasks


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


def show_tasks(
    config_file: Path | None, wanted: RouterWanted, states: Sequence[str], limit: int, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Print tasks, those accepted last first: as a router that runs tells, or else the store."""
    from .cli_routed import routed_tasks
    from .orchestration.config_file import load_config

    config = load_config(config_file)
    path = config.path(config.dispatcher.state_db_path)
    told = routed_tasks(wanted, config, states, limit)
    tasks, more = told[0] if told is not None else _stored_tasks(path, states, limit)
    if as_json:
        router = told[1] if told is not None else None
        typer.echo(json.dumps({"tasks": tasks, "more": more, "router": router}, indent=2))
        return
    if told is None and not path.exists():
        typer.echo(f"swarmc: there is no state database {path} yet", err=True)
    elif not tasks:
        typer.echo("no tasks" if not states else f"no tasks that are {' or '.join(states)}")
    else:
        _print_tasks(tasks)
    if more:
        typer.echo(f"swarmc: these are the latest {limit}; --limit shows more", err=True)


def _stored_tasks(path: Path, states: Sequence[str], limit: int) -> Tasks:
    from .orchestration.store import Store
    from .orchestration.tasks import TaskState

    if not path.exists():
        return [], False
    wanted = {TaskState(state) for state in states} or None
    with Store.open_readonly(path) as store:
        found = store.newest_tasks(limit + 1, wanted)
    rows = [
        {
            "task_id": task.id, "name": task.name, "state": task.state.value,
            "executor": task.executor, "agent": task.agent, "attempts": task.attempts,
            "error": task.error, "workflow_id": task.workflow,
        }
        for task in found[:limit]
    ]  # fmt: skip
    return rows, len(found) > limit


def _print_tasks(tasks: list[dict[str, Any]]) -> None:
    columns = {"task": "task_id", "state": "state", "attempts": "attempts", "worker": "agent",
               "name": "name", "error": "error"}  # fmt: skip
    rows = [list(columns)]
    for task in tasks:
        cells = ["-" if task[field] is None else str(task[field]) for field in columns.values()]
        rows.append([" ".join(cell.split()) for cell in cells])  # errors have lines
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # whole, in pipes above all; the error, which is long, is the last
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


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
