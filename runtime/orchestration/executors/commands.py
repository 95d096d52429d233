"""The executor ``process``: programs that the tasks themselves name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import TaskError
from ..tasks import Task, TaskContext
from .calls import Call
from .process import ProcessExecutor


class CommandExecutor:
    """Runs the program that the parameter ``command`` names, a list of texts.

    Whoever may submit tasks to it may run anything: have it only where manifests are trusted.

    Args:
        cwd: where programs run, and where relative paths of programs begin.
        options: of :class:`~.process.ProcessExecutor`.
    """

    def __init__(self, *, cwd: Path | None = None, name: str = "process", **options: Any) -> None:
        self.name = name
        self._cwd, self._options = cwd, options

    def run(self, task: Task, context: TaskContext) -> Any:
        """Run the program as :class:`~.process.ProcessExecutor` does.

        Raises:
            TaskError: as there, or the parameter is missing or no list of texts.
        """
        command = Call.of(task, context).parameter("command", list)
        if not command or not all(isinstance(part, str) and part for part in command):
            message = f"'command' of {task.name} must be a list of texts, not {command!r}"
            raise TaskError(message, retry=False)
        executor = ProcessExecutor(self.name, command, cwd=self._cwd, **self._options)
        return executor.run(task, context)

    def close(self) -> None:
        """Nothing to free."""
