"""The agent as a user's host function sees it, for Numba: its memory, its id, and how it ends.

What :class:`~.host_api.Agent` describes is implemented here. A status of Numba's calling
convention carries how the agent ends through every function on the way: user exceptions are its
positive numbers, of which none is used otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import errors, types
from numba.extending import (
    intrinsic,
    models,
    overload,
    overload_attribute,
    overload_method,
    register_model,
)

from ..ir.types import FuncType, Type
from ..targets.layout import Ctx
from . import guest
from .guest import device, guest_check, state_load
from .host_api import trap

#: Bits of a status of Numba's: an agent's trap, or one with the user's own number.
TRAP_FLAG = 1 << 29
CODE_FLAG = 1 << 30
CODE_BITS = 23

_Codegen = Callable[[Any, Any, Any, Any], Any]
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_HALF = 1 << 31


class AgentType(types.Type):
    """Numba's type of the first parameter of a host function: the state block's address."""

    def __init__(self) -> None:
        super().__init__("agent")


AGENT = AgentType()


@register_model(AgentType)
class _AgentModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: Any) -> None:
        super().__init__(manager, type_, _I64)  # type: ignore[no-untyped-call]


def _context_of(typing: Any, agent: Any) -> tuple[Any, _Codegen]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0]

    return types.int64(AGENT), generate


def _leave(typing: Any, status: Any) -> tuple[Any, _Codegen]:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with builder.if_then(ir.Constant(ir.IntType(1), 1)):  # what follows is not reached
            code = builder.trunc(args[0], _I32)
            context.call_conv._return_errcode_raw(builder, code)
        return context.get_dummy_value()

    return types.void(types.int64), generate


_ctx: Any = intrinsic(_context_of)
_end: Any = intrinsic(_leave)


@device
def _reach(ctx: int, address: int, length: int) -> int:
    """The address of bytes that lie in the agent's memory; the agent ends if they do not."""
    if -_HALF <= address < 0:
        address += 2 * _HALF  # the upper half of 32-bit addresses, as a signed number
    status = guest_check(ctx, address, length, 1)
    if status != 0:
        _end(TRAP_FLAG | status)
    return address


@overload(trap)
def _trap(code: Any = 0) -> Any:
    if not isinstance(code, types.Integer | types.Omitted | int):
        raise errors.TypingError(f"swarmc.trap takes an integer, not {code}")

    def implementation(code: Any = 0) -> None:
        _end(CODE_FLAG | (code & ((1 << CODE_BITS) - 1)))

    return implementation


@overload_attribute(AgentType, "id")
def _id(agent: Any) -> Any:
    def implementation(agent: Any) -> Any:
        return state_load(_ctx(agent), Ctx.AGENT)

    return implementation


@overload_attribute(AgentType, "memory_size")
def _memory_size(agent: Any) -> Any:
    def implementation(agent: Any) -> Any:
        return state_load(_ctx(agent), Ctx.MEM_SIZE)

    return implementation


def _bits_to(type_: Any) -> Any:
    """Intrinsic: the number of a type whose bits are the low ones of a 64-bit word."""

    def convert(typing: Any, word: Any) -> tuple[Any, _Codegen]:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = ir.IntType(type_.bitwidth)
            value = args[0] if type_.bitwidth == 64 else builder.trunc(args[0], bits)
            if isinstance(type_, types.Float):
                return builder.bitcast(value, context.get_value_type(type_))
            return value

        return type_(types.int64), generate

    return intrinsic(convert)


_CANONICAL = {32: 0x7FC0_0000, 64: 0x7FF8_0000_0000_0000}


def _float_bits(context: Any, builder: Any, value: Any, from_: Any, to: Any) -> Any:
    """A number as the bits of a float, in 64; every NaN is the canonical one."""
    value = context.cast(builder, value, from_, to)
    integer = ir.IntType(to.bitwidth)
    nan = builder.fcmp_unordered("uno", value, value)
    bits = builder.select(
        nan, ir.Constant(integer, _CANONICAL[to.bitwidth]), builder.bitcast(value, integer)
    )
    return bits if to.bitwidth == 64 else builder.zext(bits, _I64)


def _bits_of(type_: Any) -> Any:
    """Intrinsic: a number as the bits that a store of a type writes."""

    def convert(typing: Any, value: Any) -> tuple[Any, _Codegen]:
        _check_number(type_, value, f"a store of {type_}")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (from_,) = signature.args
            if isinstance(type_, types.Float):
                return _float_bits(context, builder, args[0], from_, type_)
            return context.cast(builder, args[0], from_, types.int64)

        return types.int64(value), generate

    return intrinsic(convert)


def _check_number(wanted: Any, given: Any, where: str) -> None:
    if isinstance(given, types.Integer | types.Boolean | types.IntegerLiteral):
        return
    if not isinstance(wanted, types.Float):
        raise errors.TypingError(f"{where} takes an integer, not {given}")
    if not isinstance(given, types.Float):
        raise errors.TypingError(f"{where} takes a number, not {given}")


_WIDTHS = {
    "i8": types.int8, "u8": types.uint8, "i16": types.int16, "u16": types.uint16,
    "i32": types.int32, "u32": types.uint32, "i64": types.int64,
    "f32": types.float32, "f64": types.float64,
}  # fmt: skip


