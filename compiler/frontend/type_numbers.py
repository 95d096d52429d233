"""Numbers of WebAssembly's types in a program: equal types of all its instances have the same."""

from __future__ import annotations

from ...ir.module import Module
from ..wasm.types import DefType, FuncType


class TypeNumbers:
    """Gives types numbers in a program, to which it adds them when they are first asked for."""

    def __init__(self, program: Module) -> None:
        self._program = program
        self._signatures: dict[DefType, int] = {}

    def signature(self, type_: DefType) -> int:
        """Number of a function type."""
        found = self._signatures.get(type_)
        if found is not None:
            return found
        above = None if type_.supertype is None else self.signature(type_.supertype)
        assert isinstance(type_.composite, FuncType)
        types = self._program.types
        found = self._signatures[type_] = len(types)
        types.append(type_.composite.lowered())
        if above is not None:
            self._program.supertypes[found] = above
        return found
