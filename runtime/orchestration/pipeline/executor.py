"""Running pipelines: asynchronously with all that can at once, or one node after another."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self

from ..errors import ClosedError
from ..graph import TaskGraph
from ..tasks import seconds
from . import arrays
from .errors import (
    ArrayFormatError,
    NodeError,
    NodeTimeoutError,
    PipelineError,
    PipelineTimeoutError,
    RunningLoopError,
)
from .manifest import Manifest, load_manifest
from .models import BaseNode, ModuleNode, PythonNode, WasiNode, WasmNode
from .modules import ModuleOptions, Modules
from .nodes import Call, ItemError, PythonRunner, Runner
from .result import ExecutionResult, GraphInfo
from .threads import in_thread
from .wasi_node import WasiRunner
from .wasm_node import WasmRunner

DEFAULT_CONCURRENCY = 32


class Mode(enum.Enum):
    """How values go from one node to the next."""

    NATIVE = "native"  #: by reference; arrays as read-only views
    WASM = "wasm"  #: as JSON text, so that every node could be another program


class Executor:
    """Runs pipelines. May be used from several threads and event loops.

    What it keeps is compiled modules and their memory; :meth:`close`, or leaving the context, gives
    those back. Arrays that pipelines gave stay valid.

    Args:
        mode: ``native`` or ``wasm``. Results are equal wherever values are JSON's, or arrays.
        target: of nodes that run WebAssembly, such as ``cpu``; None: a GPU if there is one that
            works, else the CPU.
        timeout: seconds that an execution may take; None: as long as it takes.
        max_concurrency: calls that an execution makes at once.
    """

    def __init__(
        self,
        mode: Mode | str = Mode.NATIVE,
        *,
        target: str | None = None,
        timeout: float | None = None,
        max_concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        try:
            self.mode = Mode(mode)
        except ValueError:
            known = ", ".join(m.value for m in Mode)
            raise PipelineError(f"unknown mode {mode!r}: known are {known}") from None
        if max_concurrency < 1:
            raise PipelineError(f"max_concurrency must be at least 1, not {max_concurrency}")
        self.timeout = None if timeout is None else seconds(timeout)
        self.max_concurrency = max_concurrency
        self._modules = Modules(target)
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for WebAssembly that runs, and give all modules back; nothing runs afterwards."""
        self._closed = True
        self._modules.close()

    async def execute(self, manifest: Any) -> ExecutionResult:
        """Run a pipeline once, without input.

        Nodes that do not depend on each other run at the same time. Cancelling the task that
        awaits this ends it: coroutines are cancelled, WebAssembly is interrupted, and of Python
        functions in threads nobody waits for the end.

        Args:
            manifest: what :func:`load_manifest` takes.

        Raises:
            ManifestError: it is no manifest.
            NodeError: a node failed; the others were ended.
            PipelineTimeoutError: it took too long.
        """
        return await self._execute(manifest, None, at_once=True)

    async def execute_with_input(
        self, manifest: Any, input_data: Sequence[Any]
    ) -> ExecutionResult:
        """Run a pipeline for each item of a list; the nodes that it begins with get the item.

        A node takes all items before the next one begins: one that runs WebAssembly takes them in
        one dispatch, with an agent for each.
        """
        return await self._execute(manifest, input_data, at_once=True)

    def execute_sync(self, manifest: Any) -> ExecutionResult:
        """As :meth:`execute`, in this thread's time: one node after another, in a defined order.

        Raises:
            RunningLoopError: an event loop runs in this thread, which would stand still meanwhile.
        """
        return _run_here(self._execute(manifest, None, at_once=False), "execute")

    def execute_with_input_sync(
        self, manifest: Any, input_data: Sequence[Any]
    ) -> ExecutionResult:
        """As :meth:`execute_with_input`, one node after another, in a defined order."""
        coroutine = self._execute(manifest, input_data, at_once=False)
        return _run_here(coroutine, "execute_with_input")

    async def prepare(self, manifest: Any) -> Manifest:
        """Import and compile everything that a pipeline needs, and run nothing of it.

        Raises:
            ManifestError: it is no manifest.
            NodeError: a function or a module is not there, or does not fit its node.
        """
        loaded = load_manifest(manifest)
        await self._runners(loaded)
        return loaded

    async def _execute(
        self, manifest: Any, input_data: Sequence[Any] | None, *, at_once: bool
    ) -> ExecutionResult:
        if self._closed:
            raise ClosedError("the executor is closed")
        loaded = load_manifest(manifest)
        items = None if input_data is None else self._items(input_data)
        limit = asyncio.Semaphore(self.max_concurrency if at_once else 1)
        deadline = asyncio.timeout(self.timeout)
        try:
            async with deadline:
                run = _Run(loaded, await self._runners(loaded), items, limit, self._handed_over)
                await (run.all_at_once() if at_once else run.one_by_one())
        except TimeoutError as error:
            if not deadline.expired():
                raise
            message = f"pipeline {loaded.name!r} took longer than {self.timeout} s"
            raise PipelineTimeoutError(message) from error
        return run.result()

    def _items(self, input_data: Sequence[Any]) -> list[Any]:
        if isinstance(input_data, (str, bytes, dict)) or not hasattr(input_data, "__iter__"):
            kind = type(input_data).__name__
            raise PipelineError(f"input_data must be a list of items, not {kind}")
        try:
            return [self._handed_over(item) for item in input_data]
        except ArrayFormatError as error:
            raise ArrayFormatError(f"input_data: {error.message}", hint=error.hint) from error

    def _handed_over(self, value: Any) -> Any:
        """What the next node gets for what the last one gave."""
        if self.mode is Mode.NATIVE:
            return arrays.frozen(value)
        return arrays.loads(arrays.dumps(value))

    async def _runners(self, manifest: Manifest) -> dict[str, Runner]:
        if any(isinstance(node, ModuleNode) for node in manifest.nodes):
            return await in_thread(lambda stop: self._make_runners(manifest))
        return self._make_runners(manifest)

    def _make_runners(self, manifest: Manifest) -> dict[str, Runner]:
        return {node.id: self._runner(manifest, node) for node in manifest.nodes}

    def _runner(self, manifest: Manifest, node: BaseNode) -> Runner:
        if isinstance(node, PythonNode):
            return PythonRunner(node)
        assert isinstance(node, WasmNode | WasiNode)
        path = manifest.directory / node.module
        try:
            if isinstance(node, WasiNode):
                options = ModuleOptions(path, node.fuel, node.max_memory, node.output_size)
                return WasiRunner(node, self._modules.load(options))
            options = ModuleOptions(path, node.fuel, node.max_memory)
            return WasmRunner(node, self._modules.load(options))
        except PipelineError as error:
            if isinstance(error, NodeError):
                raise
            raise NodeError(node.id, str(error)) from error


