"""What the ops on ``v128`` compute, lane by lane, on 128-bit integers."""

from __future__ import annotations

from .ops import OPS

#: The ops of this file.
VECTOR_OPS = frozenset(op for op in OPS.values() if "v128" in op.operands + op.results)
