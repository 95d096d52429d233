"""What a workflow's manifest says: pydantic models with the documented keys and defaults."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..graph import GraphNode, TaskGraph

DEFAULT_TIMEOUT_MS = 30_000
_LONGEST_MS = 30 * 24 * 3600 * 1000  # 30 days


class SymbolType(enum.Enum):
    """What a symbol is to do; executors are told."""

    ACTION = "action"
    FILTER = "filter"
    STATE = "state"
    QUERY = "query"
    TRANSFORM = "transform"


class SymbolContext(enum.Enum):
    """What a symbol works on; executors are told."""

    WORDPRESS = "wordpress"
    FILESYSTEM = "filesystem"
    DATABASE = "database"
    NETWORK = "network"
    GENERIC = "generic"


class Dispatch(enum.Enum):
    """Executors that can always be named; a configuration may add others."""

    RUST_INJECTOR = "rust_injector"
    PHP_ENGINE = "php_engine"
    POWERSHELL_ENGINE = "powershell_engine"
    INTERNAL = "internal"
    WASM = "wasm"
    PROCESS = "process"


EXECUTORS = tuple(member.value for member in Dispatch)

Text = Annotated[str, Field(strict=True, max_length=100_000)]


def _plain(name: str) -> str:
    if "/" in name or min(name) < " ":
        raise ValueError("must not have '/', line breaks or other control characters in it")
    return name


#: No ``/``: names are parts of the ids of tasks.
Name = Annotated[
    str, Field(strict=True, min_length=1, max_length=200), AfterValidator(_plain)
]
Milliseconds = Annotated[int, Field(strict=True, gt=0, le=_LONGEST_MS)]
Retries = Annotated[int, Field(strict=True, ge=0, le=1000)]
Priority = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rollback(_Model):
    """What undoes a symbol. Runs after the symbol failed, or after it completed and another one
    failed."""

    name: Name
    type: SymbolType
    context: SymbolContext = SymbolContext.GENERIC
    dispatch: Name = Dispatch.INTERNAL.value
    parameters: dict[str, Any] = {}
    priority: Priority = 0
    timeout: Milliseconds = DEFAULT_TIMEOUT_MS
    retries: Retries = 3


class Symbol(_Model):
    """One step of a workflow.

    Args:
        name: unique in its workflow.
        dispatch: the executor that runs it.
        parameters: what the executor is given.
        dependencies: names of symbols that must have completed.
        priority: higher is earlier.
        timeout: milliseconds that one attempt may take.
        retries: attempts beyond the first.
        rollback: what undoes it.
    """

    name: Name
    type: SymbolType
    context: SymbolContext = SymbolContext.GENERIC
    dispatch: Name = Dispatch.INTERNAL.value
    parameters: dict[str, Any] = {}
    dependencies: list[Name] = []
    priority: Priority = 0
    timeout: Milliseconds = DEFAULT_TIMEOUT_MS
    retries: Retries = 3
    rollback: Rollback | None = None


class WorkflowManifest(_Model):
    """A workflow: symbols, and what must come before what."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=200)]
    version: Text = "1.0.0"
    description: Text = ""
    symbols: Annotated[list[Symbol], Field(min_length=1)]

    def graph(self) -> TaskGraph[Symbol]:
        """The symbols in order.

        Raises:
            InvalidTaskError: names or dependencies are wrong; manifests that were loaded from a
                file have been checked.
        """
        return TaskGraph(
            GraphNode(symbol.name, symbol, tuple(symbol.dependencies), symbol.priority)
            for symbol in self.symbols
        )

    def executors(self) -> frozenset[str]:
        """Names of all executors that it needs."""
        rollbacks = {symbol.rollback.dispatch for symbol in self.symbols if symbol.rollback}
        return frozenset(rollbacks | {symbol.dispatch for symbol in self.symbols})

    def to_data(self) -> dict[str, Any]:
        """As a value; what was not said is left out, so that it stays unsaid."""
        return self.model_dump(mode="python", exclude_unset=True) | {
            "symbols": [_symbol_data(symbol) for symbol in self.symbols]
        }

    @classmethod
    def from_data(cls, data: Any) -> WorkflowManifest:
        """The manifest of what :meth:`to_data` gave.

        Raises:
            pydantic.ValidationError: it is none.
        """
        return cls.model_validate(data)


def _symbol_data(symbol: Symbol | Rollback) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for name in symbol.model_fields_set:
        value = getattr(symbol, name)
        if isinstance(value, enum.Enum):
            value = value.value
        elif isinstance(value, Rollback):
            value = _symbol_data(value)
        data[name] = value
    return {name: data[name] for name in type(symbol).model_fields if name in data}
