"""What the verifier asks of one instruction: its row of the table, and what the row cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import ops as o
from .builder import BY_SIGNATURE, RESULT_TYPE
from .function import Function, Inst
from .module import Module
from .ops import OPERAND_CLASSES, OPS, Attr, Effect, Op
from .types import EntityId, FuncType, Shape, Trap, Type


class RuleError(Exception):
    """An instruction breaks a rule. The verifier turns it into an IRError that says where."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuleError(message)


def _operand_types(spelled: str, types: tuple[Type, ...]) -> tuple[Type, ...]:
    """The types that an operand may have; empty: exactly ``T``."""
    if spelled == "T":
        return ()
    return OPERAND_CLASSES.get(spelled) or (Type(spelled),)


#: For each op the types its operands may have, without a final "...".
_OPERANDS: dict[Op, tuple[tuple[Type, ...], ...]] = {
    op: tuple(_operand_types(spelled, op.types) for spelled in op.operands if spelled != "...")
    for op in OPS.values()
}
_VARIADIC = frozenset(op for op in OPS.values() if "..." in op.operands)
_CALLS = frozenset(op for op in OPS.values() if op.effect & Effect.CALL)


def check_inst(inst: Inst, function: Function, module: Module) -> None:
    """Check an instruction but for its edges and the dominance of its operands.

    Raises:
        RuleError: it breaks a rule.
    """
    op, type_ = inst.op, inst.type
    if type_ not in op.types and (op.types or type_ is not None):
        raise RuleError(f"{op.name} has no form for {type_ and type_.value}")
    if inst.prepaid < 0:
        raise RuleError("prepaid fuel is negative")
    if inst.region and op is not o.LOAD and op is not o.STORE:
        raise RuleError("only loads and stores keep to a region")
    _check_operands(inst)
    if op.attrs:
        _check_attrs(inst, module)
    if op in _RULES:
        _RULES[op](inst, function, module)
    if op not in BY_SIGNATURE:
        wanted: tuple[Type, ...] = ()
        if op in RESULT_TYPE:
            result = RESULT_TYPE[op] or type_
            assert result is not None
            wanted = (result,)
        _match("results", tuple([value.type for value in inst.results]), wanted)


def _check_operands(inst: Inst) -> None:
    wanted = _OPERANDS[inst.op]
    args = inst.args
    if len(args) != len(wanted) and not (inst.op in _VARIADIC and len(args) > len(wanted)):
        raise RuleError(f"it has {len(args)} operands, not {len(wanted)}")
    for number, (value, allowed) in enumerate(zip(args, wanted, strict=False)):
        if not (value.type in allowed if allowed else value.type is inst.type):
            names = "/".join(t.value for t in allowed) if allowed else str(
                inst.type and inst.type.value)
            raise RuleError(f"operand {number} is {value.type.value}, not {names}")


def _space(kind: Attr, id_: EntityId, module: Module) -> Mapping[EntityId, object] | None:
    """Where an id of this kind must be found; None if it is no id."""
    match kind:
        case Attr.FUNC:
            hosts = module.host_functions
            return hosts if id_ in hosts else module.functions
        case Attr.MEMORY | Attr.SRC_MEMORY:
            return module.memories
        case Attr.TABLE | Attr.SRC_TABLE:
            return module.tables
        case Attr.GLOBAL:
            return module.globals
        case Attr.DATA:
            return module.data
        case Attr.ELEM:
            return module.elems
        case _:
            return None


def _check_attrs(inst: Inst, module: Module) -> None:
    kinds, values = inst.op.attrs, inst.attrs
    _require(len(kinds) == len(values), f"it has {len(values)} immediates, not {len(kinds)}")
    for kind, value in zip(kinds, values, strict=True):
        space = _space(kind, value, module)
        if space is not None:
            if value not in space:
                raise RuleError(f"there is no {kind.value} {value}")
        elif not _attr_ok(kind, value, inst, module):
            raise RuleError(f"{kind.value}={value} is wrong")


