"""Python nodes of the pipelines in these tests."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np


def make(count: int = 4) -> Any:
    return np.arange(count, dtype=np.float32)


def same(value: Any) -> Any:
    return value


def add(a: Any, b: Any = 1) -> Any:
    return a + b


async def twice(value: Any) -> Any:
    await asyncio.sleep(0)
    return value * 2


class Doubler:
    async def __call__(self, value: Any) -> Any:
        return value * 2

    def half(self, value: Any) -> Any:
        return value / 2


doubler = Doubler()


def ports() -> Any:
    return {"left": 1, "right": np.arange(3)}


def collect(**values: Any) -> Any:
    return values


def fail(value: Any = None) -> Any:
    raise ValueError(f"cannot work on {value!r}")


def fail_on_two(value: int) -> int:
    if value == 2:
        raise LookupError("two")
    return value


async def fail_soon() -> None:
    await asyncio.sleep(0.01)
    raise ValueError("soon")


def stop_iteration() -> None:
    raise StopIteration("inside")


def leave() -> None:
    raise SystemExit(3)


async def own_timeout() -> None:
    raise TimeoutError("its own")


async def cancel_itself() -> None:
    raise asyncio.CancelledError


def give_coroutine() -> Any:
    return twice(1)


def write_into(value: Any) -> Any:
    value[0] = 7
    return value


def give_set() -> Any:
    return {1, 2}


def thread_name() -> str:
    return threading.current_thread().name


class Meeting:
    """Where nodes wait for each other, which they can only if they run at the same time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.barrier = threading.Barrier(3)
        self.events: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()


meeting = Meeting()


def meet(name: str) -> str:
    meeting.barrier.wait(60)
    return name


async def meet_async(name: str) -> str:
    await asyncio.to_thread(meeting.barrier.wait, 60)
    return name


def wait_in_thread() -> str:
    meeting.begun.set()
    meeting.go_on.wait(60)
    return "done"


async def wait_async() -> None:
    meeting.begun.set()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        meeting.events.append("cancelled")
        raise


def note(name: str, **values: Any) -> str:
    meeting.events.append(name)
    return name


no_function = 3


def sums(*given: int, **ports: dict[str, int]) -> dict[str, int]:
    return {"sum": 1 + sum(given) + sum(port["sum"] for port in ports.values())}


async def sums_async(*given: int, **ports: dict[str, int]) -> dict[str, int]:
    await asyncio.sleep(0)
    return sums(*given, **ports)


def count_rows(rows: Any) -> Any:
    return np.arange(len(rows))


def ports_of(value: Any) -> Any:
    return {"right": np.arange(len(value) + 1)}
