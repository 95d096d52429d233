"""Compile host functions in another process, while this one compiles the program that needs them.

Numba takes about half a second for each, once a machine: as long as the program itself.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..targets.child import last_line, start_child
from ..targets.executable import HostImport
from .cache import Cache
from .hosts import is_cached, put_in_cache

log = logging.getLogger(__name__)


@contextmanager
def compiled_meanwhile(imports: Sequence[HostImport], cache: Cache | None) -> Iterator[None]:
    """Put those host functions into the cache that it lacks, by the end of the ``with`` block.

    Without a cache, or with one core, nothing is done: they are compiled when they are loaded.
    """
    lacking: list[HostImport] = []
    if cache is not None and len(os.sched_getaffinity(0)) > 1 and sys.executable:
        lacking = [item for item in imports if not is_cached(item, cache)]
    if cache is None or not lacking:
        yield
        return
    request = [str(cache.directory), cache.limit, [[h.module, h.name] for h in lacking]]
    process = start_child(
        __name__, json.dumps(request), stderr=subprocess.PIPE
    )
    try:
        yield
        _, errors = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode != 0:
        # Loading compiles what is missing, and reports what is wrong with it.
        log.warning("compiling host functions elsewhere ended with %s", last_line(errors))


def main() -> None:
    """What the process does; its argument is the request."""
    directory, limit, names = json.loads(sys.argv[1])
    cache = Cache(directory, limit)
    for module, name in names:
        put_in_cache(module, name, cache)
