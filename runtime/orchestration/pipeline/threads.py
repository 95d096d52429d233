"""Calls that block, made in threads, so that a coroutine can wait for them and stop waiting."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

_INTERRUPT_SECONDS = 0.02


class Stopped(Exception):
    """Nobody waits for the call any more."""


class Stop:
    """The word to a call in a thread that nobody waits for it any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards both of:
        self._set = False
        self._interrupt: Callable[[], object] | None = None

    def check(self) -> None:
        """Raise :class:`Stopped` if the call should end."""
        if self._set:
            raise Stopped

    @contextmanager
    def interrupted_by(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """While the block runs, ``interrupt`` ends what it does; it may be called more than once.

        Raises:
            Stopped: it need not begin.
        """
        with self._lock:
            self.check()
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def set(self) -> bool:
        """Tell the call to end; whether something in it can be interrupted at this moment."""
        with self._lock:
            self._set = True
            if self._interrupt is not None:
                self._interrupt()
            return self._interrupt is not None


async def in_thread(call: Callable[[Stop], T], name: str = "swarmc-pipeline") -> T:
    """Make a call in a thread of its own, and wait for it.

    If the wait is cancelled, what the call has declared as interruptible is interrupted, and has
    ended when this raises. Anything else cannot be stopped from outside: it runs on in its
    thread, which keeps no process from ending, and what it gives is dropped.
    """
    loop = asyncio.get_running_loop()
    stop = Stop()
    # the outcome is a tuple: a future refuses StopIteration, and warns of errors nobody fetched
    future: asyncio.Future[tuple[T | None, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(outcome: tuple[T | None, BaseException | None]) -> None:
        if not future.done():
            future.set_result(outcome)

    def work() -> None:
        outcome: tuple[T | None, BaseException | None]
        try:
            outcome = (context.run(call, stop), None)
        except BaseException as error:
            outcome = (None, error)
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(deliver, outcome)
            except RuntimeError:  # closed since: nobody waits
                return

    threading.Thread(target=work, name=name, daemon=True).start()
    try:
        await asyncio.wait((future,))
    except asyncio.CancelledError:
        # again and again: an interrupt does nothing in the moment before a dispatch begins
        while stop.set() and not future.done():
            await asyncio.wait((future,), timeout=_INTERRUPT_SECONDS)
        raise
    value, error = future.result()
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