def _attr_ok(kind: Attr, value: Any, inst: Inst, module: Module) -> bool:
    type_ = inst.type
    if kind is Attr.TRAP:
        return isinstance(value, Trap)
    if kind is Attr.SIGNED or kind is Attr.HIGH:
        return isinstance(value, bool)
    if kind is Attr.SHAPE:
        return value in inst.op.shapes
    if kind is Attr.LANES:
        return isinstance(value, bytes) and len(value) == 16 and max(value) < 32
    if not isinstance(value, int) or value < 0:
        return False
    match kind:
        case Attr.CONST:
            return type_ is not None and value >> type_.bits == 0
        case Attr.OBJECT:
            return value < len(module.objects)
        case Attr.SIG:
            return value < len(module.types)
        case Attr.OFFSET:
            return value >> 64 == 0
        case Attr.ALIGN:
            return value.bit_count() == 1
        case Attr.WIDTH:
            return value > 0
        case Attr.LANE:
            shape = inst.attrs[0]  # it comes first, and is checked first
            return isinstance(shape, Shape) and value < shape.lanes
        case _:
            return True


def callee_type(inst: Inst, module: Module) -> FuncType:
    """Type of the function that a call calls."""
    sig = module.sig_of(inst.attrs[0]) if inst.op.attrs[0] is Attr.FUNC else inst.attrs[0]
    return module.types[sig]


def _match(what: str, found: tuple[Type, ...], wanted: tuple[Type, ...]) -> None:
    if found != wanted:
        raise RuleError(f"{what} are ({', '.join(t.value for t in found)}), not "
                        f"({', '.join(t.value for t in wanted)})")


def _is(what: str, found: Type | None, wanted: Type) -> None:
    if found is not wanted:
        raise RuleError(f"{what} is {found and found.value}, not {wanted.value}")


# Rules: what the table's row leaves open.

Rule = Callable[[Inst, Function, Module], None]


def _call(inst: Inst, function: Function, module: Module) -> None:
    type_ = callee_type(inst, module)
    fixed = len(_OPERANDS[inst.op])
    _match("arguments", tuple([value.type for value in inst.args[fixed:]]), type_.params)
    _require(inst.prepaid == 0, "a call ends a region of fuel, so nothing is prepaid")
    if inst.op.results:
        _match("results", tuple([value.type for value in inst.results]), type_.results)
    elif inst.op in (o.RETURN_CALL, o.RETURN_CALL_REF):
        _match("the callee's results", type_.results, function.type.results)


def _return(inst: Inst, function: Function, module: Module) -> None:
    _match("results", tuple([value.type for value in inst.args]), function.type.results)


def _bitcast(inst: Inst, function: Function, module: Module) -> None:
    assert inst.type is not None
    _require(inst.args[0].type.bits == inst.type.bits, "the types differ in width")


def _global_get(inst: Inst, function: Function, module: Module) -> None:
    _is("the type", inst.type, module.globals[inst.attrs[0]].type)


def _global_set(inst: Inst, function: Function, module: Module) -> None:
    _global_get(inst, function, module)
    _require(module.globals[inst.attrs[0]].mutable, "the global is immutable")


def _address(inst: Inst, module: Module, width: int | None = None) -> None:
    address, index_type = inst.args[0].type, module.memories[inst.attrs[0]].index_type
    # A checked address may be widened, so that what is added to it does not wrap around.
    if inst.op is o.BOUNDS_CHECK or address is not Type.I64:
        _is("the address", address, index_type)
    _require(inst.attrs[1] >> address.bits == 0, "the offset is wider than the address")


def _bounds_check(inst: Inst, function: Function, module: Module) -> None:
    _address(inst, module)


