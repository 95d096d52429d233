"""Which functions of a program may throw, and which return an exception besides their results.

Nobody can know that of a function alone: a program grows by instances, and calls through references
reach whatever has the right type. So it is found out for the whole program, when it is lowered.

A function that may throw returns one more value, the exception or null. So must every function that
is called in the same place: through a reference of the same type, or as the end of such a function,
in a tail call, which returns what its callee returns.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import ops as o
from ..function import Function
from ..module import FuncInit, Module
from ..types import EntityId

#: A function, or a signature by which functions are called through references.
_Node = EntityId | int


class Throwing:
    """The answer for one program.

    Attributes:
        functions: those that may throw.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self.functions: set[EntityId] = set()
        self._signatures: set[int] = set()
        self._class: dict[_Node, _Node] = {}
        self._returning: set[_Node] = set()
        throwers = {f.id for f in module.functions.values()
                    if any(block.terminator.op is o.THROW for block in f.blocks)}
        if throwers:
            self._spread(throwers, referenced_functions(module))
            self._unite(referenced_functions(module))

    def may_throw(self, callee: EntityId) -> bool:
        """Whether a call of a function may throw."""
        return callee in self.functions

    def ref_may_throw(self, sig: int) -> bool:
        """Whether a call through a reference may throw."""
        return sig in self._signatures

    def returns_exception(self, function: EntityId) -> bool:
        """Whether a function returns an exception or null besides its results."""
        return bool(self._returning) and self._find(function) in self._returning

    def ref_returns_exception(self, sig: int) -> bool:
        """Whether functions that are called through references do."""
        return bool(self._returning) and self._find(sig) in self._returning

    def _spread(self, throwers: set[EntityId], referenced: set[EntityId]) -> None:
        """Find all that call what throws, and do not catch it."""
        callers: dict[_Node, list[EntityId]] = {}
        for function in self._module.functions.values():
            for node in _passed_on(function):
                callers.setdefault(node, []).append(function.id)
        work: list[_Node] = list(throwers)
        while work:
            node = work.pop()
            if isinstance(node, EntityId):
                if node in self.functions:
                    continue
                self.functions.add(node)
                if node in referenced:
                    work += self._callable_as(node)
            elif node in self._signatures:
                continue
            else:
                self._signatures.add(node)
            work += callers.get(node, ())

    def _callable_as(self, function: EntityId) -> Iterable[int]:
        """Signatures by which a function may be called."""
        sig: int | None = self._module.sig_of(function)
        while sig is not None:
            yield sig
            sig = self._module.supertypes.get(sig)

    def _unite(self, referenced: set[EntityId]) -> None:
        """Form classes of what must return in the same way."""
        module = self._module
        for function in module.functions.values():
            for block in function.blocks:
                last = block.terminator
                if last.op in (o.RETURN_CALL, o.RETURN_CALL_REF):
                    self._join(function.id, last.attrs[0])
        for id_ in referenced:
            for sig in self._callable_as(id_):
                self._join(id_, sig)
        self._returning = {self._find(id_) for id_ in self.functions}

    def _find(self, node: _Node) -> _Node:
        above = self._class
        root = node
        while root in above:
            root = above[root]
        while node in above:
            above[node], node = root, above[node]
        return root

    def _join(self, one: _Node, other: _Node) -> None:
        one, other = self._find(one), self._find(other)
        if one != other:
            self._class[one] = other


def referenced_functions(module: Module) -> set[EntityId]:
    """Functions that a reference may point to, those of the host among them."""
    found = {
        inst.attrs[0]
        for function in module.functions.values()
        for inst in function.insts()
        if inst.op is o.REF_FUNC
    }
    inits: list[int | FuncInit] = [g.init for g in module.globals.values()]
    inits += [table.init for table in module.tables.values()]
    for segment in module.elems.values():
        inits += segment.items
    found |= {init.id for init in inits if isinstance(init, FuncInit)}
    found |= {id_ for data in module.data.values() for _, id_ in data.references}
    return found - module.removed.keys()


def _passed_on(function: Function) -> set[_Node]:
    """What a function calls without catching what it throws."""
    return {inst.attrs[0] for inst in function.insts() if inst.op in _PLAIN_CALLS}


_PLAIN_CALLS = frozenset((o.CALL, o.CALL_REF, o.RETURN_CALL, o.RETURN_CALL_REF))
