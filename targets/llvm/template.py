"""LLVM IR that is written out by hand, with places for numbers and types."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{([a-z_]+(?:\.[A-Za-z_]+)?)\}")


def fill_in(text: str, values: Mapping[str, object]) -> str:
    """The text with ``{name}`` and ``{record.FIELD}`` replaced by their values."""
    return _PLACE.sub(lambda match: str(values[match[1]]), text)


class Lines:
    """Lines of LLVM IR within a function; names begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("  " + text)

    def assign(self, expression: str, name: str = "") -> str:
        """Write ``name = expression`` and return the name."""
        name = f"%{name or f'{self._prefix}.{len(self.lines)}'}"
        self.line(f"{name} = {expression}")
        return name

    def __str__(self) -> str:
        return "\n".join(self.lines)
