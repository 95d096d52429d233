"""Workers in threads and in Numba's parallel loop: all run, all are waited for."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from pathlib import Path

import pytest

from swarmc.runtime import SwarmManager
from swarmc.targets.cpu import CpuTarget, dispatcher, launcher
from swarmc.targets.cpu.launcher import Launch

CORPUS = Path(__file__).parents[2] / "corpus"
WORKER = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)


@pytest.mark.parametrize("launch", [launcher.launch, dispatcher.launch])
def test_agents_run_the_same_whoever_launches(launch: Launch) -> None:
    wasm = (CORPUS / "lib.wasm").read_bytes()
    launched = []

    def noting(address: int, job: int, workers: int) -> None:
        launched.append(workers)
        launch(address, job, workers)

    with SwarmManager.from_wasm(wasm, target=CpuTarget(run_workers=noting), cache=False) as swarm:
        swarm.spawn_agents(100, "fib", args=[[n % 20] for n in range(100)])
        results = swarm.dispatch().results_array().tolist()
    assert launched
    assert (results[0], results[7], results[99]) == (0, 13, 4181)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_worker_runs_once(workers: int) -> None:
    seen = []
    barrier = threading.Barrier(workers)

    def work(job: int, worker: int) -> None:
        barrier.wait(10)  # at the same time
        seen.append((job, worker))

    code = WORKER(work)
    address = ctypes.cast(code, ctypes.c_void_p).value
    assert address is not None
    for job in (7, 8):
        launcher.launch(address, job, workers)
        assert sorted(seen) == [(job, worker) for worker in range(workers)]
        seen.clear()


def test_two_launches_at_once() -> None:
    seen = []

    def work(job: int, worker: int) -> None:
        time.sleep(0.01)
        seen.append((job, worker))

    code = WORKER(work)
    address = ctypes.cast(code, ctypes.c_void_p).value
    threads = [threading.Thread(target=launcher.launch, args=(address, n, 3)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(seen) == [(job, worker) for job in range(4) for worker in range(3)]


class _Impatient(queue.SimpleQueue):  # type: ignore[type-arg]
    """Ctrl-C is pressed whenever somebody waits."""

    presses = 2

    def get(self, block: bool = True, timeout: float | None = None) -> None:
        if self.presses:
            self.presses -= 1
            raise KeyboardInterrupt
        super().get(block, timeout)


def test_an_interrupt_waits_for_the_workers() -> None:
    done = _Impatient()
    for _ in range(3):
        done.put(None)
    with pytest.raises(KeyboardInterrupt):
        launcher._wait(done, 3)
    assert done.empty()
