"""What ``swarmc inject`` prints of the events of turns."""

from __future__ import annotations

import sys
from typing import Any

import typer

from .cli_extras import needs_web
from .cli_terminal import printable

with needs_web():
    import msgspec

    from .orchestration.router.protocol import Event

_LINES = {
    "turn_started": "turn started",
    "usage": "{instructions:,} instructions, {milliseconds:.1f} ms, {bytes:,} bytes",
    "turn_complete": "turn {outcome}",
}
_DELTAS = ("reasoning_delta", "assistant_delta")


class TurnPrinter:
    """Prints events as they come.

    Args:
        json: each as a line of JSON.
        commands: host calls as well.
    """

    def __init__(self, *, json: bool = False, commands: bool = False) -> None:
        self._json = json
        self._commands = commands
        self._lines: dict[tuple[int | None, int, str], str] = {}  # that have no end yet
        self._args: dict[tuple[int | None, int], Any] = {}  # of the call that an agent is in

    def show(self, event: Event) -> None:
        """Print an event; text when its line has ended."""
        data = event.data
        if self._json:
            typer.echo(msgspec.json.encode(event).decode())
        elif event.type in _DELTAS:
            self._text(event)
        elif event.type == "command_started":
            self._args[event.node, data["agent"]] = data.get("args")
        elif event.type == "command_completed":
            args = self._args.pop((event.node, data["agent"]), None)
            if self._commands:
                where = f"{_where(event)} agent {data['agent']}"
                typer.echo(f"{where}: {call_text(data, args)}", err=True)
        else:
            self._flush(event.node)
            text = _LINES.get(event.type, event.type)
            if event.type == "turn_complete" and data["error"]:
                text += ": {error}"
            typer.echo(f"{_where(event)} {text.format(**data)}", err=True)

    def _text(self, event: Event) -> None:
        key = (event.node, event.data["agent"], event.type)
        *lines, rest = (self._lines.pop(key, "") + event.data["text"]).split("\n")
        for line in lines:
            _print_line(key, line)
        if rest:
            self._lines[key] = rest

    def _flush(self, node: int | None) -> None:
        """Print what a node's agents wrote without ending the line."""
        for key in [key for key in self._lines if key[0] == node]:
            _print_line(key, self._lines.pop(key))


def _print_line(key: tuple[int | None, int, str], line: str) -> None:
    node, agent, type = key
    stream = sys.stderr if type == "reasoning_delta" else sys.stdout
    typer.echo(f"[node {node}] agent {agent}: {line.removesuffix(chr(13))}", file=stream)


def _where(event: Event) -> str:
    return f"[node {event.node}]" if event.node is not None else f"[{event.swarm_id}]"


def call_text(data: dict[str, Any], args: Any) -> str:
    """A host call in a line: of the events of its beginning and its end."""
    listed = ", ".join(map(_value, args)) if isinstance(args, list) else ""
    text = f"{data.get('name', '?')}({listed})"
    if data.get("exit_code") is not None:
        return f"{text} exited with {data['exit_code']}"
    if "errno" in data:
        return f"{text} = {data['errno']}"
    if data.get("error") is not None:
        return f"{text} failed: {printable(str(data['error']).encode())}"
    return text if data.get("result") is None else f"{text} = {_value(data['result'])}"


def _value(value: Any) -> str:
    return printable(msgspec.json.encode(value))
