"""Functions that programs with interleaved or strictly aligned memories contain.

Bulk operations go word by word where both sides allow it, and byte by byte elsewhere. A misaligned
load takes the two words that hold its bytes; a misaligned store writes byte by byte.
"""

from __future__ import annotations

from ..addressing import GROUP, Cells
from .template import Lines, fill_in

_LOAD_WIDTHS = (16, 32, 64)


def cell_support(cells: Cells, state: Cells, pointer: str) -> str:
    """The functions, for memories reached by pointers of that LLVM type."""
    unit = cells.piece(8)
    values = {
        "pointer": pointer,
        "unit": unit,
        "unit.type": f"i{8 * unit}",
        "unit.last": unit - 1,
        "step": state.word_step,
        "cast": "bitcast" if pointer == "ptr" else "addrspacecast",
        "ones": int.from_bytes(b"\1" * unit, "little"),
    }
    parts = [_at("swarm_byte", cells, pointer, aligned=False)]
    parts.append(_at("swarm_unit", cells, pointer, aligned=unit == cells.size))
    parts += [_load(width, cells, pointer) for width in _LOAD_WIDTHS]
    return "\n\n".join([*parts, fill_in(_SUPPORT, values)])


def _at(name: str, cells: Cells, pointer: str, *, aligned: bool) -> str:
    """Pointer to the byte, or to the aligned unit, at an address."""
    body = Lines("at")
    offset = cells.spread_text(body.assign, "%address", aligned=aligned)
    body.line(f"ret {pointer} " + body.assign(f"getelementptr i8, {pointer} %base, i64 {offset}"))
    head = f"define internal {pointer} @{name}({pointer} %base, i64 %address)"
    return f"{head} alwaysinline nounwind {{\n{body}\n}}"


def _load(bits: int, cells: Cells, pointer: str) -> str:
    """``iN @swarm_loadN(base, address)`` at any address: of two aligned words the part between."""
    width, t = bits // 8, f"i{bits}"
    body = Lines("at")
    end = body.assign(f"add i64 %address, {width - 1}")
    first, last = (body.assign(f"and i64 {text}, {-width}") for text in ("%address", end))
    low, high = (_word(body, cells, pointer, address, width) for address in (first, last))
    byte = body.assign(f"and i64 %address, {width - 1}")
    shift = body.assign(f"shl i64 {byte}, 3")
    if bits != 64:
        shift = body.assign(f"trunc i64 {shift} to {t}")
    value = body.assign(f"call {t} @llvm.fshr.{t}({t} {high}, {t} {low}, {t} {shift})")
    body.line(f"ret {t} {value}")
    head = f"define internal {t} @swarm_load{bits}({pointer} %base, i64 %address)"
    return f"{head} noinline cold nounwind memory(argmem: read) {{\n{body}\n}}"


