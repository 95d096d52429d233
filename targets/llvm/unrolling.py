"""Which loops LLVM is to leave as they are.

LLVM for x86 unrolls loops of nearly any length, up to eight times, if their rounds can be counted
when they are entered. What came out of a compiler to WebAssembly is unrolled already as far as that
is of use. A long loop that goes round a few times then runs only the rounds that are left over,
after tests of how many those are.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...ir import ops
from ...ir.function import Block, Inst

#: Instructions of the longest loop that may be unrolled.
LONGEST = 20

#: What stands for nothing in machine code, or for next to nothing.
_NOTHING = frozenset({ops.CONST, ops.CHARGE, ops.JUMP})

#: The metadata that says so.
NODE = '!{!"llvm.loop.unroll.runtime.disable"}'


def repeating_long_loops(order: Sequence[Block]) -> set[Inst]:
    """The terminators that go back in loops that are too long to be unrolled.

    Args:
        order: blocks in reverse postorder, in which a loop's blocks lie close to each other.
    """
    found: set[Inst] = set()
    before: dict[Block, int] = {}  # instructions before each block
    count = 0
    for block in order:
        before[block] = count
        count += sum(inst.op not in _NOTHING for inst in block.insts)
        for edge in block.insts[-1].edges:
            header = edge.block
            # Loops that ask for fuel in each round cannot be counted, and are not unrolled.
            if header.insts[0].op is ops.FUEL_CHECK or header not in before:
                continue
            if count - before[header] > LONGEST:
                found.add(block.insts[-1])
    return found
