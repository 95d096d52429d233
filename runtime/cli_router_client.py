"""``swarmc launch``, ``inject``, ``list`` and ``terminate``: what they ask of a router."""

from __future__ import annotations

import base64
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..errors import ArgumentError
from .cli_extras import needs_web
from .cli_router_options import DEFAULT_ROUTER, MAX_NODES, read_token
from .cli_turns import TurnPrinter

with needs_web():
    import msgspec

    from .orchestration.router.client import RouterClient
    from .orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm, Swarm

_FAILED = 1
_WIDEST = 4096  # columns of a table
_NAME = 128  # characters, as the protocol has it
_STANDARD = Path("-")


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """Where the router is, and how answers are printed."""

    url: str
    token_file: Path | None = None
    certificate: Path | None = None
    json: bool = False

    @classmethod
    def of(
        cls, router: str | None, config: Path | None, token_file: Path | None,
        certificate: Path | None, json: bool,
    ) -> RouterOptions:  # fmt: skip
        """As options say, else as the configuration of the cluster does."""
        if router is None and config is not None:
            from .orchestration.providers import load_cluster_config

            router = load_cluster_config(config).router
        return cls(router or DEFAULT_ROUTER, token_file, certificate, json)

    def connect(self) -> RouterClient:
        """A connection. Raises OrchestrationError if there is none."""
        token = read_token(self.token_file)
        return RouterClient(self.url, token=token, certificate=self.certificate)


@dataclass(frozen=True, slots=True)
class LaunchCommand:
    """The options of ``swarmc launch``."""

    module: Path | None
    nodes: int
    prompt: str
    agents: int
    fuel: int | None
    name: str
    config: Path | None
    trace: bool = True


@dataclass(frozen=True, slots=True)
class InjectCommand:
    """The options of ``swarmc inject``."""

    swarm: str
    prompt: str | None
    stdin: Path | None
    nodes: str | None
    wait: bool
    commands: bool = False


def launch_swarm(options: RouterOptions, command: LaunchCommand) -> None:
    """Launch, and print the swarm."""
    module = command.module
    if module is None and command.config is not None:
        from .orchestration.providers import load_cluster_config

        module = load_cluster_config(command.config).module_path
    if len(command.name) > _NAME:
        raise ArgumentError(f"--name has {_NAME} characters at most, not {len(command.name)}")
    launch = Launch(
        nodes=command.nodes, prompt=command.prompt, agents=command.agents, fuel=command.fuel,
        name=command.name, module=str(module.absolute()) if module is not None else None,
        trace=command.trace,
    )  # fmt: skip
    with options.connect() as client:
        _print_swarms(options, client.call("swarm_launch", launch))


def inject_swarm(options: RouterOptions, command: InjectCommand) -> int:
    """Inject, and print events until all turns have ended; returns the exit code."""
    inject = Inject(
        swarm_id=command.swarm, prompt=command.prompt, nodes=_numbers(command.nodes),
        data=None if command.stdin is None else base64.b64encode(_read(command.stdin)).decode(),
    )  # fmt: skip
    if (inject.prompt is None) == (inject.data is None):
        raise ArgumentError("give --prompt or --stdin, and not both")
    with options.connect() as client:
        if command.wait:
            client.subscribe(swarm_id=command.swarm)
        turns = client.call("swarm_inject", inject).turns
        if not command.wait:
            for node, turn in turns.items():
                typer.echo(f"node {node}: {turn}")
            return 0
        printer = TurnPrinter(json=options.json, commands=command.commands)
        return _follow(printer, client, set(turns.values()))


def _follow(printer: TurnPrinter, client: RouterClient, turns: set[str]) -> int:
    failed = 0
    for event in client.events():
        if event.type == "swarm_terminated":
            printer.show(event)
            return _FAILED
        if event.turn_id not in turns:
            continue
        printer.show(event)
        if event.type == "turn_complete":
            failed += event.data["outcome"] != "completed"
            turns.discard(event.turn_id or "")
            if not turns:
                return _FAILED if failed else 0
    raise ArgumentError("the connection to the router was lost", hint="the turns go on")


def list_swarms(options: RouterOptions) -> None:
    """Print all swarms."""
    with options.connect() as client:
        found = client.call("swarm_list", Nothing())
    if options.json:
        typer.echo(msgspec.json.encode(found).decode())
    elif not found.swarms:
        typer.echo("no swarms")
    else:
        _print_swarms(options, *found.swarms)


def terminate_swarm(options: RouterOptions, swarm: str, reason: str) -> None:
    """Terminate, and print the swarm."""
    with options.connect() as client:
        ended = client.call("swarm_terminate", OfSwarm(swarm_id=swarm, reason=reason))
    _print_swarms(options, ended)


def _print_swarms(options: RouterOptions, *swarms: Swarm) -> None:
    if options.json:
        for swarm in swarms:
            typer.echo(msgspec.json.encode(swarm).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in ("swarm", "status", "job", "nodes", "agents", "module", "name"):
        table.add_column(column, no_wrap=True)
    for swarm in swarms:
        states: dict[str, Any] = {}
        for node in swarm.nodes:
            states[node.state] = states.get(node.state, 0) + 1
        nodes = ", ".join(f"{count} {state}" for state, count in states.items())
        if restarts := sum(node.restarts for node in swarm.nodes):
            nodes += f"; {restarts} restart{'s' if restarts > 1 else ''}"
        status = swarm.status + (f" ({swarm.reason})" if swarm.reason else "")
        table.add_row(
            swarm.swarm_id, status, swarm.job_id or "-", nodes, f"{swarm.agents:,}",
            Path(swarm.module).name, swarm.name,
        )  # fmt: skip
    console = Console()
    wide = console.options.update(max_width=_WIDEST)
    width = max(console.width, console.measure(table, options=wide).maximum)
    Console(width=width).print(table, soft_wrap=True)  # ids are to be whole, in pipes above all
    for swarm in swarms:
        for node in swarm.nodes:
            if node.reason and swarm.ended is None:
                times = f", {node.restarts} restarts" if node.restarts > 1 else ""
                where = f"{swarm.swarm_id} node {node.node}"
                typer.echo(f"{where} is {node.state}{times}: {node.reason}")


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(f"--nodes must be numbers such as 0,2, not {text!r}") from None
    if wrong := [number for number in numbers if not 0 <= number < MAX_NODES]:
        why = f"--nodes: nodes are numbered from 0 to {MAX_NODES - 1}, not {wrong[0]}"
        raise ArgumentError(why)
    return numbers


def _read(path: Path) -> bytes:
    from .cli_inputs import read_bytes

    return sys.stdin.buffer.read() if path == _STANDARD else read_bytes(path)
