"""The executor ``internal``: operations that are Python functions in this process."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..errors import InvalidTaskError, TaskError
from ..graph import suggestion
from ..tasks import Task, TaskContext
from .calls import Call

Operation = Callable[[Call], Any]


class State(Protocol):
    """Where ``set_state`` and ``get_state`` keep values; a ``store.Store`` is one."""

    def get_state(self, key: str, default: Any = None) -> Any: ...

    def set_state(self, key: str, value: Any) -> object: ...

    def delete_state(self, key: str) -> object: ...


class DictState:
    """State that ends with the process."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._lock = threading.Lock()  # guards _values

    def get_state(self, key: str, default: Any = None) -> Any:
        """The value of a key."""
        with self._lock:
            return self._values.get(key, default)

    def set_state(self, key: str, value: Any) -> None:
        """Set the value of a key."""
        with self._lock:
            self._values[key] = value

    def delete_state(self, key: str) -> bool:
        """Forget a key; whether it was there."""
        with self._lock:
            return self._values.pop(key, self) is not self


def load_function(path: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names.

    Raises:
        InvalidTaskError: there is none.
    """
    module_name, colon, attributes = path.partition(":")
    if not (module_name and colon and attributes):
        raise InvalidTaskError(
            f"{path!r} does not name a function", hint="write package.module:function"
        )
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise InvalidTaskError(f"there is no {path}: {error}") from error
    if not callable(found):
        raise InvalidTaskError(f"{path} is no function but a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


class InternalExecutor:
    """Runs the operation that the parameter ``operation`` names.

    Built in are ``noop``, ``echo``, ``inputs``, ``log``, ``sleep``, ``fail``, ``set_state``,
    ``get_state`` and ``delete_state``: see ``operations``.

    >>> executor = InternalExecutor({"double": lambda call: 2 * call.parameters["x"]})
    >>> executor.run(Task("t", {"operation": "double", "x": 21}), TaskContext())
    42

    Args:
        operations: functions of a :class:`~.calls.Call`, or their import paths, by the names that
            they get; they may replace those built in.
        state: of ``set_state`` and its like; None: it ends with the executor.
    """

    def __init__(
        self,
        operations: Mapping[str, Operation | str] | None = None,
        *,
        state: State | None = None,
        name: str = "internal",
    ) -> None:
        from .operations import built_in

        self.name = name
        self.state: State = DictState() if state is None else state
        self._built_in: dict[str, Operation] = built_in(self.state)
        self._operations = dict(self._built_in)
        for operation, function in (operations or {}).items():
            self.register(operation, function)

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of all operations."""
        return tuple(sorted(self._operations))

    def register(self, name: str, operation: Operation | str) -> None:
        """Add an operation, or replace one.

        Args:
            operation: a function of a :class:`~.calls.Call`, or its path
                ``package.module:function``.

        Raises:
            InvalidTaskError: the path names no function.
        """
        self._operations[name] = (
            load_function(operation) if isinstance(operation, str) else operation
        )

    def run(self, task: Task, context: TaskContext) -> Any:
        """Call the operation in this thread.

        Raises:
            TaskError: it did not succeed, or there is no such operation.
        """
        call = Call.of(task, context)
        operation = self._operation(call)
        del call.parameters["operation"]
        context.check()
        return operation(call)

    def review(self, call: Call) -> None:
        """See that a call could be run, without running it. Raises TaskError."""
        from .operations import check_parameters

        operation = self._operation(call)
        if operation is self._built_in.get(call.parameters["operation"]):
            check_parameters(call)

    def _operation(self, call: Call) -> Operation:
        name = call.parameters.get("operation")
        if name is None:
            raise TaskError(
                f"{call.name} names no operation", retry=False,
                hint=f"set the parameter operation to one of {', '.join(self.operations)}",
            )  # fmt: skip
        operation = self._operations.get(name) if isinstance(name, str) else None
        if operation is None:
            raise TaskError(
                f"there is no internal operation {name!r}"
                f"{suggestion(str(name), self.operations)}", retry=False,
                hint=f"there are {', '.join(self.operations)}",
            )  # fmt: skip
        return operation

    def close(self) -> None:
        """Nothing to free."""
