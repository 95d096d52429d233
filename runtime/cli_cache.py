"""``swarmc cache``: what is stored, and removing it."""

from __future__ import annotations

from datetime import datetime

from rich import box
from rich.table import Table

from ..errors import CacheError
from .cache import Cache, default_cache_dir
from .cli_terminal import size_text, stdout_console

_KEY_DIGITS = 16


def _cache() -> Cache:
    directory = default_cache_dir()
    if directory is None:
        raise CacheError("there is no cache: HOME is not set", hint="set SWARMC_CACHE_DIR")
    return Cache(directory)


def list_cache() -> None:
    """Print the entries, the one used last first."""
    cache, console = _cache(), stdout_console()
    entries = sorted(cache.entries(), key=lambda entry: -entry.used)
    if entries:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("key")
        table.add_column("what")
        table.add_column("size", justify="right")
        table.add_column("last used")
        for entry in entries:
            kind = "program" if entry.path.suffix == ".swarmc" else "host function"
            used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M:%S")
            table.add_row(entry.key[:_KEY_DIGITS], kind, size_text(entry.size), used)
        console.print(table)
    total = sum(entry.size for entry in entries)
    console.print(f"{len(entries)} entries, {size_text(total)}, in {cache.directory}",
                  soft_wrap=True, highlight=False)  # fmt: skip


def clear_cache() -> None:
    """Remove all entries."""
    cache = _cache()
    count = cache.clear()
    stdout_console().print(f"removed {count} entries from {cache.directory}",
                           soft_wrap=True, highlight=False)  # fmt: skip