def _access(inst: Inst, function: Function, module: Module) -> None:
    _address(inst, module)
    assert inst.type is not None
    width, size = inst.attrs[2], inst.type.bits // 8
    _require(width == size if not inst.type.is_int else width <= size and width.bit_count() == 1,
             f"width {width} does not suit {inst.type.value}")
    if inst.op is o.LOAD:
        _require(not inst.attrs[3] or inst.type.is_int, f"{inst.type.value} has no sign to extend")


def _lane(inst: Inst, function: Function, module: Module) -> None:
    """``T`` is the scalar type of the shape's lanes."""
    shape = inst.attrs[0]
    _is("the lane", inst.type, shape.lane)
    if inst.op is o.VEXTRACT:
        _require(not inst.attrs[2] or shape.bits < shape.lane.bits,
                 f"a lane of {shape.value} has no sign to extend")


def _index_ops(op: Op, module: Module, inst: Inst) -> tuple[Type, Type | None]:
    """Index types of the memory or table, and of the source, that an instruction names."""
    tables = op.attrs[0] is Attr.TABLE
    space: Mapping[EntityId, Any] = module.tables if tables else module.memories
    first: Type = space[inst.attrs[0]].index_type
    if Attr.SRC_TABLE in op.attrs or Attr.SRC_MEMORY in op.attrs:
        second: Type = space[inst.attrs[1]].index_type
        return first, second
    return first, None


def _sized(inst: Inst, function: Function, module: Module) -> None:
    """``T`` is the index type (size, grow, fill)."""
    _is("the index type", inst.type, _index_ops(inst.op, module, inst)[0])


def _copied(inst: Inst, function: Function, module: Module) -> None:
    """Each place has its side's index type, and the length the narrower one."""
    first, second = _index_ops(inst.op, module, inst)
    assert second is not None
    _is("the destination", inst.args[0].type, first)
    _is("the source", inst.args[1].type, second)
    _is("the length", inst.type, first if first is Type.I32 else second)


def _indexed(inst: Inst, function: Function, module: Module) -> None:
    """The first operand is an index."""
    _is("the index", inst.args[0].type, _index_ops(inst.op, module, inst)[0])


def _element(place: int | None) -> Rule:
    """The operand at a place (None: ``T``) has the table's type."""
    def rule(inst: Inst, function: Function, module: Module) -> None:
        found = inst.type if place is None else inst.args[place].type
        _is("the element", found, module.tables[inst.attrs[0]].type)
    return rule


def _same_elements(inst: Inst, function: Function, module: Module) -> None:
    source = module.elems if inst.op is o.TABLE_INIT else module.tables
    _is("the source's type", source[inst.attrs[1]].type, module.tables[inst.attrs[0]].type)


def _all(*rules: Rule) -> Rule:
    def rule(inst: Inst, function: Function, module: Module) -> None:
        for one in rules:
            one(inst, function, module)
    return rule


_RULES: dict[Op, Rule] = {
    **dict.fromkeys(_CALLS, _call),
    o.RETURN: _return,
    o.BITCAST: _bitcast,
    o.GLOBAL_GET: _global_get,
    o.GLOBAL_SET: _global_set,
    o.BOUNDS_CHECK: _bounds_check,
    o.LOAD: _access,
    o.STORE: _access,
    o.VSPLAT: _lane,
    o.VEXTRACT: _lane,
    o.VREPLACE: _lane,
    o.MEMORY_SIZE: _sized,
    o.MEMORY_GROW: _sized,
    o.MEMORY_FILL: _sized,
    o.MEMORY_COPY: _copied,
    o.MEMORY_INIT: _indexed,
    o.TABLE_GET: _all(_indexed, _element(None)),
    o.TABLE_SET: _all(_indexed, _element(None)),
    o.TABLE_SIZE: _sized,
    o.TABLE_GROW: _all(_sized, _element(0)),
    o.TABLE_FILL: _all(_sized, _element(1)),
    o.TABLE_COPY: _all(_copied, _same_elements),
    o.TABLE_INIT: _all(_indexed, _same_elements),
}
