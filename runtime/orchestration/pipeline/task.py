"""The executor ``pipeline``: a task that runs a pipeline."""

from __future__ import annotations

import asyncio
from typing import Any

from ..errors import ClosedError, TaskError
from ..executors.calls import Call
from ..tasks import Task, TaskContext
from .errors import ArrayFormatError, ManifestError, NodeError, PipelineError
from .executor import Executor, Mode
from .result import ExecutionResult

_LOOK = 0.02  # seconds after which an execution looks whether its task was cancelled


class PipelineExecutor:
    """Runs the pipeline of a task's parameter ``manifest``: a path, or the manifest itself.

    With the parameter ``input``, a list, once for each item. The result is the outputs by node. A
    task that is cancelled, or out of time, ends its pipeline. A manifest or an input that is wrong
    is not tried again.

    Args:
        mode, target: as of :class:`~.executor.Executor`.
    """

    def __init__(
        self, mode: Mode | str = Mode.NATIVE, *, target: str | None = None, name: str = "pipeline"
    ) -> None:
        self.name = name
        self._executor = Executor(mode, target=target)

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        """Run it in this thread.

        Raises:
            TaskError: it failed, or is none.
        """
        call = Call.of(task, context)
        manifest = call.parameter("manifest", (str, dict))
        items = call.parameter("input", list, None)
        try:
            result = asyncio.run(self._watched(manifest, items, context))
        except (ManifestError, ArrayFormatError, ClosedError) as error:
            raise TaskError(str(error), retry=False) from error
        except (NodeError, PipelineError) as error:
            raise TaskError(str(error)) from error
        return dict(result.outputs)

    async def _watched(
        self, manifest: Any, items: list[Any] | None, context: TaskContext
    ) -> ExecutionResult:
        execution = (
            self._executor.execute(manifest)
            if items is None
            else self._executor.execute_with_input(manifest, items)
        )
        running = asyncio.create_task(execution)
        try:
            while not running.done():
                context.check()
                await asyncio.wait((running,), timeout=min(_LOOK, context.remaining()))
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait((running,))
        return running.result()

    def close(self) -> None:
        """Give back what its pipelines have compiled."""
        self._executor.close()
