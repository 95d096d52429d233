"""Generic agents: a Python function, a module of WebAssembly, or what tasks bring."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import OrchestrationError, TaskError
from ..interfaces import Executor
from ..tasks import Task, TaskContext
from .local import LocalAgent

CAPABILITIES = ("general_processing",)

#: Called with the payload; with the :class:`TaskContext`, too, if it takes two arguments.
Handler = Callable[..., Any]


class GenericAgent(LocalAgent):
    """Runs tasks by a function, or by WebAssembly.

    - With a ``handler``, a task's result is what it returns. It should look at
      ``context.cancelled`` or call ``context.check()`` if it takes long: nothing else stops it.
    - With a ``module``, tasks run it; a payload is parameters of the executor ``wasm``
      (``entry_point``, ``args``, ``stdin``, ``agents``…), a list is ``args``, text or bytes are
      ``stdin``.
    - With neither, tasks bring a module: a payload is parameters of the executor ``wasm``,
      ``module`` (a path) or ``bytes`` among them.

    Args:
        module: bytes of a module, or its path, which is read now.
        options: of the :class:`~swarmc.SwarmManager` that runs modules, such as ``target``.
    """

    def __init__(
        self,
        name: str,
        *,
        handler: Handler | None = None,
        module: bytes | str | os.PathLike[str] | None = None,
        capacity: int = 1,
        capabilities: Iterable[str] = (),
        resources: Mapping[str, float] | None = None,
        executors: Iterable[Executor] = (),
        **options: Any,
    ) -> None:
        if handler is not None and (module is not None or options):
            raise OrchestrationError(f"{name} has a handler, and so neither module nor {options}")
        super().__init__(
            name, "generic", {*CAPABILITIES, *capabilities}, capacity=capacity,
            resources=resources, executors=executors,
        )  # fmt: skip
        self._call = None if handler is None else _with_context(handler, name)
        self._module = _read(module) if module is not None else None
        self._options = options
        self._wasm: Executor | None = None

    def _run(self, task: Task, context: TaskContext) -> Any:
        context.check()
        if self._call is not None:
            return self._call(task.payload, context)
        if self._module is not None:
            task = replace(task, payload=self._parameters(task, self._module))
        return self._executor().run(task, context)

    def _executor(self) -> Executor:
        with self._guard:
            if self._wasm is None:
                self._check_open()
                from ..executors.wasm import WasmExecutor

                self._wasm = WasmExecutor(**self._options)
            return self._wasm

    def _parameters(self, task: Task, module: bytes) -> dict[str, Any]:
        payload = task.payload
        if payload is None:
            payload = {}
        elif isinstance(payload, (list, tuple)):
            payload = {"args": list(payload)}
        elif isinstance(payload, (str, bytes, bytearray)):
            payload = {"stdin": bytes(payload) if isinstance(payload, bytearray) else payload}
        if not isinstance(payload, dict) or payload.keys() & {"module", "bytes"}:
            raise TaskError(
                f"payload of {task.name} must be parameters for the module of {self.name},"
                f" a list of arguments, or standard input", retry=False,
            )  # fmt: skip
        return {**payload, "bytes": module}

    def _drop(self) -> None:
        with self._guard:
            wasm, self._wasm = self._wasm, None
        if wasm is not None:
            wasm.close()


def _read(module: bytes | str | os.PathLike[str]) -> bytes:
    if isinstance(module, bytes):
        return module
    try:
        return Path(module).read_bytes()
    except OSError as error:
        raise OrchestrationError(f"cannot read {module}: {error.strerror}") from error


def _with_context(handler: Handler, name: str) -> Callable[[Any, TaskContext], Any]:
    """The handler as a function of payload and context."""
    if not callable(handler):
        raise OrchestrationError(f"handler of {name} must be a function, not {handler!r}")
    try:
        signature = inspect.signature(handler)
    except ValueError:  # some of those written in C do not say what they take
        return lambda payload, context: handler(payload)
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return handler if len(arguments) == 2 else lambda payload, context: handler(payload)
    raise OrchestrationError(
        f"handler of {name} must take a payload, or a payload and a context, not {signature}"
    )