def _word(body: Lines, cells: Cells, pointer: str, address: str, width: int) -> str:
    """The aligned word at an address, of one piece or of several."""
    piece = cells.piece(width)
    offset = cells.spread_text(body.assign, address, aligned=piece == cells.size)
    at = body.assign(f"getelementptr i8, {pointer} %base, i64 {offset}")
    part, word = f"i{8 * piece}", f"i{8 * width}"
    value = body.assign(f"load {part}, {pointer} {at}, align {piece}")
    if piece == width:
        return value
    value = body.assign(f"zext {part} {value} to {word}")
    for n in range(1, width // piece):
        at = body.assign(f"getelementptr i8, {pointer} {at}, i64 {GROUP * piece}")
        more = body.assign(f"load {part}, {pointer} {at}, align {piece}")
        more = body.assign(f"zext {part} {more} to {word}")
        more = body.assign(f"shl {word} {more}, {8 * piece * n}")
        value = body.assign(f"or {word} {value}, {more}")
    return value


#: What the text of this module calls, to be declared.
DECLARATIONS = tuple(
    f"declare i{bits} @llvm.fshr.i{bits}(i{bits}, i{bits}, i{bits})" for bits in _LOAD_WIDTHS
)

_SUPPORT = """\
define internal void @swarm_store({pointer} %base, i64 %address, i64 %value, i64 %width)
    noinline cold nounwind memory(argmem: write) {
entry:
  br label %next
next:
  %n = phi i64 [ 0, %entry ], [ %n.next, %next ]
  %rest = phi i64 [ %value, %entry ], [ %rest.next, %next ]
  %at = add i64 %address, %n
  %p = call {pointer} @swarm_byte({pointer} %base, i64 %at)
  %byte = trunc i64 %rest to i8
  store i8 %byte, {pointer} %p
  %rest.next = lshr i64 %rest, 8
  %n.next = add i64 %n, 1
  %more = icmp ult i64 %n.next, %width
  br i1 %more, label %next, label %done
done:
  ret void
}

define internal void @swarm_memory_fill({pointer} %base, i64 %to, i8 %byte, i64 %count)
    noinline nounwind memory(argmem: write) {
entry:
  %wide = zext i8 %byte to {unit.type}
  %word = mul {unit.type} %wide, {ones}
  br label %test
test:
  %a = phi i64 [ %to, %entry ], [ %a.byte, %bytes ], [ %a.unit, %units ]
  %n = phi i64 [ %count, %entry ], [ %n.byte, %bytes ], [ %n.unit, %units ]
  %over = icmp eq i64 %n, 0
  br i1 %over, label %done, label %choose
choose:
  %odd = and i64 %a, {unit.last}
  %aligned = icmp eq i64 %odd, 0
  %enough = icmp uge i64 %n, {unit}
  %whole = and i1 %aligned, %enough
  br i1 %whole, label %units, label %bytes
units:
  %p.unit = call {pointer} @swarm_unit({pointer} %base, i64 %a)
  store {unit.type} %word, {pointer} %p.unit, align {unit}
  %a.unit = add i64 %a, {unit}
  %n.unit = sub i64 %n, {unit}
  br label %test
bytes:
  %p.byte = call {pointer} @swarm_byte({pointer} %base, i64 %a)
  store i8 %byte, {pointer} %p.byte
  %a.byte = add i64 %a, 1
  %n.byte = sub i64 %n, 1
  br label %test
done:
  ret void
}

define internal void @swarm_memory_copy(
    {pointer} %base, i64 %to, {pointer} %from.base, i64 %from, i64 %count)
    noinline nounwind memory(argmem: readwrite) {
  %up = icmp ugt i64 %to, %from
  br i1 %up, label %back, label %forth
back:
  call void @swarm_copy_back({pointer} %base, i64 %to, {pointer} %from.base, i64 %from, i64 %count)
  ret void
forth:
  call void @swarm_copy_forth({pointer} %base, i64 %to, {pointer} %from.base, i64 %from, i64 %count)
  ret void
}

define internal void @swarm_copy_forth(
    {pointer} %base, i64 %to, {pointer} %from.base, i64 %from, i64 %count) nounwind {
entry:
  br label %test
test:
  %done.bytes = phi i64 [ 0, %entry ], [ %next.byte, %bytes ], [ %next.unit, %units ]
  %n = sub i64 %count, %done.bytes
  %over = icmp eq i64 %n, 0
  br i1 %over, label %done, label %choose
choose:
  %a = add i64 %to, %done.bytes
  %b = add i64 %from, %done.bytes
  %both = or i64 %a, %b
  %odd = and i64 %both, {unit.last}
  %aligned = icmp eq i64 %odd, 0
  %enough = icmp uge i64 %n, {unit}
  %whole = and i1 %aligned, %enough
  br i1 %whole, label %units, label %bytes
units:
  %q.unit = call {pointer} @swarm_unit({pointer} %from.base, i64 %b)
  %word = load {unit.type}, {pointer} %q.unit, align {unit}
  %p.unit = call {pointer} @swarm_unit({pointer} %base, i64 %a)
  store {unit.type} %word, {pointer} %p.unit, align {unit}
  %next.unit = add i64 %done.bytes, {unit}
  br label %test
bytes:
  %q.byte = call {pointer} @swarm_byte({pointer} %from.base, i64 %b)
  %byte = load i8, {pointer} %q.byte
  %p.byte = call {pointer} @swarm_byte({pointer} %base, i64 %a)
  store i8 %byte, {pointer} %p.byte
  %next.byte = add i64 %done.bytes, 1
  br label %test
done:
  ret void
}

define internal void @swarm_copy_back(
    {pointer} %base, i64 %to, {pointer} %from.base, i64 %from, i64 %count) nounwind {
entry:
  br label %test
test:
  %n = phi i64 [ %count, %entry ], [ %n.byte, %bytes ], [ %n.unit, %units ]
  %over = icmp eq i64 %n, 0
  br i1 %over, label %done, label %choose
choose:
  %a.end = add i64 %to, %n
  %b.end = add i64 %from, %n
  %both = or i64 %a.end, %b.end
  %odd = and i64 %both, {unit.last}
  %aligned = icmp eq i64 %odd, 0
  %enough = icmp uge i64 %n, {unit}
  %whole = and i1 %aligned, %enough
  br i1 %whole, label %units, label %bytes
units:
  %a.unit = sub i64 %a.end, {unit}
  %b.unit = sub i64 %b.end, {unit}
  %q.unit = call {pointer} @swarm_unit({pointer} %from.base, i64 %b.unit)
  %word = load {unit.type}, {pointer} %q.unit, align {unit}
  %p.unit = call {pointer} @swarm_unit({pointer} %base, i64 %a.unit)
  store {unit.type} %word, {pointer} %p.unit, align {unit}
  %n.unit = sub i64 %n, {unit}
  br label %test
bytes:
  %a.byte = sub i64 %a.end, 1
  %b.byte = sub i64 %b.end, 1
  %q.byte = call {pointer} @swarm_byte({pointer} %from.base, i64 %b.byte)
  %byte = load i8, {pointer} %q.byte
  %p.byte = call {pointer} @swarm_byte({pointer} %base, i64 %a.byte)
  store i8 %byte, {pointer} %p.byte
  %n.byte = sub i64 %n, 1
  br label %test
done:
  ret void
}

; Bytes that all agents share lie one after another.
define internal void @swarm_memory_init(ptr %memory, i64 %to, ptr %from, i64 %count)
    nounwind {
entry:
  %base = {cast} ptr %memory to {pointer}
  br label %test
test:
  %done.bytes = phi i64 [ 0, %entry ], [ %next.byte, %bytes ], [ %next.unit, %units ]
  %n = sub i64 %count, %done.bytes
  %over = icmp eq i64 %n, 0
  br i1 %over, label %done, label %choose
choose:
  %a = add i64 %to, %done.bytes
  %q = getelementptr i8, ptr %from, i64 %done.bytes
  %b = ptrtoint ptr %q to i64
  %both = or i64 %a, %b
  %odd = and i64 %both, {unit.last}
  %aligned = icmp eq i64 %odd, 0
  %enough = icmp uge i64 %n, {unit}
  %whole = and i1 %aligned, %enough
  br i1 %whole, label %units, label %bytes
units:
  %word = load {unit.type}, ptr %q, align {unit}
  %p.unit = call {pointer} @swarm_unit({pointer} %base, i64 %a)
  store {unit.type} %word, {pointer} %p.unit, align {unit}
  %next.unit = add i64 %done.bytes, {unit}
  br label %test
bytes:
  %byte = load i8, ptr %q
  %p.byte = call {pointer} @swarm_byte({pointer} %base, i64 %a)
  store i8 %byte, {pointer} %p.byte
  %next.byte = add i64 %done.bytes, 1
  br label %test
done:
  ret void
}

; Words of tables, which may overlap; %step is the distance of those that are read.
define internal void @swarm_move_words(ptr %to, ptr %from, i64 %step, i64 %count) nounwind {
entry:
  %up = icmp ugt ptr %to, %from
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %next = add i64 %i, 1
  %mirror = sub i64 %count, %next
  %k = select i1 %up, i64 %mirror, i64 %i
  %from.k = mul i64 %k, %step
  %to.k = mul i64 %k, {step}
  %q = getelementptr i8, ptr %from, i64 %from.k
  %p = getelementptr i8, ptr %to, i64 %to.k
  %word = load i64, ptr %q, align 8
  store i64 %word, ptr %p, align 8
  br label %test
done:
  ret void
}
"""
