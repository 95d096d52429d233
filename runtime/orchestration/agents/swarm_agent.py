"""What agents that run a module of their own have in common."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ....errors import SwarmcError
from ..errors import OrchestrationError, TaskError
from ..interfaces import Executor
from ..tasks import Task, TaskContext
from .local import LocalAgent
from .swarms import Machine, module_bytes


class SwarmAgent(LocalAgent):
    """An agent with a module of the package that runs as a swarm; one task at a time.

    Args:
        module: the module's name.
        options: of its :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        capabilities: Iterable[str],
        module: str,
        *,
        resources: Mapping[str, float] | None = None,
        executors: Iterable[Executor] = (),
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(name, kind, capabilities, resources=resources, executors=executors)
        self._module = module_bytes(module)
        self._options = options
        self._making = threading.Lock()  # guards _machine
        self._machine: Machine | None = None

    def _run(self, task: Task, context: TaskContext) -> Any:
        request = self._read(task)
        with self._making:
            if self._machine is None:
                self._machine = self._make()
            machine = self._machine
        try:
            return self._work(machine, request, context)
        except OrchestrationError:
            raise
        except SwarmcError as error:
            self._broken(error)
            raise TaskError(f"agent {self.name}: {error}") from error

    def _make(self) -> Machine:
        return Machine(self._module, self._options)

    def _read(self, task: Task) -> Any:
        """What the payload says. Raises :class:`TaskError` if it is wrong, without running."""
        raise NotImplementedError

    def _work(self, machine: Any, request: Any, context: TaskContext) -> Any:
        """Have the machine do it."""
        raise NotImplementedError

    def _drop(self) -> None:
        with self._making:
            machine, self._machine = self._machine, None
        if machine is not None:
            machine.close()
