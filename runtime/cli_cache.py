"""``swarmc cache``: what is stored, and removing it."""

from __future__ import annotations

import json
from datetime import datetime

import typer
from rich import box
from rich.table import Table

from ..errors import CacheError
from .cache import Cache, CacheEntry, default_cache_dir
from .cli_terminal import size_text, stdout_console

_KEY_DIGITS = 16


def _cache() -> Cache:
    directory = default_cache_dir()
    if directory is None:
        raise CacheError("there is no cache: HOME is not set", hint="set SWARMC_CACHE_DIR")
    return Cache(directory)


def _kind(entry: CacheEntry) -> str:
    return "program" if entry.path.suffix == ".swarmc" else "host function"


def list_cache(*, as_json: bool = False) -> None:
    """Print the entries, the one used last first."""
    cache, console = _cache(), stdout_console()
    entries = sorted(cache.entries(), key=lambda entry: -entry.used)
    if as_json:
        typer.echo(json.dumps({
            "directory": str(cache.directory),
            "entries": [
                {"key": entry.key, "kind": _kind(entry), "size": entry.size, "used": entry.used}
                for entry in entries
            ],
        }))  # fmt: skip
        return
    if entries:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("key")
        table.add_column("what")
        table.add_column("size", justify="right")
        table.add_column("last used")
        for entry in entries:
            used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(entry.key[:_KEY_DIGITS], _kind(entry), size_text(entry.size), used)
        console.print(table)
    total = sum(entry.size for entry in entries)
    console.print(f"{len(entries)} entries, {size_text(total)}, in {cache.directory}",
                  soft_wrap=True, highlight=False)  # fmt: skip


def clear_cache(*, as_json: bool = False) -> None:
    """Remove all entries."""
    cache = _cache()
    count = cache.clear()
    if as_json:
        typer.echo(json.dumps({"directory": str(cache.directory), "removed": count}))
        return
    stdout_console().print(f"removed {count} entries from {cache.directory}",
                           soft_wrap=True, highlight=False)  # fmt: skip
