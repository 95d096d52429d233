"""Workers in threads of this process: what starts at once, and waits without spinning.

Numba's parallel loop (:mod:`.dispatcher`) does the same behind the same interface. Importing it
takes half a second, and its threads wait for each other actively, which costs milliseconds where
something else uses the cores as well.
"""

from __future__ import annotations

import collections
import ctypes
import operator
import os
import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

#: Runs workers 0 to N - 1 of a job at once and waits for them: (address of ``swarm_worker``,
#: address of the job, N).
Launch: TypeAlias = Callable[[int, int, int], None]

_WORKER = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)
_Task = tuple[Callable[[int, int], None], int, int, "queue.SimpleQueue[None]"]


class _Threads:
    """Threads that run workers, until the process ends."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._count = 0
        self._growing = threading.Lock()

    def run(self, call: Callable[[int, int], None], job: int, workers: int) -> None:
        """Run worker 0 here and the others in threads; releases the interpreter lock."""
        self._grow(workers - 1)
        done: queue.SimpleQueue[None] = queue.SimpleQueue()
        tasks = iter([(call, job, worker, done) for worker in range(1, workers)])
        try:
            # In one call, so that Ctrl-C finds each worker begun and counted, or neither.
            collections.deque(map(self._tasks.put, tasks), maxlen=0)
            call(job, 0)
        finally:
            _wait(done, workers - 1 - operator.length_hint(tasks))

    def _grow(self, count: int) -> None:
        with self._growing:
            while self._count < count:
                threading.Thread(target=self._work, name="swarmc-worker", daemon=True).start()
                self._count += 1

    def _work(self) -> None:
        while True:
            call, job, worker, done = self._tasks.get()
            call(job, worker)
            done.put(None)


def _wait(done: queue.SimpleQueue[None], count: int) -> None:
    """Wait for workers, whose job must not go away before; impatience comes after that."""
    interruption: KeyboardInterrupt | None = None
    while count:
        try:
            done.get()
            count -= 1
        except KeyboardInterrupt as error:
            interruption = error
    if interruption is not None:
        raise interruption


_starting = threading.Lock()
_threads: _Threads | None = None


def launch(address: int, job: int, workers: int) -> None:
    """See :data:`Launch`."""
    call = _WORKER(address)
    if workers == 1:
        call(job, 0)
        return
    global _threads
    with _starting:
        if _threads is None or _threads.pid != os.getpid():  # threads do not survive a fork
            _threads = _Threads()
        threads = _threads
    threads.run(call, job, workers)
