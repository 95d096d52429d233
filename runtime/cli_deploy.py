"""``swarmc deploy``: a manifest, its plan, its run, and what became of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

import typer

from ..errors import ArgumentError
from .cli_deploy_live import live_table
from .cli_routed import RouterWanted, routed_runs
from .orchestration.backends import (
    make_executors,
    missing_executors,
    symbol_problems,
    task_defaults,
)
from .orchestration.codec import dumps
from .orchestration.config_file import SwarmConfig, load_config
from .orchestration.dispatcher import Dispatcher
from .orchestration.graph import GraphNode, render_plan
from .orchestration.logger import Logger
from .orchestration.workflow.manifest import load_manifest
from .orchestration.workflow.result import SymbolResult, WorkflowResult, WorkflowState
from .orchestration.workflow.schema import Symbol, WorkflowManifest

_FAILED = 1
_WRONG = 2
_INTERRUPTED = 130
_FRAME = 0.1  # seconds between looks at a run that is shown
_STEP = 1.0  # and at one that is only waited for


@dataclass(frozen=True, slots=True)
class DeployCommand:
    """The options as they were typed; ``swarmc deploy --help`` explains them."""

    manifest: Path | None
    config: Path | None = None
    dry_run: bool = False
    live: bool | None = None
    json: bool = False
    resume: bool = False
    format: str | None = None
    router: RouterWanted = field(default_factory=RouterWanted)


class Runs(Protocol):
    """What runs workflows: this process, or a router."""

    def wait(self, run_id: str, timeout: float) -> WorkflowResult:
        """Wait until a run has ended. Raises TimeoutError if it has not by then."""

    def result(self, run_id: str) -> WorkflowResult:
        """How a run is now."""

    def cancel(self, run_id: str, reason: str) -> bool:
        """Stop a run and roll it back."""


def deploy_workflow(command: DeployCommand) -> int:
    """Run a workflow, or go on with those that have not ended; gives the exit code."""
    if command.resume:
        if command.config is not None or command.dry_run:
            raise ArgumentError("--resume takes no manifest, only a configuration")
        config = load_config(command.manifest)
    elif command.manifest is None:
        raise ArgumentError("there is no manifest", hint="name its file, or - for standard input")
    else:
        config = load_config(command.config)
    if "logging" in config.model_fields_set:  # else -v says how much is logged
        Logger.configure(
            level=config.logging.level.value, console=config.logging.console,
            format=config.logging.format.value,
        )  # fmt: skip
    manifest = _load(command, config)
    if manifest is not None and command.dry_run:
        return _show_plan(manifest, config, as_json=command.json)
    routed = routed_runs(command.router, config)
    if routed is None:
        return _run_here(Dispatcher(config), manifest, command)
    with routed, _terminable():
        run_ids = routed.active() if manifest is None else [routed.deploy(manifest)]
        code = _finish(routed, run_ids, command)
        return _left("the router goes on with it") if code is None else code


def _load(command: DeployCommand, config: SwarmConfig) -> WorkflowManifest | None:
    """The manifest that is meant; a router that was named knows which executors there are."""
    if command.resume or command.manifest is None:
        return None
    elsewhere = command.router.url is not None and not command.dry_run
    executors = None if elsewhere else config.backends.names()
    return load_manifest(command.manifest, format=command.format, executors=executors)


def _run_here(
    dispatcher: Dispatcher, manifest: WorkflowManifest | None, command: DeployCommand
) -> int:
    """Run a workflow in this process, or go on with all that were left."""
    with dispatcher, _terminable():
        if manifest is None:
            run_ids = dispatcher.resume()
        else:
            left = dispatcher.unfinished()
            if left:
                typer.echo(
                    f"swarmc: {len(left)} earlier runs have not ended; `swarmc deploy --resume`"
                    " goes on with them", err=True,
                )  # fmt: skip
            run_ids = [dispatcher.deploy(manifest)]
        code = _finish(dispatcher.runner, run_ids, command)
        if code is None:
            dispatcher.close(0)
            return _left("`swarmc deploy --resume` goes on with it")
        return code


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM be what Ctrl-C is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# Running


def _finish(runs: Runs, run_ids: list[str], command: DeployCommand) -> int | None:
    """Wait for runs and show what became of them; None if they were left.

    The first Ctrl-C stops all of them and has them rolled back, the second leaves them.
    """
    if not run_ids:
        typer.echo("swarmc: every run has ended", err=True)
    code = 0
    results = []
    interrupted = False
    try:
        for place, run_id in enumerate(run_ids):
            try:
                result = _watch(runs, run_id, command)
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                _stop(runs, run_ids[place:])
                result = _watch(runs, run_id, command)
            results.append(result)
            if not command.json:
                typer.echo(result_text(result))
            if not result.success:
                code = _INTERRUPTED if result.error == "interrupted" else code or _FAILED
    except KeyboardInterrupt:
        return None
    if command.json:
        data = [result.to_data() for result in results]
        typer.echo(dumps(data if command.resume else data[0]))
    return code


def _left(who: str) -> int:
    """Say who goes on with what was left, after a second Ctrl-C."""
    typer.echo(f"swarmc: left; {who}", err=True)
    return _INTERRUPTED


def _stop(runs: Runs, run_ids: list[str]) -> None:
    typer.echo("swarmc: interrupted: stopping and rolling back; Ctrl-C again leaves it", err=True)
    for run_id in run_ids:
        runs.cancel(run_id, "interrupted")


def _watch(runs: Runs, run_id: str, command: DeployCommand) -> WorkflowResult:
    wanted = sys.stderr.isatty() if command.live is None else command.live
    with live_table(runs.result(run_id)) if wanted else nullcontext() as view:
        while True:
            try:
                return runs.wait(run_id, _STEP if view is None else _FRAME)
            except TimeoutError:
                if view is not None:
                    view.show(runs.result(run_id))


# Text


def result_text(result: WorkflowResult) -> str:
    """What became of a run, for people."""
    rows = [_row(symbol) for symbol in result.symbols.values()]
    rows += [_row(undone, f"rollback of {name}") for name, undone in result.rollbacks.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{result.name} {result.version}: {_ENDINGS[result.state]} ({result.id})"]
    for *cells, error in rows:
        aligned = "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True))
        lines.append(f"  {aligned}  {error}".rstrip())
    if result.error is not None:
        lines.append(f"Error: {result.error}")
    lines.append(f"Completed: {result.completed_tasks}/{result.total_tasks}")
    return "\n".join(lines)


_ENDINGS = {
    WorkflowState.RUNNING: "running",
    WorkflowState.ROLLING_BACK: "being rolled back",
    WorkflowState.COMPLETED: "completed",
    WorkflowState.FAILED: "failed",
    WorkflowState.ROLLED_BACK: "failed and rolled back",
}


def _row(symbol: SymbolResult, of: str = "") -> tuple[str, str, str, str, str]:
    tries = f"{symbol.attempts} attempts" if symbol.attempts > 1 else ""
    took = "" if symbol.duration is None else f"{symbol.duration * 1000:,.0f} ms"
    name = f"{symbol.name} ({of})" if of else symbol.name
    error = (symbol.error or "").partition("\n")[0] if symbol.result is None else ""
    return symbol.state.value, name, symbol.executor, f"{took} {tries}".strip(), error


def _show_plan(manifest: WorkflowManifest, config: SwarmConfig, *, as_json: bool) -> int:
    """Print in which order symbols would run, and what would keep them from it."""
    executors = make_executors(config)
    problems = missing_executors(manifest, config, executors)
    symbols = symbol_problems(manifest, executors)
    code = _WRONG if problems or symbols else 0
    defaults = task_defaults(config)
    graph = manifest.graph()
    if as_json:
        typer.echo(dumps({
            "name": manifest.name, "version": manifest.version,
            "steps": [list(names) for names in graph.levels()],
            "rollback_order": _rollback_order(manifest), "problems": problems,
            "symbols": symbols,
        }))  # fmt: skip
        return code

    def describe(node: GraphNode[Symbol]) -> list[str]:
        symbol = node.value
        retries = defaults.retries_of(symbol)
        cells = [
            symbol.dispatch, f"{symbol.type.value}, {symbol.context.value}",
            f"priority {symbol.priority}",
            f"timeout {defaults.timeout(symbol):,} ms",
            f"{retries} {'retry' if retries == 1 else 'retries'}",
            f"after {', '.join(symbol.dependencies)}" if symbol.dependencies else "",
        ]  # fmt: skip
        if symbol.rollback is not None:
            cells.append(f"rollback {symbol.rollback.name} ({symbol.rollback.dispatch})")
        return cells

    typer.echo(f"{manifest.name} {manifest.version}: {len(graph)} symbol{'s' * (len(graph) != 1)}")
    if manifest.description:
        typer.echo(manifest.description.rstrip())
    typer.echo(render_plan(graph, describe))
    rollbacks = _rollback_order(manifest)
    if rollbacks:
        typer.echo(f"rollback order: {', '.join(rollbacks)}")
    for problem in problems.values():
        typer.echo(f"swarmc: {problem}", err=True)
    for name, problem in symbols.items():
        typer.echo(f"swarmc: symbol {name}: {problem}", err=True)
    return code


def _rollback_order(manifest: WorkflowManifest) -> list[str]:
    """Symbols that have a rollback, in the order in which they would be undone."""
    undone = {symbol.name for symbol in manifest.symbols if symbol.rollback}
    return [name for name in reversed(manifest.graph().order()) if name in undone]
