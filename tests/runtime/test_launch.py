"""Device calls run one at a time, and Ctrl-C stops them."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from swarmc.errors import TargetError
from swarmc.runtime.launch import run_serialised


def no_stop() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.zeros(1, np.int64)


def test_result_and_error_come_back() -> None:
    assert run_serialised(lambda: 42, no_stop()) == (42, None)
    with pytest.raises(ZeroDivisionError):
        run_serialised(lambda: 1 // 0, no_stop())
    with pytest.raises(TimeoutError, match="its own"):
        run_serialised(_raise_timeout, no_stop())
    assert run_serialised(lambda: 43, no_stop()) == (43, None)


def _raise_timeout() -> None:
    raise TimeoutError("its own")


def test_calls_of_many_threads_do_not_overlap() -> None:
    running: list[int] = []
    overlaps: list[int] = []
    results: list[int] = []

    def call(number: int) -> int:
        running.append(number)
        time.sleep(0.001)
        overlaps.append(len(running))
        running.remove(number)
        return number

    def work(number: int) -> None:
        results.append(run_serialised(lambda: call(number), no_stop())[0])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(20))
    assert overlaps == [1] * 20


def test_interrupt_stops_the_call_and_waits_for_it() -> None:
    stop = no_stop()

    def call() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        while not stop[0]:
            time.sleep(0.001)
        time.sleep(0.05)
        return "stopped"

    result, interruption = run_serialised(call, stop)
    assert result == "stopped"
    assert isinstance(interruption, KeyboardInterrupt)


def test_interrupt_of_a_call_that_waits_its_turn() -> None:
    begun, release = threading.Event(), threading.Event()

    def long() -> None:
        begun.set()
        release.wait()

    other = threading.Thread(target=lambda: run_serialised(long, no_stop()))
    other.start()
    begun.wait()
    ran: list[int] = []
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_serialised(lambda: ran.append(1), no_stop())
    release.set()
    other.join()
    run_serialised(lambda: None, no_stop())
    assert ran == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_refused() -> None:
    run_serialised(lambda: None, no_stop())
    child = os.fork()
    if child == 0:
        try:
            run_serialised(lambda: None, no_stop())
        except TargetError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
