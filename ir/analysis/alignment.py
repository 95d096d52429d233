"""Trailing zero bits of integers that are certain, across the functions of a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .. import ops as o
from ..function import Block, Function, Inst, Value
from ..module import Module
from ..ops import Op
from ..types import EntityId
from .cfg import reverse_postorder
from .throwing import referenced_functions

#: More trailing zeros than these are not told apart: no access is wider than 16 bytes.
MOST = 4


def trailing_zeros(number: int) -> int:
    """Trailing zero bits of a number, at most :data:`MOST`; as many for 0."""
    return min((number & -number).bit_length() - 1, MOST) if number else MOST


class Alignment:
    """Certain trailing zeros of every integer of a program.

    It begins with the assumption that everything is a multiple of ``2 ** MOST`` and takes back
    what some definition contradicts, until nothing does: parameters of functions that only
    calls in the program reach, results, and globals that only its code writes are followed too.
    So the stack pointer of compiled C turns out to be a multiple of 16.

    Args:
        roots: functions that may be called from outside, besides start functions and those that
            a reference may point to; None: all exports.
    """

    __slots__ = ("_callers", "_globals", "_module", "_params", "_readers", "_results", "_work")

    def __init__(self, module: Module, roots: Iterable[EntityId] | None = None) -> None:
        self._module = module
        self._callers: dict[EntityId, set[EntityId]] = {}
        self._readers: dict[EntityId, set[EntityId]] = {}
        self._params: dict[EntityId, list[int]] = {}
        self._results: dict[EntityId, list[int]] = {}
        self._globals = {
            item.id: trailing_zeros(item.init) if isinstance(item.init, int) else 0
            for item in module.globals.values()
        }
        for export in module.exports:
            if export.kind == "global" and module.globals[export.id].mutable:
                self._globals[export.id] = 0
        outside = _called_from_outside(module, roots)
        for id_, function in module.functions.items():
            start = 0 if id_ in outside else MOST
            self._params[id_] = [start] * len(function.type.params)
            self._results[id_] = [MOST] * len(function.type.results)
            self._index(function)
        self._work = dict.fromkeys(module.functions)
        while self._work:
            id_ = next(iter(self._work))
            del self._work[id_]
            function = module.functions[id_]
            self._publish(function, self.solve(function))

    def solve(self, function: Function) -> dict[Value, int]:
        """Trailing zeros of a function's integers, as far as they are known at the moment.

        What is missing has none that are certain.
        """
        order = reverse_postorder(function)
        known: dict[Value, int] = {
            param: MOST for block in order for param in block.params if param.type.is_int
        }
        for param, zeros in zip(order[0].params, self._params[function.id], strict=True):
            if param.type.is_int:
                known[param] = zeros
        changed = True
        while changed:
            changed = False
            for block in order:
                self._sweep(block, known)
                changed |= _meet_edges(block.insts[-1], known)
        return known

    def _sweep(self, block: Block, known: dict[Value, int]) -> None:
        rules = _RULES
        for inst in block.insts:
            op = inst.op
            if op in rules:
                known[inst.results[0]] = rules[op](inst, known)
            elif op is o.GLOBAL_GET:
                if inst.results[0].type.is_int:
                    known[inst.results[0]] = self._globals[inst.attrs[0]]
            elif op is o.CALL:
                found = self._results.get(inst.attrs[0])
                if found is not None:
                    known.update(zip(inst.results, found, strict=True))

    def _index(self, function: Function) -> None:
        """Note what a function calls and reads."""
        for inst in function.insts():
            if inst.op in _CALLS:
                self._callers.setdefault(inst.attrs[0], set()).add(function.id)
            elif inst.op is o.GLOBAL_GET:
                self._readers.setdefault(inst.attrs[0], set()).add(function.id)

    def _publish(self, function: Function, known: dict[Value, int]) -> None:
        """Pass on what a function hands to others; those that learn something get work."""
        for inst in function.insts():
            op = inst.op
            if op in _CALLS:
                callee = inst.attrs[0]
                if self._lower(self._params.get(callee), [known.get(a, 0) for a in inst.args]):
                    self._work[callee] = None
                if op is o.RETURN_CALL:
                    results = self._results.get(callee, [0] * len(function.type.results))
                    self._lower_results(function.id, results)
            elif op is o.RETURN:
                self._lower_results(function.id, [known.get(a, 0) for a in inst.args])
            elif op is o.RETURN_CALL_REF:
                self._lower_results(function.id, [0] * len(function.type.results))
            elif op is o.GLOBAL_SET:
                id_, zeros = inst.attrs[0], known.get(inst.args[0], 0)
                if zeros < self._globals[id_]:
                    self._globals[id_] = zeros
                    self._work.update(dict.fromkeys(sorted(self._readers.get(id_, ()))))

    def _lower_results(self, id_: EntityId, found: list[int]) -> None:
        if self._lower(self._results[id_], found):
            self._work.update(dict.fromkeys(sorted(self._callers.get(id_, ()))))

    @staticmethod
    def _lower(bounds: list[int] | None, found: list[int]) -> bool:
        """Lower bounds to what was found; False if nothing changed."""
        if bounds is None:  # the host's function
            return False
        lowered = [min(pair) for pair in zip(bounds, found, strict=True)]
        if lowered == bounds:
            return False
        bounds[:] = lowered
        return True


_CALLS = frozenset({o.CALL, o.RETURN_CALL, o.TRY_CALL})


def _called_from_outside(module: Module, roots: Iterable[EntityId] | None) -> set[EntityId]:
    """Functions whose arguments cannot all be seen."""
    if roots is None:
        roots = (export.id for export in module.function_exports())
    return {*roots, *module.starts, *referenced_functions(module)}


def _meet_edges(terminator: Inst, known: dict[Value, int]) -> bool:
    """Lower block parameters to what edges pass; what a call appends to an edge is unknown."""
    changed = False
    for edge in terminator.edges:
        params = edge.block.params
        for place, param in enumerate(params):
            if param in known:
                zeros = known.get(edge.args[place], 0) if place < len(edge.args) else 0
                if zeros < known[param]:
                    known[param] = zeros
                    changed = True
    return changed


_Known = dict[Value, int]


def _const(inst: Inst, known: _Known) -> int:
    return trailing_zeros(inst.attrs[0])


def _least(inst: Inst, known: _Known) -> int:
    return min([known.get(value, 0) for value in inst.args])


def _most(inst: Inst, known: _Known) -> int:
    return max([known.get(value, 0) for value in inst.args])


def _sum(inst: Inst, known: _Known) -> int:
    return min(sum([known.get(value, 0) for value in inst.args]), MOST)


def _amount(inst: Inst) -> int | None:
    """The constant that an integer is shifted by."""
    value, amount = inst.args
    definition = amount.definition
    if type(definition) is Inst and definition.op is o.CONST:
        bits: int = definition.attrs[0]
        return bits % value.type.bits
    return None


def _shift_left(inst: Inst, known: _Known) -> int:
    # Bits that leave at the top only make room for more zeros: at worst the result is 0.
    return min(known.get(inst.args[0], 0) + (_amount(inst) or 0), MOST)


def _shift_right(inst: Inst, known: _Known) -> int:
    amount = _amount(inst)
    zeros = known.get(inst.args[0], 0)
    # What is known of a value may be less than what is true, so 0 stays 0 only here.
    return 0 if amount is None else max(zeros - amount, 0)


def _same(inst: Inst, known: _Known) -> int:
    return known.get(inst.args[0], 0)


def _select(inst: Inst, known: _Known) -> int:
    _, a, b = inst.args
    return min(known.get(a, 0), known.get(b, 0))


_RULES: dict[Op, Callable[[Inst, _Known], int]] = {
    o.CONST: _const,
    o.IADD: _least,
    o.ISUB: _least,
    o.IOR: _least,
    o.IXOR: _least,
    o.IREM_S: _least,  # a - q * b
    o.IREM_U: _least,
    o.IAND: _most,
    o.IMUL: _sum,
    o.ISHL: _shift_left,
    o.ISHR_S: _shift_right,
    o.ISHR_U: _shift_right,
    o.SEXT8: _same,
    o.SEXT16: _same,
    o.SEXT32: _same,
    o.WRAP: _same,
    o.EXTEND_S: _same,
    o.EXTEND_U: _same,
    o.SELECT: _select,
}
