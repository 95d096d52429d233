"""Which exported functions agents can start in, which is the default, and errors about them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..ir.types import FuncType

if TYPE_CHECKING:
    from ..compiler.wasm.module import Module

_INITIALISE = "_initialize"
_SHOWN = 40


def exported_functions(module: Module) -> dict[str, FuncType]:
    """Name and type of each exported function; of a module that may not be valid."""
    from ..compiler.wasm import types as wasm  # a warm start never gets here

    numbers = [item.type for item in module.imported("func")] + module.func_types
    found = {}
    for export in module.exports:
        if export.kind == "func" and export.index < len(numbers):
            number = numbers[export.index]
            if isinstance(number, int) and number < len(module.types):
                type_ = module.types[number].composite
                if isinstance(type_, wasm.FuncType):
                    found[export.name] = type_.lowered()
    return found


def default_name(names: Collection[str]) -> str | None:
    """The entry point where none is named: ``_start``, else ``main``, else the only one."""
    for name in ("_start", "main"):
        if name in names:
            return name
    others = [name for name in names if name != _INITIALISE]
    return others[0] if len(others) == 1 else None


def check_starts_alone(module: Module) -> None:
    """See that there is a default entry point, and that it takes no arguments.

    Raises:
        ArgumentError: what there is instead.
    """
    functions = exported_functions(module)
    name = default_name(functions)
    if name is None:
        exports = f"it exports {_listed(functions)}" if functions else "it exports no functions"
        raise ArgumentError("the module has no entry point (_start)", hint=exports)
    if params := functions[name].params:
        types = ", ".join(param.value for param in params)
        raise ArgumentError(
            f"the module has no _start, and {name} takes arguments ({types})",
            hint=f"it exports {_listed(functions)}",
        )


def no_such_function(name: str, names: Collection[str]) -> ArgumentError:
    """The error for an entry point that does not exist: it says which do."""
    listed = f"it exports {_listed(names)}" if names else "it exports no functions"
    return ArgumentError(f"the module exports no function {name!r}", hint=listed)


def no_entry_point(names: Collection[str], option: str) -> ArgumentError:
    """The error where none is named and there is no default; ``option`` is how to name one."""
    if not names:
        return ArgumentError("the module exports no functions", hint="there is nothing to run")
    return ArgumentError(
        "no entry point was chosen, and the module has no _start, no main and not exactly one"
        " exported function",
        hint=f"give {option}, one of: {_listed(names)}",
    )


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more
