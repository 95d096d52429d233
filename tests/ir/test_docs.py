"""docs/ir.md lists every op as the table has it, and its example is IR.

``python tests/ir/test_docs.py`` writes the list.
"""

from __future__ import annotations

import re
from pathlib import Path

from swarmc.ir.ops import OPS, Attr, Effect, Op
from swarmc.ir.parser import parse_module
from swarmc.ir.printer import print_module
from swarmc.ir.verifier import verify

DOC = Path(__file__).parents[2] / "docs" / "ir.md"
HEAD = "| op | T | operands | results | immediates | effect | edges | meaning |\n"
LETTERS = {
    Effect.READ: "R", Effect.WRITE: "W", Effect.TRAP: "T", Effect.CALL: "C", Effect.FUEL: "F",
}


def shapes(op: Op) -> str:
    """The immediate with its choices."""
    return f"shape ({' '.join(shape.value for shape in op.shapes)})"


def row(op: Op) -> str:
    cells = (
        f"`{op.name}`",
        " ".join(type_.value for type_ in op.types) if len(op.types) < 7 else "any",
        " ".join(op.operands),
        " ".join(op.results),
        " ".join(shapes(op) if kind is Attr.SHAPE else kind.value for kind in op.attrs),
        "".join(letter for effect, letter in LETTERS.items() if op.effect & effect),
        "any" if op.edges < 0 else str(op.edges or ""),
        op.doc.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    return HEAD + "| --- " * 8 + "|\n" + "".join(row(op) for op in OPS.values())


def test_the_list_of_ops_is_the_table() -> None:
    text = DOC.read_text()
    assert text[text.index(HEAD):] == table()


def test_the_example_is_ir_in_the_printers_spelling() -> None:
    text = DOC.read_text()
    example = re.search(r"^```\n(type 0 .*?)^```", text, re.MULTILINE | re.DOTALL)
    assert example
    module = parse_module(example[1])
    verify(module)
    assert print_module(module) == example[1]


if __name__ == "__main__":
    before, _, _ = DOC.read_text().partition(HEAD)
    DOC.write_text(before + table())
