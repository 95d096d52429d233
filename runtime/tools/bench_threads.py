"""A thread for every core, for engines that have no threads of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def open_pool() -> ThreadPoolExecutor:
    """A pool whose threads run already."""
    pool = ThreadPoolExecutor(cores())
    barrier = threading.Barrier(cores())  # a pool starts a thread only when all others are busy
    run_in_all(pool, barrier.wait)
    return pool


def run_in_all(pool: ThreadPoolExecutor, work: Callable[[], object]) -> None:
    """Run the same in every thread of a pool and wait for all; the first error is raised."""
    for future in [pool.submit(work) for _ in range(cores())]:
        future.result()
