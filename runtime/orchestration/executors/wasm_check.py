"""Whether a module could run what a task asks of it, found out without running or compiling it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ....errors import ArgumentError

if TYPE_CHECKING:
    from ....compiler.wasm.module import Module
    from ....ir.types import FuncType


def check_module(
    data: bytes, entry_point: str | None, args: Sequence[Any] | None, agents: int
) -> None:
    """See that a module is valid and has what it imports, and a function that takes the arguments.

    Raises:
        SwarmcError: what is wrong.
    """
    from ....compiler.wasm.decoder import decode
    from ....compiler.wasm.validator import validate
    from ...entry_points import default_name, exported_functions, no_entry_point, no_such_function

    module = decode(data)
    validate(module)
    _check_imports(module)
    functions = exported_functions(module)
    name = default_name(functions) if entry_point is None else entry_point
    if name is None:
        raise no_entry_point(functions, "the parameter entry_point")
    if name not in functions:
        raise no_such_function(name, functions)
    if args is not None:
        _check_args(name, functions[name], args, agents)


def _check_imports(module: Module) -> None:
    from ...hosts import find

    for item in module.imports:
        what = f"{item.module}.{item.name}"
        known = find(item.module, item.name) if isinstance(item.type, int) else None
        if known is None:
            raise ArgumentError(f"the module imports {what}, which nobody provides")
        assert isinstance(item.type, int)
        if known.type != module.func_type(item.type).plain():
            raise ArgumentError(f"the module imports {what} of another type than {known.type}")


def _check_args(name: str, type_: FuncType, args: Sequence[Any], agents: int) -> None:
    rows = list(args) if args and isinstance(args[0], list) else [list(args)]
    if len(rows) not in (1, agents):
        raise ArgumentError(f"there are {len(rows)} rows of arguments for {agents} agents")
    for row in rows:
        if len(row) != len(type_.params):
            count = len(type_.params)
            raise ArgumentError(
                f"{name} takes {count} argument{'' if count == 1 else 's'}, not {len(row)}"
            )
