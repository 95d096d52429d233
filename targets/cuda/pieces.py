"""Kernels that copy between an array and pieces of an allocation, and from arrays to arguments.

They are in PTX, the oldest that knows all architectures of ours, so that every driver takes them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..base import Int64s

#: Bytes that a thread copies; the largest that divides all lengths and addresses is taken.
UNITS = (16, 8, 4, 1)

#: Bytes of pieces that are moved at a time.
_BATCH = 64 << 20

_HEADER = """\
.version 6.3
.target sm_75
.address_size 64
"""

# A kernel of six 64-bit words, the last of which says how many threads have something to do; %rd9
# is the number of the thread.
_KERNEL = """
.visible .entry {name}(
  .param .u64 {name}_param_0,
  .param .u64 {name}_param_1,
  .param .u64 {name}_param_2,
  .param .u64 {name}_param_3,
  .param .u64 {name}_param_4,
  .param .u64 {name}_param_5
)
{{
  .reg .pred %p<3>;
  .reg .b32 %r<5>;
  .reg .b64 %rd<22>;
{registers}  ld.param.u64 %rd1, [{name}_param_0];
  ld.param.u64 %rd2, [{name}_param_1];
  ld.param.u64 %rd3, [{name}_param_2];
  ld.param.u64 %rd4, [{name}_param_3];
  ld.param.u64 %rd5, [{name}_param_4];
  ld.param.u64 %rd6, [{name}_param_5];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mul.wide.u32 %rd7, %r1, %r2;
  cvt.u64.u32 %rd8, %r3;
  add.s64 %rd9, %rd7, %rd8;
  setp.ge.u64 %p1, %rd9, %rd6;
  @%p1 bra $done;
{body}$done:
  ret;
}}
"""

# Thread i copies unit i % per of piece i / per. Either side lies at base + piece * pitch, the
# scattered one at base + offsets[piece] if there are offsets.
_PIECES = """\
  div.u64 %rd10, %rd9, %rd5;
  mul.lo.s64 %rd11, %rd10, %rd5;
  sub.s64 %rd12, %rd9, %rd11;
  mul.lo.s64 %rd13, %rd12, {unit};
  setp.eq.s64 %p2, %rd3, 0;
  @%p2 bra $even;
  shl.b64 %rd14, %rd10, 3;
  add.s64 %rd15, %rd3, %rd14;
  ld.global.u64 %rd16, [%rd15];
  bra.uni $place;
$even:
  mul.lo.s64 %rd16, %rd10, %rd4;
$place:
  add.s64 %rd17, %rd1, %rd16;
  add.s64 %rd18, %rd17, %rd13;
  mul.lo.s64 %rd19, %rd9, {unit};
  add.s64 %rd20, %rd2, %rd19;
{copy}
"""

#: Name of the kernel that copies the elements of an array to arguments, which are 64-bit words.
#:
#: Its parameters are 64-bit words: addresses of the first element and of the first argument,
#: distance of the elements and of the arguments, bytes of an element (4 or 8), and their number.
COLUMN = "swarm_column"

# Thread i copies element i; the upper half of the word of a short one is 0.
_COLUMN = """\
  mul.lo.s64 %rd10, %rd9, %rd3;
  add.s64 %rd11, %rd1, %rd10;
  mul.lo.s64 %rd12, %rd9, %rd4;
  add.s64 %rd13, %rd2, %rd12;
  setp.eq.s64 %p2, %rd5, 4;
  @%p2 bra $short;
  ld.global.u64 %rd14, [%rd11];
  bra.uni $store;
$short:
  ld.global.u32 %r4, [%rd11];
  cvt.u64.u32 %rd14, %r4;
$store:
  st.global.u64 [%rd13], %rd14;
"""

_MOVES = {16: ("b64", ".v2.u64", "{%v1, %v2}"), 8: ("b64", ".u64", "%v1"),
          4: ("b32", ".u32", "%v1"), 1: ("b16", ".u8", "%v1")}  # fmt: skip


def kernel_name(unit: int, *, gather: bool) -> str:
    """Name of the kernel that copies so many bytes a thread; ``gather``: out of the pieces.

    Its parameters are 64-bit words: address that the pieces' offsets count from, address of the
    array, address of the offsets (int64) or 0, distance of the pieces otherwise, units of a piece,
    and units of all.
    """
    return f"swarm_{'gather' if gather else 'scatter'}_{unit}"


def kernel_names() -> list[str]:
    """Names of all kernels."""
    return [COLUMN] + [
        kernel_name(unit, gather=gather) for unit in UNITS for gather in (True, False)
    ]


def pieces_text() -> str:
    """The module of all these kernels."""
    column = _KERNEL.format(name=COLUMN, registers="", body=_COLUMN)
    return _HEADER + column + "".join(
        _kernel(unit, gather=gather) for unit in UNITS for gather in (True, False)
    )


def _kernel(unit: int, *, gather: bool) -> str:
    type_, suffix, values = _MOVES[unit]
    source, to = ("%rd18", "%rd20") if gather else ("%rd20", "%rd18")
    copy = f"  ld.global{suffix} {values}, [{source}];\n  st.global{suffix} [{to}], {values};"
    return _KERNEL.format(
        name=kernel_name(unit, gather=gather),
        registers=f"  .reg .{type_} %v<3>;\n",
        body=_PIECES.format(unit=unit, copy=copy),
    )


def batches(count: int, width: int) -> Iterator[tuple[int, int]]:
    """Pieces that are moved together: the first, and how many."""
    step = max(1, _BATCH // max(width, 1))
    return ((first, min(step, count - first)) for first in range(0, count, step))


def unit_of(address: int, width: int, offsets: Int64s) -> int:
    """The most bytes that a thread can copy at a time."""
    bits = address | width | int(np.bitwise_or.reduce(offsets))
    return next(unit for unit in UNITS if bits % unit == 0)