class _Run:
    """One execution."""

    def __init__(
        self, manifest: Manifest, runners: dict[str, Runner], items: list[Any] | None,
        limit: asyncio.Semaphore, hand_over: Callable[[Any], Any],
    ) -> None:  # fmt: skip
        self._manifest = manifest
        self._graph: TaskGraph[BaseNode] = manifest.graph
        self._runners, self._items, self._limit = runners, items, limit
        self._hand_over = hand_over
        self._values: dict[str, list[Any]] = {}
        self._users = {name: len(self._graph.dependents(name)) for name in self._graph.names}
        self._durations: dict[str, float] = {}

    async def one_by_one(self) -> None:
        for name in self._graph.order():
            await self._one(name)

    async def all_at_once(self) -> None:
        missing = {name: len(self._graph.dependencies(name)) for name in self._graph.names}

        async def one(name: str) -> None:
            await self._one(name)
            for other in self._graph.dependents(name):
                missing[other] -= 1
                if not missing[other]:
                    group.create_task(one(other), name=other)

        try:
            async with asyncio.TaskGroup() as group:
                for name in self._graph.roots():
                    group.create_task(one(name), name=name)
        except BaseExceptionGroup as errors:  # the first of them ended the others
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def _one(self, name: str) -> None:
        node = self._graph[name].value
        started = time.perf_counter()
        timeout = None if node.timeout_ms is None else node.timeout_ms / 1000
        deadline = asyncio.timeout(timeout)
        number = 0
        try:
            async with deadline:
                found = await self._runners[name].run(self._calls(node), self._limit)
            values: list[Any] = []
            for value in found:
                number = len(values)
                values.append(self._hand_over(value))
        except TimeoutError as error:
            if not deadline.expired():
                raise
            message = f"took longer than its timeout_ms of {node.timeout_ms:g}"
            raise NodeTimeoutError(name, message) from error
        except ItemError as error:
            item = None if self._items is None else error.call
            cause = error.__cause__
            raise NodeError(name, error.message, item=item, hint=error.hint) from cause
        except ArrayFormatError as error:
            item = None if self._items is None else number
            raise NodeError(name, f"result: {error}", item=item) from error
        self._values[name] = values
        self._durations[name] = time.perf_counter() - started
        self._forget(node)

    def _calls(self, node: BaseNode) -> list[Call]:
        count = 1 if self._items is None else len(self._items)
        wires = self._manifest.wires[node.id]
        if not wires:
            if self._items is None:
                return [{}]
            by_position = isinstance(node, PythonNode) and not node.inputs
            port = None if by_position else node.default_port
            return [{port: item} for item in self._items]
        return [
            {w.port: self._value(w.source, w.from_port, number) for w in wires}
            for number in range(count)
        ]

    def _value(self, source: str, from_port: str | None, number: int) -> Any:
        value = self._values[source][number]
        if from_port is None:
            return value
        if isinstance(value, dict) and from_port in value:
            return value[from_port]
        there = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise ItemError(number, f"node {source!r} gave no {from_port!r}: it gave {there}")

    def _forget(self, node: BaseNode) -> None:
        """Drop values that nobody will ask for again."""
        for name in self._graph.dependencies(node.id):
            self._users[name] -= 1
            if not self._users[name]:
                del self._values[name]

    def result(self) -> ExecutionResult:
        graph, order = self._graph, self._graph.order()
        sinks = graph.leaves()
        outputs = {
            name: self._values[name] if self._items is not None else self._values[name][0]
            for name in sinks
        }
        info = GraphInfo(len(graph), len(graph.roots()), len(sinks), order)
        durations = {name: self._durations[name] for name in order}
        return ExecutionResult("success", outputs, info, durations)


def _run_here(
    coroutine: Coroutine[Any, Any, ExecutionResult], instead: str
) -> ExecutionResult:
    """Run a coroutine to its end in an event loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # as it should be
        return asyncio.run(coroutine)
    coroutine.close()
    raise RunningLoopError(
        f"{instead}_sync would block the event loop that runs in this thread",
        hint=f"await {instead}(...) in its place",
    )
