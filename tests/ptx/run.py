"""Running short pieces of PTX on rows of operands."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

import numpy as np

from swarmc.targets.ptx.buffer import Buffer
from swarmc.targets.ptx.code import Grant, PtxCode
from swarmc.targets.ptx.records import Rights

HEAD = ".version 8.3\n.target sm_75\n.address_size 64\n"

#: Type of the register that holds an operand of so many bits.
REGISTERS = {1: "pred", 8: "b16", 16: "b16", 32: "b32", 64: "b64", 128: "b128"}


def evaluator(name: str, body: str, operands: Sequence[int], result: int) -> str:
    """A kernel that runs ``body`` once a thread.

    ``%a``, ``%b`` … hold operands of the given widths, read from rows of 16 bytes each, and
    ``%y`` of ``result`` bits is written to another.
    """
    letters = "abcdef"[: len(operands)]
    lines = [f".reg .{REGISTERS[bits]} %{x};" for x, bits in zip(letters, operands, strict=True)]
    lines += [f".reg .{REGISTERS[result]} %y;", ".reg .b64 %in, %out, %i, %w;",
              ".reg .b32 %x, %t, %n;"]  # fmt: skip
    stride = 16 * max(len(operands), 1)
    lines += [
        f"ld.param.b64 %in, [{name}_0];", f"ld.param.b64 %out, [{name}_1];",
        "mov.b32 %t, %tid.x; mov.b32 %n, %ntid.x; mov.b32 %x, %ctaid.x;",
        "mad.lo.s32 %t, %x, %n, %t;",
        f"mul.wide.u32 %i, %t, {stride}; add.s64 %in, %in, %i;",
        "mul.wide.u32 %i, %t, 16; add.s64 %out, %out, %i;",
    ]  # fmt: skip
    for n, (x, bits) in enumerate(zip(letters, operands, strict=True)):
        if bits == 1:
            lines.append(f"ld.global.b32 %t, [%in+{16 * n}]; setp.ne.b32 %{x}, %t, 0;")
        else:
            lines.append(f"ld.global.b{bits} %{x}, [%in+{16 * n}];")
    lines.append(body)
    if result == 1:
        lines.append("selp.b64 %w, 1, 0, %y; st.global.b64 [%out], %w;")
    else:
        lines.append(f"st.global.{REGISTERS[result]} [%out], %y;")
    params = f".param .u64 {name}_0, .param .u64 {name}_1"
    return f".visible .entry {name}({params})\n{{\n" + "\n".join(lines) + "\nret;\n}\n"


def evaluate(code: PtxCode, name: str, rows: Sequence[Sequence[int]], result: int) -> list[int]:
    """Results of a kernel that :func:`evaluator` made, for rows of operands."""
    width = max((len(row) for row in rows), default=0) or 1
    source = Buffer(16 * width * len(rows), "operands")
    target = Buffer(16 * len(rows), "results")
    data = b"".join((x % (1 << 128)).to_bytes(16, "little") for row in rows for x in row)
    source.write(0, data)
    args = [struct.pack("<Q", source.address), struct.pack("<Q", target.address)]
    grants = [
        Grant("operands", source.address, source.size, Rights.READ),
        Grant("results", target.address, target.size),
    ]
    try:
        code.launch(name, 1, len(rows), args, grants)
        size = max(result // 8, 1)
        return [
            int.from_bytes(target.read(16 * n, size), "little") for n in range(len(rows))
        ]
    finally:
        source.close()
        target.close()


class Scratch:
    """A buffer of words that kernels get as their only argument."""

    def __init__(self, words: int) -> None:
        self.buffer = Buffer(8 * words, "scratch")

    @property
    def words(self) -> list[int]:
        data = self.buffer.read(0, self.buffer.size)
        return [int(word) for word in np.frombuffer(data, np.uint64)]

    def grant(self) -> Grant:
        return Grant("scratch", self.buffer.address, self.buffer.size)

    def arg(self) -> bytes:
        return struct.pack("<Q", self.buffer.address)


def run_kernel(text: str, words: int = 8, threads: int = 1, block: int = 1) -> list[int]:
    """Run kernel ``k`` of a module without a head; the words of the scratch buffer after it."""
    code = PtxCode(HEAD + text, {})
    scratch = Scratch(words)
    try:
        code.launch("k", threads // block, block, [scratch.arg()], [scratch.grant()])
        return scratch.words
    finally:
        scratch.buffer.close()
        code.close()


def kernel(body: str, registers: str = "") -> str:
    """Kernel ``k`` whose scratch buffer is at ``%s``; ``%w0`` to ``%w9`` are 64 bits wide."""
    return (
        ".visible .entry k(.param .u64 k_0)\n{\n.reg .b64 %s, %w<10>;\n.reg .b32 %r<10>;\n"
        f".reg .pred %p<10>;\n{registers}\nld.param.b64 %s, [k_0];\n{body}\nret;\n}}\n"
    )


HOST = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint64)
