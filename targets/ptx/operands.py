"""Parsing the operands of instructions."""

from __future__ import annotations

import re

from .module import (
    Address,
    Immediate,
    Negated,
    Operand,
    PredicatePair,
    PtxError,
    Register,
    Symbol,
    Vector,
)

_REGISTER = re.compile(r"%[A-Za-z_$][\w$]*(?:\.[a-z]+)?")
_SYMBOL = re.compile(r"[A-Za-z_$][\w$]*")
_INTEGER = re.compile(r"(-?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0|[1-9][0-9]*)U?")
_FLOAT = re.compile(r"0[fF]([0-9a-fA-F]{8})|0[dD]([0-9a-fA-F]{16})")
_ADDRESS = re.compile(r"\[\s*(%?[A-Za-z_$][\w$]*)\s*(?:\+\s*(-?[0-9]+)\s*)?\]")


class OperandParser:
    """Parses operands, each distinct text once: there are few of them in a module."""

    def __init__(self) -> None:
        self._known: dict[str, Operand] = {}

    def parse_all(self, text: str, line: int) -> tuple[Operand, ...]:
        """Operands that are separated by commas."""
        return tuple([self.parse(part, line) for part in split_list(text)])

    def parse(self, text: str, line: int) -> Operand:
        operand = self._known.get(text)
        if operand is None:
            operand = self._known[text] = self._parse(text, line)
        return operand

    def register(self, text: str, line: int) -> Register:
        """An operand that must be a register."""
        operand = self.parse(text, line)
        if not isinstance(operand, Register):
            raise PtxError("a register must stand here", line=line, text=text)
        return operand

    def _parse(self, text: str, line: int) -> Operand:
        if _REGISTER.fullmatch(text):
            return Register(text)
        number = parse_number(text)
        if number is not None:
            return number
        if _SYMBOL.fullmatch(text):
            return Symbol(text)
        address = _ADDRESS.fullmatch(text)
        if address:
            name, offset = address.groups()
            base = Register(name) if name.startswith("%") else Symbol(name)
            return Address(base, int(offset or 0))
        if text.startswith("{") and text.endswith("}"):
            return Vector(tuple([self._item(item, line) for item in split_list(text[1:-1])]))
        if text.startswith("!"):
            return Negated(self.register(text[1:].strip(), line))
        first, bar, second = text.partition("|")
        if bar:
            return PredicatePair(
                self.register(first.strip(), line), self.register(second.strip(), line)
            )
        raise PtxError("this is no operand", line=line, text=text)

    def _item(self, text: str, line: int) -> Register | Immediate | None:
        if text == "_":
            return None
        item = self.parse(text, line)
        if not isinstance(item, Register | Immediate):
            raise PtxError("vectors hold registers and constants", line=line, text=text)
        return item


def parse_number(text: str) -> Immediate | None:
    """A constant (PTX ISA 4.5), or None if the text is no number."""
    integer = _INTEGER.fullmatch(text)
    if integer:
        value = int(integer[2], 0)
        return Immediate(-value if integer[1] else value)
    number = _FLOAT.fullmatch(text)
    if number:
        return Immediate(int(number[1] or number[2], 16), 32 if number[1] else 64)
    return None


def split_list(text: str) -> list[str]:
    """Parts between commas that are not inside braces or brackets."""
    if "{" not in text:
        return [part.strip() for part in text.split(",")] if text.strip() else []
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return parts
