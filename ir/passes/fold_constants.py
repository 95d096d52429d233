"""Constant folding: computes what is known, applies identities, decides known branches.

Before::

    %2 = const.i32 value=2
    %3 = iadd.i32 %0, %2
    %4 = iadd.i32 %3, %2
    %5 = ieqz.i32 %4
    br_if %5, ^a(), ^b()

after::

    %2 = const.i32 value=2
    %3 = iadd.i32 %0, %2
    %6 = const.i32 value=4
    %4 = iadd.i32 %0, %6
    %5 = ieqz.i32 %4
    br_if %4, ^b(), ^a()

One sweep in reverse postorder: definitions come before their uses, so replaced values are
renamed on the way. What became unused is left to ``dead-code``. A check that cannot fire goes; one
that always fires becomes the block's terminator, and blocks that nothing reaches any more go.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import ops as o
from ..function import Block, Edge, Function, Inst, Value
from ..module import Module
from ..ops import Op
from ..semantics import EVALUABLE, evaluate, result_type
from ..types import Type
from .identities import RULES, defining, strip_condition
from .rewrite import certain_trap, new_const, reachable_order, remove_unreachable, rename_operands


def fold_constants(function: Function, module: Module) -> bool:
    """Fold one function."""
    folder = _Folder(module)
    for block in reachable_order(function):
        folder.fold_block(block)
    if folder.edges_changed:
        remove_unreachable(function)
    return folder.changed


class _Folder:
    """The state of one sweep; rules see it as their context."""

    __slots__ = ("changed", "consts", "edges_changed", "loc", "module", "out", "renames")

    def __init__(self, module: Module) -> None:
        self.module = module
        self.consts: dict[Value, int] = {}
        self.renames: dict[Value, Value] = {}
        self.out: list[Inst] = []
        self.loc = -1
        self.changed = False
        self.edges_changed = False

    def const(self, type_: Type, bits: int) -> Value:
        inst = new_const(type_, bits, self.loc)
        value = inst.results[0]
        self.consts[value] = bits
        self.out.append(inst)
        return value

    def fold_block(self, block: Block) -> None:
        out = self.out = []
        consts, renames = self.consts, self.renames
        handlers = _HANDLERS
        for inst in block.insts:
            op = inst.op
            if op is o.CONST:
                consts[inst.results[0]] = inst.attrs[0]
                out.append(inst)
                continue
            args, edges = inst.args, inst.edges
            if edges:
                rename_operands(inst, renames)
            else:
                for arg in args:
                    if arg in renames:
                        rename_operands(inst, renames)
                        break
            handler = handlers.get(op)
            if handler is None:
                out.append(inst)
                continue
            self.loc = inst.loc
            if handler(self, inst):
                out.append(inst)
                if inst.op is not op or inst.args is not args or inst.edges is not edges:
                    self.changed = True
            else:
                self.changed = True
                if out and out[-1].op.is_terminator:
                    break
        block.insts = out


# Handlers: whether the instruction, perhaps changed in place, stays.


def _fold_pure(folder: _Folder, inst: Inst) -> bool:
    """Evaluate an op whose operands are constants, or apply its rule."""
    consts = folder.consts
    for arg in inst.args:
        if arg not in consts:
            break
    else:
        if inst.op in EVALUABLE:
            return _evaluate(folder, inst)
    rule = RULES.get(inst.op)
    if rule is None:
        return True
    value = rule(folder, inst)
    if value is None:
        return True
    folder.renames[inst.results[0]] = value
    return False


def _evaluate(folder: _Folder, inst: Inst) -> bool:
    consts, args = folder.consts, inst.args
    types = tuple([arg.type for arg in args])
    try:
        bits = evaluate(inst.op, inst.type, types, *[consts[arg] for arg in args],
                        attrs=inst.attrs)
    except ArithmeticError:
        return True  # a check before it fires, so it is never executed
    inst.type = result_type(inst.op, inst.type)
    inst.op, inst.args, inst.attrs = o.CONST, [], (bits,)
    consts[inst.results[0]] = bits
    return True


def _become_const(folder: _Folder, inst: Inst, bits: int) -> None:
    type_ = inst.results[0].type
    inst.op, inst.type, inst.args, inst.attrs = o.CONST, type_, [], (bits,)
    folder.consts[inst.results[0]] = bits


def _fold_table_size(folder: _Folder, inst: Inst) -> bool:
    table = folder.module.tables.get(inst.attrs[0])
    if table is not None and table.minimum == table.maximum:
        _become_const(folder, inst, table.minimum)
    return True


def _fold_memory_size(folder: _Folder, inst: Inst) -> bool:
    memory = folder.module.memories.get(inst.attrs[0])
    if memory is not None and memory.minimum == memory.maximum:
        _become_const(folder, inst, memory.minimum)
    return True


def _fold_trap_if(folder: _Folder, inst: Inst) -> bool:
    (condition,) = inst.args
    bits = folder.consts.get(condition)
    if bits is None:
        stripped, inverted = strip_condition(folder, condition)
        if not inverted and stripped is not condition:
            inst.args = [stripped]
        return True
    if bits:
        folder.out.append(certain_trap(inst, inst.attrs[0]))
        folder.edges_changed = True
    return False


def _fold_charge_by(folder: _Folder, inst: Inst) -> bool:
    amount = folder.consts.get(inst.args[0])
    if amount is None:
        return True
    if amount:
        inst.op, inst.type, inst.args, inst.attrs = o.CHARGE, None, [], (amount,)
    return amount != 0


def _jump(folder: _Folder, inst: Inst, edge: Edge) -> None:
    inst.op, inst.type, inst.args, inst.edges = o.JUMP, None, [], [edge]
    folder.edges_changed = True


def _fold_br_if(folder: _Folder, inst: Inst) -> bool:
    (condition,) = inst.args
    taken, other = inst.edges
    bits = folder.consts.get(condition)
    if bits is not None:
        _jump(folder, inst, taken if bits else other)
        return True
    stripped, inverted = strip_condition(folder, condition)
    if stripped is not condition:
        inst.args = [stripped]
    if inverted:
        inst.edges = [other, taken]
    return True


def _fold_br_table(folder: _Folder, inst: Inst) -> bool:
    edges = inst.edges
    index = folder.consts.get(inst.args[0])
    if index is not None:
        _jump(folder, inst, edges[min(index, len(edges) - 1)])
    elif len(edges) == 1:
        _jump(folder, inst, edges[0])
    return True


def _direct(op: Op) -> Callable[[_Folder, Inst], bool]:
    """A call through the reference of a known function of the right type calls it."""
    def handler(folder: _Folder, inst: Inst) -> bool:
        target = defining(inst.args[0])
        if target is not None and target.op is o.REF_FUNC:
            types = folder.module.types
            (function,) = target.attrs
            if types[folder.module.sig_of(function)] == types[inst.attrs[0]]:
                inst.op, inst.args, inst.attrs = op, inst.args[1:], (function,)
        return True
    return handler


_HANDLERS: dict[Op, Callable[[_Folder, Inst], bool]] = {
    **{op: _fold_pure for op in o.OPS.values() if op in EVALUABLE or op in RULES},
    o.TABLE_SIZE: _fold_table_size,
    o.MEMORY_SIZE: _fold_memory_size,
    o.TRAP_IF: _fold_trap_if,
    o.CHARGE_BY: _fold_charge_by,
    o.BR_IF: _fold_br_if,
    o.BR_TABLE: _fold_br_table,
    o.CALL_REF: _direct(o.CALL),
    o.RETURN_CALL_REF: _direct(o.RETURN_CALL),
    o.TRY_CALL_REF: _direct(o.TRY_CALL),
}
