"""One function body: a scan ahead for assignments and loops, then one pass over the code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...ir.function import NO_EDGES, Block, Function, Inst, Value
from ...ir.types import EntityId, Type
from ..wasm.module import Body, Func
from ..wasm.opcodes import BY_NAME, Opcode
from ..wasm.types import lower_type
from .control import Frame, else_, end
from .emitter import Emitter, Environment
from .rules import LOCAL_GET, LOCAL_SET, LOCAL_TEE, PLANS, Plan
from .ssa import Locals, Node

_LOOP, _ELSE, _END = BY_NAME["loop"], BY_NAME["else"], BY_NAME["end"]
_OPENERS = frozenset((BY_NAME["block"], _LOOP, BY_NAME["if"], BY_NAME["try_table"]))
_SCANNED = _OPENERS | {_END, LOCAL_SET, LOCAL_TEE}

Code = Iterator[tuple[Opcode, Any, int]]

#: Bytes of a local in an activation, which :func:`depth_units` counts.
_SIZES = {type_: type_.bits // 8 for type_ in Type}


def depth_units(types: list[Type]) -> int:
    """Units of call depth that an activation with these parameters and locals takes."""
    return 1 + (sum([_SIZES[type_] for type_ in types]) + 63) // 64


def scan(body: Body) -> tuple[dict[int, list[int]], dict[int, int]]:
    """What a body assigns and repeats.

    Returns:
        Byte offsets at which each local is assigned, ascending; and for each loop's offset that
        of its ``end``.
    """
    sites: dict[int, list[int]] = {}
    ends: dict[int, int] = {}
    open_: list[int] = []
    for row, imm, loc in zip(body.ops, body.imms, body.offsets, strict=True):
        if row in _SCANNED:
            if row in _OPENERS:
                open_.append(loc if row is _LOOP else -1)
            elif row is not _END:
                sites.setdefault(imm, []).append(loc)
            elif open_:
                start = open_.pop()
                if start >= 0:
                    ends[start] = loc
    return sites, ends


def translate_function(env: Environment, func: Func, id_: EntityId, name: str) -> Function:
    """The IR of a function of a validated module."""
    body = func.body
    type_ = env.types[func.type_index]
    types = list(type_.params)
    for count, local_type in func.locals:
        types += [lower_type(local_type)] * count
    function = Function(id_, env.sigs[func.type_index], type_, units=depth_units(types), name=name,
                        loc=body.offsets[0])
    entry = Node(Block(), None, 0)
    for index, param in enumerate(type_.params):
        entry.defs[index] = entry.block.add_param(param)
    sites, ends = scan(body)
    em = Emitter(env, function, Locals(types, sites, entry), ends)
    em.frames.append(Frame(type_.results, 0, 0, entry, -1))
    # wasmtime charges one unit for the call itself before it checks: a budget of 1 traps here.
    em.cost = 1
    em.end_region()
    em.fuel_check(function.loc)
    _translate(em, zip(body.ops, body.imms, body.offsets, strict=True))
    entry.block.insts[2:2] = em.locals.zeros.values()
    return function


def _translate(em: Emitter, code: Code) -> None:
    plans, stack, locals_ = PLANS, em.stack, em.locals
    insts, defs = em.insts, em.defs
    for row, imm, loc in code:
        plan = plans[row]
        if plan.__class__ is Plan:
            op, type_, attrs, result, arity, canonical = plan
            em.cost += 1
            if arity == 2:
                right = stack.pop()
                args = [stack.pop(), right]
            elif arity == 1:
                args = [stack.pop()]
            else:
                args = em.pop_many(arity)
            inst = Inst(op, type_, args, attrs, NO_EDGES, loc)
            value = Value(result, inst)
            inst.results = (value,)
            insts.append(inst)
            if canonical is not None:
                op, type_, attrs = canonical
                inst = Inst(op, type_, [value], attrs, NO_EDGES, loc)
                value = Value(result, inst)
                inst.results = (value,)
                insts.append(inst)
            stack.append(value)
        elif row is LOCAL_GET:
            em.cost += 1
            stack.append(defs.get(imm) or locals_.read(em.node, imm))
        else:
            em.cost += row.fuel
            plan(em, row, imm, loc)  # type: ignore[operator]
            if not em.live:
                _skip(em, code)
            insts, defs = em.insts, em.defs


def _skip(em: Emitter, code: Code) -> None:
    """Pass over code that cannot be reached, up to the end or else that can be."""
    depth = 0
    for row, imm, loc in code:
        if row in _OPENERS:
            depth += 1
        elif row is _END:
            if depth:
                depth -= 1
            else:
                end(em, row, imm, loc)
                if em.live:
                    return
        elif row is _ELSE and not depth:
            else_(em, row, imm, loc)
            return