def _add_access(name: str, type_: Any) -> None:
    size, bits = type_.bitwidth // 8, type_.bitwidth
    read: Any = getattr(guest, f"guest_load{bits}")
    write: Any = getattr(guest, f"guest_store{bits}")
    from_word, to_word = _bits_to(type_), _bits_of(type_)

    def load(agent: Any, address: Any) -> Any:
        _check_number(types.int64, address, f"load_{name}")

        def implementation(agent: Any, address: Any) -> Any:
            ctx = _ctx(agent)
            return from_word(read(ctx, _reach(ctx, address, size)))

        return implementation

    def store(agent: Any, address: Any, value: Any) -> Any:
        _check_number(types.int64, address, f"store_{name}")
        _check_number(type_, value, f"store_{name}")

        def implementation(agent: Any, address: Any, value: Any) -> None:
            ctx = _ctx(agent)
            write(ctx, _reach(ctx, address, size), to_word(value))

        return implementation

    overload_method(AgentType, f"load_{name}")(load)
    if not name.startswith("u"):
        overload_method(AgentType, f"store_{name}")(store)


for _name, _type in _WIDTHS.items():
    _add_access(_name, _type)


@overload_method(AgentType, "fill")
def _fill(agent: Any, address: Any, byte: Any, length: Any) -> Any:
    def implementation(agent: Any, address: Any, byte: Any, length: Any) -> None:
        ctx = _ctx(agent)
        start = _reach(ctx, address, length)
        for offset in range(length):
            guest.guest_store8(ctx, start + offset, byte)

    return implementation


@overload_method(AgentType, "copy")
def _copy(agent: Any, to: Any, source: Any, length: Any) -> Any:
    def implementation(agent: Any, to: Any, source: Any, length: Any) -> None:
        ctx = _ctx(agent)
        start, first = _reach(ctx, source, length), _reach(ctx, to, length)
        backwards = first > start
        for place in range(length):
            offset = length - 1 - place if backwards else place
            guest.guest_store8(ctx, first + offset, guest.guest_load8(ctx, start + offset))

    return implementation


_NUMBERS = {
    Type.I32: types.int32, Type.I64: types.int64, Type.F32: types.float32, Type.F64: types.float64,
}  # fmt: skip


def make_entry(
    function: Any, type_: FuncType, takes_agent: bool, name: str
) -> Callable[[int, int], int]:
    """The host function ``f(ctx, slots) -> status`` that calls a user's function."""
    take = intrinsic(_taker(type_.params, takes_agent))
    give = intrinsic(_giver(type_.results, name))

    def entry(ctx: int, slots: int) -> int:
        give(slots, function(*take(ctx, slots)))
        return 0

    return entry


def _taker(params: Sequence[Type], takes_agent: bool) -> Callable[..., tuple[Any, _Codegen]]:
    kinds = [_NUMBERS[type_] for type_ in params]
    taken = types.Tuple([AGENT, *kinds] if takes_agent else kinds)  # type: ignore[no-untyped-call]

    def take(typing: Any, ctx: Any, slots: Any) -> tuple[Any, _Codegen]:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = [args[0]] if takes_agent else []
            for number, kind in enumerate(kinds):
                found.append(builder.load(_slot(context, builder, args[1], number, kind)))
            return context.make_tuple(builder, taken, found)

        return taken(types.int64, types.int64), generate

    return take


def _slot(context: Any, builder: Any, slots: Any, number: int, kind: Any) -> Any:
    place = builder.add(slots, ir.Constant(_I64, 8 * number))
    return builder.inttoptr(place, context.get_value_type(kind).as_pointer())


def _giver(results: Sequence[Type], name: str) -> Callable[..., tuple[Any, _Codegen]]:
    wanted = [_NUMBERS[type_] for type_ in results]

    def give(typing: Any, slots: Any, result: Any) -> tuple[Any, _Codegen]:
        given = _check_results(results, wanted, result, name)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            values = [args[1]]
            if len(given) != 1 or isinstance(result, types.BaseTuple):
                values = [builder.extract_value(args[1], n) for n in range(len(given))]
            for number, (value, from_, to) in enumerate(zip(values, given, wanted, strict=True)):
                if isinstance(to, types.Float):
                    word = _float_bits(context, builder, value, from_, to)
                else:
                    word = context.cast(builder, value, from_, types.int64)
                builder.store(word, _slot(context, builder, args[0], number, types.int64))
            return context.get_dummy_value()

        return types.void(types.int64, result), generate

    return give


def _check_results(
    results: Sequence[Type], wanted: Sequence[Any], result: Any, name: str
) -> list[Any]:
    """Types of the values that a function returns, if they are what its signature says."""
    given = [result]
    if isinstance(result, types.NoneType):
        given = []
    elif isinstance(result, types.BaseTuple):
        given = list(result.types)  # type: ignore[attr-defined]
    listed = ", ".join(type_.value for type_ in results) or "nothing"
    returned = ", ".join(str(one) for one in given) or "nothing"
    if isinstance(result, types.Optional):
        returned = f"{result.type}, and nothing on another path"
    good = len(given) == len(wanted) and not isinstance(result, types.Optional)
    for one, to in zip(given, wanted, strict=False):
        integer = isinstance(one, types.Integer | types.Boolean)
        good = good and (integer or (isinstance(one, types.Float) and isinstance(to, types.Float)))
    if not good:
        raise errors.TypingError(f"{name} returns {returned}; its signature says {listed}")
    return given
