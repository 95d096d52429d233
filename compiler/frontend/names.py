"""Names and places of functions, for people who read a trap report."""

from __future__ import annotations

from typing import NamedTuple

from ..wasm.module import Module


class Span(NamedTuple):
    """A function's bytes in the module, ``start`` to ``end`` exclusive, and its name."""

    start: int
    end: int
    name: str


def function_names(module: Module) -> list[str]:
    """What :meth:`Module.function_name` says of every function, in one go."""
    count = len(module.imported("func")) + len(module.func_types)
    exported: dict[int, str] = {}
    for export in module.exports:
        if export.kind == "func":
            exported.setdefault(export.index, export.name)
    names = {**exported, **module.names}
    return [names.get(index) or f"func[{index}]" for index in range(count)]


def spans(module: Module) -> list[Span]:
    """Where each defined function lies, in order: to find one by the offset of a trap."""
    names = function_names(module)[len(module.imported("func")):]
    return [Span(func.start, func.end, name)
            for func, name in zip(module.funcs, names, strict=True)]
