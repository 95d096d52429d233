"""A swarm as the machine of one agent: made once, used by one attempt at a time, interruptible."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TaskError, TaskTimeoutError
from ..tasks import TaskContext

if TYPE_CHECKING:
    from ...arrays import Arguments
    from ...manager import SwarmManager
    from ...results import SwarmResult

STEP = 0.01  #: seconds between looks whether an attempt should stop


def module_bytes(name: str) -> bytes:
    """A module that comes with the package: ``corpus/NAME.wasm`` of the sources."""
    return Path(__file__).with_name(f"{name}.wasm").read_bytes()


def address(swarm: SwarmManager, agent: int, function: str, *args: int) -> int:
    """What a function of the module says of where something lies in an agent's memory."""
    return int(swarm.dispatch([agent], function, list(args)).results_array()[0])


class Machine:
    """A swarm of one module that is made when it is first used.

    Args:
        options: of :class:`~swarmc.SwarmManager`.
    """

    def __init__(self, module: bytes, options: Mapping[str, Any]) -> None:
        self._module = module
        self._options = dict(options)
        self._turn = threading.Lock()  # held by the attempt that uses the swarm
        self._swarm: SwarmManager | None = None
        self._closing = threading.Event()

    @contextmanager
    def turn(self, context: TaskContext) -> Iterator[SwarmManager]:
        """The swarm, for the caller alone.

        Raises:
            TaskError: the attempt should stop before its turn comes, or the machine is closed.
        """
        while not self._turn.acquire(timeout=STEP):
            context.check()
            self._check_open()
        try:
            context.check()
            self._check_open()
            if self._swarm is None:
                from ...manager import SwarmManager

                self._swarm = SwarmManager.from_wasm(self._module, **self._options)
            yield self._swarm
        finally:
            if self._closing.is_set() and self._swarm is not None:
                self._swarm.close()
                self._swarm = None
            self._turn.release()

    def call(
        self, context: TaskContext, agents: Any, entry_point: str, args: Arguments
    ) -> SwarmResult:
        """Have agents of the swarm run a function; the caller has its turn.

        Raises:
            TaskCancelledError, TaskTimeoutError: they were interrupted.
            TaskError: one of them trapped.
        """
        assert self._swarm is not None
        context.check()  # many short calls notice it here, a long one below
        self._check_open()
        handle = self._swarm.dispatch_async(agents, entry_point, args)
        while not handle.wait(STEP):
            if context.cancelled.is_set() or not context.remaining() or self._closing.is_set():
                handle.interrupt()
        result = handle.result()
        if result.interrupted:
            context.check()
            self._check_open()
            raise TaskTimeoutError("the agents were interrupted")
        if result.trapped_array.any():
            trap = next(iter(result.traps.values()))
            raise TaskError(f"{entry_point} trapped: {trap}", retry=False)
        return result

    def close(self) -> None:
        """Interrupt what runs, and free the swarm as soon as nobody uses it."""
        self._closing.set()
        if self._turn.acquire(blocking=False):
            try:
                if self._swarm is not None:
                    self._swarm.close()
                    self._swarm = None
            finally:
                self._turn.release()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise TaskError("the agent was closed or restarted")
