"""What runs the nodes: one runner for each type."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import InvalidTaskError
from ..executors.internal import load_function
from .errors import NodeError
from .models import BaseNode, PythonNode
from .threads import Stop, in_thread

#: The arguments of one call by port; None is the port of an argument by position.
Call = Mapping[str | None, Any]


class Runner(Protocol):
    """A node that is ready to run."""

    async def run(self, calls: Sequence[Call], limit: asyncio.Semaphore) -> list[Any]:
        """What the node gives for each call.

        Args:
            limit: held for everything that runs.

        Raises:
            ItemError: one of them failed.
        """


class ItemError(Exception):
    """A call that failed; ``__cause__`` is why.

    Args:
        call: which, from 0; None: all.
    """

    def __init__(self, call: int | None, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.call, self.message, self.hint = call, message, hint


def described(error: BaseException) -> str:
    """An exception as one clause of a sentence."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class PythonRunner:
    """Calls a function, for one item after another; a coroutine function for all at once."""

    def __init__(self, node: PythonNode) -> None:
        self._node = node
        self._function = import_function(node)
        self._waits = is_coroutine_function(self._function)

    async def run(self, calls: Sequence[Call], limit: asyncio.Semaphore) -> list[Any]:
        if not self._waits:
            async with limit:
                return await in_thread(lambda stop: self._call_all(calls, stop), self._node.id)
        if len(calls) == 1:
            return [await self._await(0, calls[0], limit)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._await(number, call, limit))
                    for number, call in enumerate(calls)
                ]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def _call_all(self, calls: Sequence[Call], stop: Stop) -> list[Any]:
        found = []
        for number, call in enumerate(calls):
            stop.check()
            try:
                value = self._function(*self._positional(call), **self._named(call))
            except (Exception, SystemExit) as error:
                raise ItemError(number, described(error)) from error
            if inspect.isawaitable(value):
                message = "it gave something to await, but is no coroutine function (async def)"
                if inspect.iscoroutine(value):
                    value.close()
                raise ItemError(number, message)
            found.append(value)
        return found

    async def _await(self, number: int, call: Call, limit: asyncio.Semaphore) -> Any:
        async with limit:
            try:
                return await self._function(*self._positional(call), **self._named(call))
            except (Exception, SystemExit) as error:
                raise ItemError(number, described(error)) from error
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                raise ItemError(number, "it cancelled itself") from error

    @staticmethod
    def _positional(call: Call) -> tuple[Any, ...]:
        return (call[None],) if None in call else ()

    def _named(self, call: Call) -> dict[str, Any]:
        return {
            **self._node.params,
            **{name: value for name, value in call.items() if name is not None},
        }


def is_coroutine_function(function: Any) -> bool:
    """Whether calling it gives something to await."""
    call = type(function).__call__  # of an object
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def import_function(node: PythonNode) -> Callable[..., Any]:
    """Import what a node names.

    Raises:
        NodeError: it cannot be imported, or is no function.
    """
    try:
        return load_function(node.function)
    except InvalidTaskError as error:
        raise NodeError(node.id, error.message) from error
    except Exception as error:  # the module's own code runs, and may raise anything
        raise NodeError(node.id, f"cannot import {node.function}: {described(error)}") from error


def no_value(node: BaseNode, port: str) -> ItemError:
    """The error for an input that nothing fills."""
    return ItemError(
        None, f"input {port!r} has no value",
        "connect it, put it into params, or give the pipeline an input",
    )  # fmt: skip
