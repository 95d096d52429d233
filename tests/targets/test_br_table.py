"""A br_table with very many edges is lowered in time that grows with their number, not faster."""

from __future__ import annotations

from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions

EDGES = 60_000


def _leb(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _section(number: int, body: bytes) -> bytes:
    return bytes([number]) + _leb(len(body)) + body


def _module() -> bytes:
    """``(func (export "f") (param i32) (block (br_table 0 0 0 ... 0 (local.get 0))))``."""
    code = (b"\0\x02\x40\x20\0\x0e" + _leb(EDGES) + b"\0" * (EDGES + 1)) + b"\x0b\x0b"
    return (b"\0asm\1\0\0\0" + _section(1, b"\1\x60\1\x7f\0") + _section(3, b"\1\0")
            + _section(7, b"\1\1f\0\0") + _section(10, b"\1" + _leb(len(code)) + code))


def test_many_edges_to_one_block() -> None:
    module = decode(_module())
    validate(module)
    program = translate(module, known_host=lambda *_: False)
    # Looking through all edges so far at every edge would take minutes here.
    text = CpuTarget().llvm_text(program, CompileOptions(opt_level=0), optimised=False)
    assert text.count("i32 59999, label") == 1
