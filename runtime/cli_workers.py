"""``swarmc workers``: who runs tasks for a dispatcher."""

from __future__ import annotations

import typer

from .cli_extras import needs_web
from .cli_router_client import RouterOptions

with needs_web():
    import msgspec

    from .orchestration.router.protocol import Nothing


def list_workers(options: RouterOptions) -> None:
    """Print all workers."""
    with options.connect() as client:
        found = client.call("worker_list", Nothing())
    if options.json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    if not found.workers:
        typer.echo("no workers but the dispatcher's own; start one with `swarmc start-worker`")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in ("worker", "name", "state", "host", "runs", "ended", "targets", "executors"):
        table.add_column(column, no_wrap=True)
    for worker in found.workers:
        state = worker.state + (f" ({worker.reason})" if worker.reason else "")
        table.add_row(
            worker.worker_id, worker.name, state, worker.host,
            f"{worker.running} of {worker.capacity}", f"{worker.completed:,}",
            ", ".join(worker.targets), ", ".join(worker.executors),
        )  # fmt: skip
    console = Console()
    whole = Console(width=10_000).measure(table).maximum
    if whole > console.width:  # ids must be whole, or they cannot be copied
        console = Console(width=whole)
    console.print(table, soft_wrap=True)
