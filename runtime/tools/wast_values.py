"""Values in the suite's scripts: constants to call with, patterns that results have to match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...compiler.frontend.casts import INTEGER, OUTSIDE
from ...compiler.wasm.types import Heap
from ...errors import ArgumentError
from ...ir.types import Type


@dataclass(frozen=True, slots=True)
class Const:
    """A value as a bit pattern; references are handles. ``type`` None: some reference type."""

    type: Type | None
    bits: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a result may be: a value whose bits under ``mask`` are ``bits``.

    Attributes:
        type: None: some reference type.
        nonnull: null is wrong, whatever the mask.
        others: patterns that will do as well.
    """

    type: Type | None
    bits: int
    mask: int
    nonnull: bool = False
    others: tuple[Pattern, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether only one value matches."""
        width = 64 if self.type is None else self.type.bits
        return not self.nonnull and not self.others and self.mask == _ones(width)

    def matches(self, type_: Type, value: int) -> bool:
        """Whether a result is right."""
        if any(other.matches(type_, value) for other in self.others):
            return True
        if type_ is not self.type and (self.type is not None or not type_.is_ref):
            return False
        return value & self.mask == self.bits and not (self.nonnull and value == 0)

    def __str__(self) -> str:
        text = "ref" if self.type is None else self.type.value
        if self.nonnull:
            text += " other than null"
        else:
            text += f" {self.bits:#x}"
            if not (self.constant or self.others):
                text += f" under {self.mask:#x}"
        return " or ".join([text, *map(str, self.others)])


#: Bits of (exponent, mantissa) of the float types, by width.
_FLOATS = {32: (8, 23), 64: (11, 52)}
_NUMBERS = {f"{t.value}.const": t for t in (Type.I32, Type.I64, Type.F32, Type.F64)}
_HEAP_TYPES = {heap.value: heap.ir for heap in Heap}
_MARKS = OUTSIDE | INTEGER


def parse_const(words: Sequence[str]) -> Const:
    """A constant such as ``i32.const 7``, given as its words.

    Raises:
        ArgumentError: it is none, or a pattern.
    """
    pattern = parse_pattern(words)
    if not pattern.constant:
        raise ArgumentError(f"{' '.join(words)!r} is no constant")
    return Const(pattern.type, pattern.bits)


def parse_pattern(words: Sequence[str]) -> Pattern:
    """A constant or a pattern, given as its words.

    Raises:
        ArgumentError: it is none.
    """
    match list(words):
        case [op, text] if op in _NUMBERS:
            type_ = _NUMBERS[op]
            return Pattern(type_, *_lane(text, type_.bits, type_.is_float))
        case ["v128.const", shape, *lanes]:
            return _vector(shape, lanes)
        case ["ref.null", *heap]:
            return Pattern(_HEAP_TYPES.get("".join(heap)), 0, _ones(64))
        case ["ref.func" | "ref.extern" | "ref.any" | "ref.exn" as op]:
            return Pattern(_HEAP_TYPES[op[4:]], 0, 0, nonnull=True)
        case ["ref.eq"]:
            return Pattern(Type.ANYREF, 0, OUTSIDE, nonnull=True)
        case ["ref.i31"]:
            return Pattern(Type.ANYREF, INTEGER, _MARKS)
        case ["ref.struct" | "ref.array"]:
            return Pattern(Type.ANYREF, 0, _MARKS, nonnull=True)
        case ["ref.extern", number]:
            return Pattern(Type.EXTERNREF, int(number, 0) + 1, _ones(64))
        case ["ref.host", number]:
            return Pattern(Type.ANYREF, OUTSIDE | int(number, 0) + 1, _ones(64))
    raise ArgumentError(f"unknown value {' '.join(words)!r}")


def _vector(shape: str, lanes: Sequence[str]) -> Pattern:
    width, count = map(int, shape[1:].split("x"))
    if len(lanes) != count or width * count != 128:
        raise ArgumentError(f"{shape} has not {len(lanes)} lanes")
    bits = mask = 0
    for place, text in enumerate(lanes):
        lane, lane_mask = _lane(text, width, shape[0] == "f")
        bits |= lane << width * place
        mask |= lane_mask << width * place
    return Pattern(Type.V128, bits, mask)


def _lane(text: str, width: int, is_float: bool) -> tuple[int, int]:
    """Bits of a number, and which of them count."""
    if not is_float:
        return int(text.replace("_", ""), 0 if "0x" in text else 10) & _ones(width), _ones(width)
    exponent, mantissa = _FLOATS[width]
    quiet = _ones(exponent + 1) << mantissa - 1
    if text == "nan:canonical":
        return quiet, _ones(width - 1)
    if text == "nan:arithmetic":
        return quiet, quiet
    return float_bits(text, width), _ones(width)


def _ones(count: int) -> int:
    return (1 << count) - 1


def float_bits(text: str, width: int) -> int:
    """Bit pattern of a float literal of the text format, rounded once and to even."""
    exponent, mantissa = _FLOATS[width]
    sign = 1 << width - 1 if text.startswith("-") else 0
    text = text.lstrip("+-").replace("_", "")
    infinity = _ones(exponent) << mantissa
    if text == "inf":
        return sign | infinity
    if text.startswith("nan"):
        payload = int(text[6:], 16) if text.startswith("nan:0x") else 1 << mantissa - 1
        return sign | infinity | payload
    return sign | min(_round(_fraction(text), exponent, mantissa), infinity)


def _fraction(text: str) -> Fraction:
    if not text.startswith("0x"):
        return Fraction(text)
    digits, _, power = text[2:].lower().partition("p")
    whole, _, part = digits.partition(".")
    return Fraction(int(whole + part, 16)) * Fraction(2) ** (int(power or "0") - 4 * len(part))


def _round(value: Fraction, exponent: int, mantissa: int) -> int:
    """Exponent and mantissa of the nearest float; too large a value gives infinity or more."""
    if not value:
        return 0
    bias = _ones(exponent - 1)
    power = value.numerator.bit_length() - value.denominator.bit_length()
    if value < Fraction(2) ** power:
        power -= 1
    power = max(power, 1 - bias)  # below that, floats are subnormal
    units = round(value / Fraction(2) ** (power - mantissa))  # rounds halves to even
    # The implicit one of the mantissa adds 1 to the exponent; rounding up may carry into it.
    return (power + bias - 1 << mantissa) + units
