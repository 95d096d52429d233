"""WebAssembly modules of nodes: compiled once, and fresh agents of them for every execution."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import SwarmcError
from ....ir.types import FuncType
from ....targets.executable import Executable
from ...choosing import choose_target
from ...cli_module import read_module
from ...manager import SwarmManager
from ...results import SwarmResult
from ..errors import ClosedError
from .errors import PipelineError
from .threads import Stop, Stopped

Array = NDArray[Any]

#: What an agent's memory may grow to on a CPU, where only what is touched costs anything.
DEFAULT_MEMORY = 16 << 20
MOST_AGENTS = SwarmManager.MAX_AGENTS


@dataclass(frozen=True, slots=True)
class ModuleOptions:
    """How a module is loaded. Nodes with the same module and options share it."""

    path: Path
    fuel: int
    max_memory: int | None
    output_size: int = 4096
    digest: tuple[int, int] = (0, 0)  #: time and size of the file: another one is loaded again


class CallFailed(Exception):
    """An agent did not do what its node asks of it.

    Args:
        call: which of the calls, from 0; None: all.
    """

    def __init__(self, message: str, call: int | None = None) -> None:
        super().__init__(message)
        self.message, self.call = message, call


class Lease:
    """Agents that live as long as somebody looks at their memory: the base of such an array."""

    def __init__(self, agents: list[int], view: Array, gone: deque[int]) -> None:
        self.__array_interface__ = view.__array_interface__
        self._agents, self._gone = agents, gone
        self._view = view  # keeps the memory, after the swarm is closed, too

    def __del__(self) -> None:
        # may run at any point of any thread: only notes what the next call will do
        self._gone.extend(self._agents)


class Module:
    """A loaded module. One call at a time; calls from other threads wait for it.

    Attributes:
        swarm: whose agents do the work; may be replaced between calls.
    """

    def __init__(self, options: ModuleOptions, target: str | None) -> None:
        self.options = options
        self._lock = threading.Lock()  # held during calls, guards all that follows
        self._closed = False
        program = read_module(options.path)
        self.swarm = self._new_swarm(target)
        if isinstance(program, Executable):
            self.swarm.load_executable(program)
        else:
            self.swarm.load_bytecode(program)
        self._gone: deque[int] = deque()

    def _new_swarm(self, target: str | None) -> SwarmManager:
        chosen = choose_target(target)
        default = DEFAULT_MEMORY if chosen.name == "cpu" else None
        options = self.options
        return SwarmManager(
            chosen, fuel=options.fuel, output_size=options.output_size, layout="flat",
            max_memory=options.max_memory or default, max_agents=MOST_AGENTS,
        )  # fmt: skip

    @property
    def functions(self) -> dict[str, FuncType]:
        """What can be called."""
        return self.swarm.functions

    @property
    def visible(self) -> bool:
        """Whether agents' memory is this process's own: NumPy can look at it."""
        return self.swarm.target.name == "cpu"

    @contextmanager
    def use(self, stop: Stop) -> Iterator[SwarmManager]:
        """The swarm, for this thread alone; ``stop`` interrupts what it runs."""
        while not self._lock.acquire(timeout=0.05):
            stop.check()
        try:
            if self._closed:
                raise ClosedError("the executor was closed")
            yield self.swarm
        finally:
            self._lock.release()

    def spawn(self, count: int, function: str) -> list[int]:
        """Fresh agents, after those have been removed that nobody looks at any more.

        Where too few slots are free, the swarm is replaced by another one; the old one's memory
        stays as long as somebody looks at it. To be called in :meth:`use`.
        """
        gone = [self._gone.popleft() for _ in range(len(self._gone))]
        if gone:
            self.swarm.kill_agents(gone)
        if len(self.swarm) + count > self.swarm.max_agents:
            fresh = self._new_swarm(self.swarm.target.name)
            fresh.load_executable(self.swarm.executable)
            self.swarm, self._gone = fresh, deque()
        return [int(agent) for agent in self.swarm.spawn_agents(count, function)]

    def dispatch(self, stop: Stop, run: Callable[[], SwarmResult]) -> SwarmResult:
        """Run agents; whoever traps ends it.

        Raises:
            CallFailed: an agent trapped.
            Stopped: nobody waits any more.
        """
        with stop.interrupted_by(self.swarm.interrupt):
            result = run()
        if result.interrupted:
            stop.check()
        if result.trapped_array.any():
            place = int(result.trapped_array.argmax())
            trap = result.traps[int(result.ids[place])]
            raise CallFailed(f"trapped: {trap}", place)
        return result

    def lease(self, agents: list[int], view: Array) -> Array:
        """An array over the same bytes; the agents live until nobody has it any more."""
        return np.asarray(Lease(agents, view, self._gone))

    def release(self, agents: list[int]) -> None:
        """Remove agents whose memory nobody looks at."""
        self.swarm.kill_agents(agents)

    def close(self) -> None:
        """Wait for a call that runs, then give back what nobody looks at."""
        with self._lock:
            self._closed = True
            self.swarm.close()


class Modules:
    """The modules of an executor, the last used ones."""

    KEPT = 32

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._lock = threading.Lock()  # guards both of:
        self._loaded: OrderedDict[ModuleOptions, Module] = OrderedDict()
        self._closed = False

    def load(self, options: ModuleOptions) -> Module:
        """The module; compiled if it has not been yet, or if the file has changed.

        Raises:
            PipelineError: there is no such file, or it is no program that could be run.
        """
        try:
            status = options.path.stat()
        except OSError as error:
            raise PipelineError(f"cannot read {options.path}: {error.strerror}") from None
        options = replace(options, digest=(status.st_mtime_ns, status.st_size))
        with self._lock:
            if self._closed:
                raise ClosedError("the executor is closed")
            found = self._loaded.pop(options, None)
            try:
                module = found or Module(options, self._target)
            except SwarmcError as error:
                raise PipelineError(f"{options.path}: {error}") from error
            self._loaded[options] = module
            if len(self._loaded) > self.KEPT:
                self._loaded.popitem(last=False)  # freed when its last user is done
            return module

    def close(self) -> None:
        """Close all of them; waits for calls that run."""
        with self._lock:
            self._closed = True
            modules = list(self._loaded.values())
            self._loaded.clear()
        for module in modules:
            module.close()


__all__ = ["CallFailed", "Lease", "Module", "ModuleOptions", "Modules", "Stopped"]
