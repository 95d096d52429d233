"""Instructions on references: null or not, and branches on that."""

from __future__ import annotations

from typing import Any

from ...ir import ops as o
from ...ir.function import Block, Edge, Value
from ...ir.types import Trap
from ..wasm.opcodes import Opcode
from ..wasm.types import lower_type
from .control import branch
from .emitter import Emitter
from .ssa import Node


def ref_null(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.const(lower_type(imm), 0, loc))


def ref_func(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.stack.append(em.value(o.REF_FUNC, None, [], (em.env.functions[imm],), loc))


def is_null(em: Emitter, reference: Value, loc: int) -> Value:
    """Whether a reference is null."""
    return em.value(o.REF_IS_NULL, None, [reference], (), loc)


def ref_as_non_null(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    em.trap_if(is_null(em, em.stack[-1], loc), Trap.NULL_REFERENCE, loc)


def br_on_null(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """Goes on with the reference on the stack; the branch does not take it along."""
    reference = em.stack.pop()
    null = is_null(em, reference, loc)
    node = em.node
    taken, fallthrough = branch(em, imm), Edge(Block())
    em.terminate(o.BR_IF, [null], loc, (taken, fallthrough))
    em.begin_block(Node(fallthrough.block, node, loc))
    em.stack.append(reference)


def br_on_non_null(em: Emitter, row: Opcode, imm: Any, loc: int) -> None:
    """The branch takes the reference along; goes on without it."""
    null = is_null(em, em.stack[-1], loc)
    node = em.node
    taken, fallthrough = branch(em, imm), Edge(Block())
    em.stack.pop()
    em.terminate(o.BR_IF, [null], loc, (fallthrough, taken))
    em.begin_block(Node(fallthrough.block, node, loc))
