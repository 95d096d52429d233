"""The same LLVM functions, as PTX in the stand-in and as code of this processor."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass

import llvmlite.binding as llvm

from swarmc.targets.cpu.machine import LoadedCode, compile_text, host_machine
from swarmc.targets.ptx.code import PtxCode

from .run import evaluate

WIDTHS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "float": 32, "double": 64,
          "<2 x i64>": 128, "i128": 128}  # fmt: skip
_DEFINITION = re.compile(r"define (\S+|<[^>]*>) @(\w+)\(([^)]*)\)")
_KERNEL = """
define {kind} void @{name}_run(ptr %in, ptr %out{index}) {{
{tid}
  %t = zext i32 %tid to i64
  %in.o = mul i64 %t, {stride}
  %in.p = getelementptr i8, ptr %in, i64 %in.o
  %out.o = mul i64 %t, 16
  %out.p = getelementptr i8, ptr %out, i64 %out.o
{loads}
  %r = call {result} @{name}({args})
  store {result} %r, ptr %out.p, align 16
  ret void
}}
"""
_TID = "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()"


@dataclass(frozen=True, slots=True)
class Shape:
    """A function's name, and LLVM types of what it takes and gives."""

    name: str
    params: tuple[str, ...]
    result: str


def shapes(text: str) -> list[Shape]:
    """The functions that a text defines whose name begins with ``f_``."""
    found = []
    for match in _DEFINITION.finditer(text):
        result, name, params = match.groups()
        types = [p.rsplit(" ", 1)[0] for p in params.split(", ")] if params else []
        if name.startswith("f_"):
            found.append(Shape(name, tuple(types), result))
    return found


def wrapped(text: str, *, device: bool) -> str:
    """A text with a kernel, or a function of the host, for each of its functions."""
    leave = "llvm.nvvm.exit" if device else "abort"
    parts = [text.replace("EXIT", f"call void @{leave}()")]
    for shape in shapes(text):
        loads, args = [], []
        for n, type_ in enumerate(shape.params):
            loads += [
                f"  %p{n} = getelementptr i8, ptr %in.p, i64 {16 * n}",
                f"  %a{n} = load {type_}, ptr %p{n}, align 16",
            ]
            args.append(f"{type_} %a{n}")
        parts.append(_KERNEL.format(
            kind="ptx_kernel" if device else "", name=shape.name, result=shape.result,
            index="" if device else ", i32 %tid", stride=16 * max(len(shape.params), 1),
            tid="  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()" if device else "",
            loads="\n".join(loads), args=", ".join(args),
        ))  # fmt: skip
    return "\n".join([*parts, _TID if device else "declare void @abort() noreturn"])


#: The newest PTX version that a processor needs.
_FEATURES = {"sm_100": "+ptx88"}


def to_ptx(text: str, cpu: str, level: int) -> str:
    """PTX of LLVM IR that has no target yet."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("nvptx64-nvidia-cuda")
    features = _FEATURES.get(cpu, "+ptx83")
    machine = target.create_target_machine(cpu=cpu, features=features, opt=level)
    head = 'target triple = "nvptx64-nvidia-cuda"\n'
    head += f'target datalayout = "{machine.target_data}"\n'
    module = llvm.parse_assembly(head + text)
    if level:
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    return str(machine.emit_assembly(module))


class Aligned:
    """Memory at a multiple of 16."""

    def __init__(self, size: int) -> None:
        self._memory = (ctypes.c_char * (size + 16))()
        self.address = -(-ctypes.addressof(self._memory) // 16) * 16


class Pair:
    """Functions of a text, twice. ``ptx`` is the PTX text."""

    def __init__(self, text: str, cpu: str, level: int) -> None:
        self.ptx = to_ptx(wrapped(text, device=True), cpu, level)
        self._code = PtxCode(self.ptx, {})
        machine = host_machine()
        head = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.data_layout}"\n'
        self._host = LoadedCode((compile_text(head + wrapped(text, device=False), 1),))

    def device(self, shape: Shape, rows: Sequence[Sequence[int]]) -> list[int]:
        return evaluate(self._code, f"{shape.name}_run", rows, WIDTHS[shape.result])

    def host(self, shape: Shape, rows: Sequence[Sequence[int]]) -> list[int]:
        width = max(len(shape.params), 1)
        data = bytearray(16 * width * len(rows))
        for n, row in enumerate(rows):
            for k, value in enumerate(row):
                at = 16 * (n * width + k)
                data[at : at + 16] = (value % (1 << 128)).to_bytes(16, "little")
        source, target = Aligned(len(data)), Aligned(16 * len(rows))
        ctypes.memmove(source.address, bytes(data), len(data))
        function = ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint32)(
            self._host.address(f"{shape.name}_run")
        )
        for n in range(len(rows)):
            function(source.address, target.address, n)
        size = max(WIDTHS[shape.result] // 8, 1)
        results = ctypes.string_at(target.address, 16 * len(rows))
        return [
            int.from_bytes(results[16 * n : 16 * n + size], "little") for n in range(len(rows))
        ]

    def close(self) -> None:
        self._code.close()
