"""Redundant block parameters: one that always gets the same value becomes that value.

Before::

    block1(%2: i32, %3: i32):
        ...
        br_if %5, block1(%2, %6), block2(%2)
    block2(%7: i32):
        return %7

after::

    block1(%3: i32):
        ...
        br_if %5, block1(%6), block2
    block2:
        return %0

where every other edge to ``block1`` passes ``%0``. Equal constants count as the same value: a new
constant takes the parameter's place. Parameters without a use are left to ``dead-code``.
"""

from __future__ import annotations

from collections import deque

from ..analysis.cfg import incoming_edges
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import CONST
from .rewrite import Renames, new_const, reachable_order, remove_params


def block_params(function: Function, module: Module) -> bool:
    """Remove redundant parameters of one function."""
    if not any(block.params for block in function.blocks[1:]):
        return False
    order = reachable_order(function)
    search = _Search(incoming_edges(function))
    search.run(order[1:])
    if not search.found:
        return False
    search.found.apply(function)
    for block in search.reduced:
        search.remove(block)
    return True


class _Search:
    """A queue of parameters, looked at again when a value that is passed is replaced.

    First come, first served: a join with many predecessors waits until they all had their turn.
    """

    __slots__ = ("consts", "found", "gone", "incoming", "passed_to", "reduced")

    def __init__(self, incoming: dict[Block, list[tuple[Block, Edge]]]) -> None:
        self.incoming = incoming
        self.found = Renames()
        self.gone: set[Value] = set()
        self.reduced: dict[Block, None] = {}
        self.consts: dict[Block, list[Inst]] = {}
        self.passed_to: dict[Value, list[tuple[Block, int]]] = {}

    def run(self, order: list[Block]) -> None:
        """Find the redundant parameters of these blocks."""
        passed_to = self.passed_to
        for block in order:
            if block.params:
                for _, edge in self.incoming[block]:
                    for i, value in enumerate(edge.args):
                        if type(value.definition) is Block:
                            passed_to.setdefault(value, []).append((block, i))
        work = deque((block, i) for block in order for i in range(len(block.params)))
        queued = {block.params[i] for block, i in work}
        while work:
            block, i = work.popleft()
            param = block.params[i]
            queued.discard(param)
            only = self.only_value(block, i, param)
            if only is None:
                continue
            self.found.replace(param, only)
            self.gone.add(param)
            self.reduced[block] = None
            for user, place in passed_to.get(param, ()):
                other = user.params[place]
                if other not in queued and other not in self.gone:
                    queued.add(other)
                    work.append((user, place))

    def only_value(self, block: Block, i: int, param: Value) -> Value | None:
        """What can take the place of a parameter, if all edges pass the same."""
        same: Value | None = None
        exactly = True
        resolve = self.found.resolve
        for _, edge in self.incoming[block]:
            if i >= len(edge.args):  # a result that the terminator appends
                return None
            value = resolve(edge.args[i])
            if value is param or value is same:
                continue
            if same is not None:
                if not _equal_consts(value, same):
                    return None
                exactly = False
            same = value
        if exactly or same is None:
            return same
        definition = same.definition
        assert type(definition) is Inst
        const = new_const(same.type, definition.attrs[0], definition.loc)
        self.consts.setdefault(block, []).append(const)
        return const.results[0]

    def remove(self, block: Block) -> None:
        """Take the redundant parameters out of the block and its edges."""
        keep = [param not in self.gone for param in block.params]
        remove_params(block, keep, [edge.args for _, edge in self.incoming[block]])
        block.insts[:0] = self.consts.get(block, ())


def _equal_consts(a: Value, b: Value) -> bool:
    x, y = a.definition, b.definition
    return (type(x) is Inst and type(y) is Inst and x.op is CONST and y.op is CONST
            and x.attrs == y.attrs)
