"""The live view of ``swarmc deploy``: a table of symbols that is drawn anew while they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .orchestration.tasks import TaskState
from .orchestration.workflow.result import SymbolResult, WorkflowResult

_STYLES = {
    TaskState.WAITING: "dim", TaskState.QUEUED: "cyan", TaskState.RUNNING: "bold yellow",
    TaskState.COMPLETED: "green", TaskState.FAILED: "bold red", TaskState.CANCELLED: "magenta",
}  # fmt: skip


class LiveTable:
    """A table on a terminal that shows a run as it is now."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, result: WorkflowResult) -> None:
        """Draw it anew."""
        self._live.update(table_of(result), refresh=True)


@contextmanager
def live_table(result: WorkflowResult, console: Console | None = None) -> Iterator[LiveTable]:
    """A live view on standard error; it is gone afterwards, for the report to take its place."""
    where = console or Console(stderr=True)
    with Live(table_of(result), console=where, transient=True, auto_refresh=False) as live:
        yield LiveTable(live)


def table_of(result: WorkflowResult) -> Table:
    """A run as a table."""
    done = f"{result.completed_tasks}/{result.total_tasks}"
    title = f"{result.name} {result.version}: {result.state.value.replace('_', ' ')}, {done}"
    table = Table(title=title, title_justify="left")
    for column in ("symbol", "executor", "state", "attempts", "ms", "error"):
        table.add_column(column, justify="right" if column in ("attempts", "ms") else "left")
    for symbol in result.symbols.values():
        table.add_row(*_cells(symbol, symbol.name))
    if result.rollbacks:
        table.add_section()
    for name, undone in result.rollbacks.items():
        table.add_row(*_cells(undone, f"{undone.name} (rollback of {name})"))
    return table


def _cells(symbol: SymbolResult, name: str) -> list[Text]:
    took = "" if symbol.duration is None else f"{symbol.duration * 1000:,.0f}"
    attempts = str(symbol.attempts) if symbol.attempts else ""
    error = (symbol.error or "").partition("\n")[0]
    cells = (name, symbol.executor, symbol.state.value, attempts, took, error)
    return [
        Text(cell, _STYLES[symbol.state] if column == 2 else "")
        for column, cell in enumerate(cells)
    ]
