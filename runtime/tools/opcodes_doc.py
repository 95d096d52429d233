"""Writes ``docs/opcodes.md`` from the table of instructions.

    python -m swarmc.runtime.tools.opcodes_doc docs/opcodes.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from ...compiler.wasm.opcodes import (
    OPCODES,
    PREFIX_FC,
    PREFIX_FD,
    Imm,
    Opcode,
    unsupported_proposal,
)
from ...compiler.wasm.types import ValueType

_INTRODUCTION = """\
# WebAssembly instructions

<!-- Written by `python -m swarmc.runtime.tools.opcodes_doc docs/opcodes.md`; do not edit. -->

Every instruction that swarmc decodes: {count} rows of the table in
`compiler/wasm/opcodes.py`, from which the decoder, the validator, the printer and this page are
derived. *Type* is operands -> results; `…` depends on context (labels, locals, the function
called), and such rows have a rule of their own in the validator and the frontend. Addresses,
indices and sizes are given as i32; they are i64 where the memory or table is 64-bit. *IR* is the
op of `ir/ops.py` that the instruction becomes when it becomes exactly one (where the instruction
can trap, after the checks; where its result may be a NaN, before `canon`). *Fuel* is what it
costs; `+ n` stands for the bytes, elements or pages of the operation.
"""

_UNSUPPORTED = """\
## Recognised, not supported

These are refused with the name of the proposal and the byte offset.

| proposal | codes |
| --- | --- |
"""

_HEAD = """\
| code | instruction | immediates | type | IR | fuel |
| --- | --- | --- | --- | --- | --- |
"""

_BULK = frozenset(("memory.fill", "memory.copy", "memory.init", "table.fill", "table.copy",
                   "table.init", "memory.grow", "table.grow"))


def render() -> str:
    """The page's text."""
    parts = [_INTRODUCTION.format(count=len(OPCODES))]
    for proposal in dict.fromkeys(row.proposal for row in OPCODES):
        rows = sorted((row for row in OPCODES if row.proposal == proposal),
                      key=lambda row: (row.prefix or 0, row.code))
        title = "WebAssembly 1.0" if proposal == "mvp" else proposal
        parts.append(f"## {title}: {len(rows)}\n\n{_HEAD}{''.join(map(_line, rows))}")
    parts.append(_UNSUPPORTED + "".join(_unsupported_lines()))
    return "\n".join(parts)


def _line(row: Opcode) -> str:
    code = f"{row.code:02x}" if row.prefix is None else f"{row.prefix:02x} {row.code:02x}"
    immediates = "" if row.imm is Imm.NONE else row.imm.value
    op = ""
    if row.ir is not None:
        op = f"`{row.ir.name}.{row.type.value}`" if row.type is not None else f"`{row.ir.name}`"
    fuel = f"{row.fuel} + n" if row.name in _BULK else str(row.fuel)
    type_ = f"{_types(row.params)} -> {_types(row.results)}".replace("… -> …", "…")
    return f"| `{code}` | `{row.name}` | {immediates} | {type_} | {op} | {fuel} |\n"


def _types(types: tuple[ValueType, ...] | None) -> str:
    return "…" if types is None else f"({' '.join(type_.value for type_ in types)})"


def _unsupported_lines() -> Iterable[str]:
    codes: dict[str, list[str]] = {}
    for first in range(256):
        for code in range(256) if first in (PREFIX_FC, PREFIX_FD) else (0,):
            proposal = unsupported_proposal(first, code)
            if proposal is not None:
                spelled = f"{first:02x}" if code == 0 else f"{first:02x} {code:02x}"
                codes.setdefault(proposal, []).append(spelled)
    for proposal, found in codes.items():
        yield f"| {proposal} | {', '.join(f'`{code}`' for code in found)} |\n"


def main() -> None:
    """Write the page to the file named by the first argument, else to standard output."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(render(), encoding="utf-8")
    else:
        sys.stdout.write(render())


if __name__ == "__main__":
    main()
