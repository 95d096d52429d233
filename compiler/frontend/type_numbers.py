"""Numbers of WebAssembly's types in a program: equal types of all its instances have the same."""

from __future__ import annotations

from ...ir.module import Module
from ..wasm.types import DefType, FuncType, Heap

#: Numbers of object types: the first one is no object's.
_NOTHING, _STRUCT, _ARRAY = range(3)


class TypeNumbers:
    """Gives types numbers in a program, to which it adds them when they are first asked for."""

    def __init__(self, program: Module) -> None:
        self._program = program
        self._signatures: dict[DefType, int] = {}
        self._objects: dict[DefType | Heap, int] = {Heap.STRUCT: _STRUCT, Heap.ARRAY: _ARRAY}

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

    def object(self, type_: DefType | Heap) -> int:
        """Number of a struct or array type, or of what all structs or arrays have in common."""
        objects = self._program.objects
        if not objects:
            objects += [None, None, None]
        found = self._objects.get(type_)
        if found is not None:
            return found
        assert isinstance(type_, DefType)
        above = self.object(type_.supertype or type_.kind)
        found = self._objects[type_] = len(objects)
        objects.append(above)
        return found
