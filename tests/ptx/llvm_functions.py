"""Small LLVM functions that are written as our lowering writes them, for :mod:`.nvptx`."""

from __future__ import annotations

import re
from collections.abc import Iterator

INTS = {"i32": 32, "i64": 64}
FLOATS = {"float": 32, "double": 64}
_NAN = {"float": "2143289344", "double": "9221120237041090560"}
_SUFFIX = {"float": "f32", "double": "f64"}


def _function(result: str, name: str, params: str, *lines: str) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"define {result} @f_{name}({params}) noinline {{\n{body}\n}}\n"


def integers() -> Iterator[str]:
    """Arithmetic, shifts, bits and comparisons."""
    for t, n in {"i16": 16, **INTS}.items():
        two = f"{t} %a, {t} %b"
        for op in ("add", "sub", "mul", "and", "or", "xor"):
            yield _function(t, f"{op}_{t}", two, f"%r = {op} {t} %a, %b", f"ret {t} %r")
        for op in ("shl", "lshr", "ashr"):
            yield _function(t, f"{op}_{t}", two, f"%n = and {t} %b, {n - 1}",
                            f"%r = {op} {t} %a, %n", f"ret {t} %r")
        for op in ("udiv", "sdiv", "urem", "srem"):
            yield _function(
                t, f"{op}_{t}", two, f"%z = icmp eq {t} %b, 0", f"%m = icmp eq {t} %b, -1",
                "%bad = or i1 %z, %m", f"%d = select i1 %bad, {t} 3, {t} %b",
                f"%r = {op} {t} %a, %d", f"ret {t} %r",
            )  # fmt: skip
        for op in ("smin", "smax", "umin", "umax"):
            yield _function(t, f"{op}_{t}", two, f"%r = call {t} @llvm.{op}.{t}({t} %a, {t} %b)",
                            f"ret {t} %r")
        for test in ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"):
            yield _function("i32", f"{test}_{t}", two, f"%c = icmp {test} {t} %a, %b",
                            "%r = zext i1 %c to i32", "ret i32 %r")
    for t in INTS:
        two = f"{t} %a, {t} %b"
        for op in ("fshl", "fshr"):
            yield _function(t, f"{op}_{t}", f"{two}, {t} %c",
                            f"%r = call {t} @llvm.{op}.{t}({t} %a, {t} %b, {t} %c)", f"ret {t} %r")
            yield _function(t, f"rot_{op}_{t}", two,
                            f"%r = call {t} @llvm.{op}.{t}({t} %a, {t} %a, {t} %b)", f"ret {t} %r")
        for op, extra in (("ctlz", ", i1 false"), ("cttz", ", i1 false"), ("ctpop", ""),
                          ("bitreverse", ""), ("bswap", ""), ("abs", ", i1 false")):
            yield _function(t, f"{op}_{t}", f"{t} %a",
                            f"%r = call {t} @llvm.{op}.{t}({t} %a{extra})", f"ret {t} %r")
        for width in (8, 16, 32)[: 3 if t == "i64" else 2]:
            for op in ("sext", "zext"):
                yield _function(t, f"{op}{width}_{t}", f"{t} %a", f"%n = trunc {t} %a to i{width}",
                                f"%r = {op} i{width} %n to {t}", f"ret {t} %r")
    yield from _wide()


def _wide() -> Iterator[str]:
    """Products and sums of more than a register, and saturation."""
    for n in (16, 32, 64):
        t, wide = f"i{n}", f"i{2 * n}"
        for sign in ("s", "z"):
            widen = [f"%x = {sign}ext {t} %a to {wide}", f"%y = {sign}ext {t} %b to {wide}",
                     f"%p = mul {wide} %x, %y"]  # fmt: skip
            yield _function(wide, f"wide_{sign}{n}", f"{t} %a, {t} %b", *widen, f"ret {wide} %p")
            yield _function(t, f"high_{sign}{n}", f"{t} %a, {t} %b", *widen,
                            f"%h = lshr {wide} %p, {n}", f"%r = trunc {wide} %h to {t}",
                            f"ret {t} %r")
    for op in ("add", "sub", "mul"):
        yield _function("i128", f"{op}_i128", "i128 %a, i128 %b", f"%r = {op} i128 %a, %b",
                        "ret i128 %r")
    for op in ("shl", "lshr", "ashr"):
        yield _function("i128", f"{op}_i128", "i128 %a, i128 %b", "%n = and i128 %b, 127",
                        f"%r = {op} i128 %a, %n", "ret i128 %r")
    for op in ("sadd", "ssub", "uadd", "usub"):
        yield _function("i32", f"{op}_sat", "i32 %a, i32 %b",
                        f"%r = call i32 @llvm.{op}.sat.i32(i32 %a, i32 %b)", "ret i32 %r")
    yield _function("i64", "muladd", "i64 %a, i64 %b, i64 %c", "%p = mul i64 %a, %b",
                    "%r = add i64 %p, %c", "ret i64 %r")
    yield _function("i64", "wide_muladd", "i32 %a, i32 %b, i64 %c", "%x = sext i32 %a to i64",
                    "%y = sext i32 %b to i64", "%p = mul i64 %x, %y", "%r = add i64 %p, %c",
                    "ret i64 %r")
    for t in ("i32", "i64"):
        for op in ("lshr", "ashr"):
            yield _function(t, f"field_{op}_{t}", f"{t} %a", f"%s = shl {t} %a, 9",
                            f"%r = {op} {t} %s, 17", f"ret {t} %r")
    yield _function("i32", "merge", "i32 %a, i32 %b", "%x = and i32 %a, 65280",
                    "%y = and i32 %b, -65281", "%r = or i32 %x, %y", "ret i32 %r")
    yield _function("i32", "logic3", "i32 %a, i32 %b, i32 %c", "%x = xor i32 %a, -1",
                    "%y = and i32 %x, %b", "%z = xor i32 %y, %c", "%r = or i32 %z, %a",
                    "ret i32 %r")


def _canonical(t: str, value: str) -> list[str]:
    """Return a float with its NaN made canonical, by its bits."""
    n = FLOATS[t]
    return [f"%u = fcmp uno {t} {value}, {value}", f"%bits = bitcast {t} {value} to i{n}",
            f"%one = select i1 %u, i{n} {_NAN[t]}, i{n} %bits",
            f"%out = bitcast i{n} %one to {t}", f"ret {t} %out"]  # fmt: skip


def floats() -> Iterator[str]:
    """Arithmetic, rounding, comparisons and conversions; NaNs made canonical."""
    for t, n in FLOATS.items():
        two, suffix = f"{t} %a, {t} %b", _SUFFIX[t]
        for op in ("fadd", "fsub", "fmul", "fdiv"):
            yield _function(t, f"{op}_{t}", two, f"%r = {op} {t} %a, %b", *_canonical(t, "%r"))
        for op in ("ceil", "floor", "trunc", "roundeven", "fabs"):
            yield _function(t, f"{op}_{t}", f"{t} %a",
                            f"%r = call {t} @llvm.{op}.{suffix}({t} %a)", *_canonical(t, "%r"))
        fence = f"%r = call {t} @llvm.arithmetic.fence.{suffix}({t} %s)"
        yield _function(t, f"sqrt_{t}", f"{t} %a", f"%s = call {t} @llvm.sqrt.{suffix}({t} %a)",
                        fence, *_canonical(t, "%r"))
        yield _function(t, f"fma_{t}", f"{two}, {t} %c",
                        f"%r = call {t} @llvm.fma.{suffix}({t} %a, {t} %b, {t} %c)",
                        *_canonical(t, "%r"))
        yield _function(t, f"fneg_{t}", f"{t} %a", f"%r = fneg {t} %a", *_canonical(t, "%r"))
        yield _function(t, f"reciprocal_{t}", f"{t} %a", f"%r = fdiv {t} 1.0, %a",
                        *_canonical(t, "%r"))
        yield _function(t, f"copysign_{t}", two,
                        f"%r = call {t} @llvm.copysign.{suffix}({t} %a, {t} %b)", f"ret {t} %r")
        for op in ("minimum", "maximum"):
            yield _function(
                t, f"{op}_{t}", two, f"%n = fcmp uno {t} %a, %b",
                f"%m = call nnan {t} @llvm.{op}.{suffix}({t} %a, {t} %b)",
                f"%r = select i1 %n, {t} bitcast (i{n} {_NAN[t]} to {t}), {t} %m", f"ret {t} %r",
            )  # fmt: skip
        for test in ("oeq", "une", "olt", "ogt", "ole", "oge", "ueq", "one", "ult", "ugt", "ule",
                     "uge", "ord", "uno"):
            yield _function("i32", f"{test}_{t}", two, f"%c = fcmp {test} {t} %a, %b",
                            "%r = zext i1 %c to i32", "ret i32 %r")
        for i in INTS:
            for sign in ("s", "u"):
                name = f"llvm.fpto{sign}i.sat.{i}.{suffix}"
                yield _function(i, f"trunc_{sign}_{i}_{t}", f"{t} %a",
                                f"%r = call {i} @{name}({t} %a)", f"ret {i} %r")
                yield _function(t, f"from_{sign}_{i}_{t}", f"{i} %a",
                                f"%r = {sign}itofp {i} %a to {t}", f"ret {t} %r")
                yield _function(i, f"plain_{sign}_{i}_{t}", f"{t} %a", *_in_range(t, i, sign))
        yield _function(t, f"choose_{t}", f"i1 %c, {two}", f"%r = select i1 %c, {t} %a, {t} %b",
                        f"ret {t} %r")
    yield _function("double", "promote", "float %a", "%r = fpext float %a to double",
                    *_canonical("double", "%r"))
    yield _function("float", "demote", "double %a", "%r = fptrunc double %a to float",
                    *_canonical("float", "%r"))


def _in_range(t: str, i: str, sign: str) -> list[str]:
    """A conversion that is undefined out of range, of a number that is not."""
    small = f"%x = select i1 %in, {t} %a, {t} 1.0"
    return [f"%low = fcmp ogt {t} %a, -1.0", f"%high = fcmp olt {t} %a, 2147483648.0",
            "%in = and i1 %low, %high", small, f"%r = fpto{sign}i {t} %x to {i}",
            f"ret {i} %r"]  # fmt: skip


def vectors() -> Iterator[str]:
    """Lanes of a vector of two words."""
    word = "<2 x i64>"
    for lanes, t in ((16, "i8"), (8, "i16"), (4, "i32"), (2, "i64")):
        v = f"<{lanes} x {t}>"
        casts = [f"%x = bitcast {word} %a to {v}", f"%y = bitcast {word} %b to {v}"]
        back = [f"%out = bitcast {v} %r to {word}", f"ret {word} %out"]
        two = f"{word} %a, {word} %b"
        for op in ("add", "sub", "mul"):
            yield _function(word, f"{op}_v{lanes}", two, *casts, f"%r = {op} {v} %x, %y", *back)
        for op in ("smin", "umax", "sadd.sat", "usub.sat"):
            call = f"%r = call {v} @llvm.{op}.v{lanes}{t}({v} %x, {v} %y)"
            yield _function(word, f"{op.replace('.', '_')}_v{lanes}", two, *casts, call, *back)
        mask = ", ".join(f"i32 {(5 * n + 1) % (2 * lanes)}" for n in range(lanes))
        yield _function(word, f"shuffle_v{lanes}", two, *casts,
                        f"%r = shufflevector {v} %x, {v} %y, <{lanes} x i32> <{mask}>", *back)
        yield _function(word, f"compare_v{lanes}", two, *casts, f"%c = icmp slt {v} %x, %y",
                        f"%r = sext <{lanes} x i1> %c to {v}", *back)
        yield _function("i32", f"mask_v{lanes}", f"{word} %a", casts[0],
                        f"%c = icmp slt {v} %x, zeroinitializer",
                        f"%m = bitcast <{lanes} x i1> %c to i{lanes}",
                        f"%r = zext i{lanes} %m to i32", "ret i32 %r")
        yield _function(t, f"pick_v{lanes}", f"{word} %a, i32 %n", casts[0],
                        f"%i = and i32 %n, {lanes - 1}",
                        f"%r = extractelement {v} %x, i32 %i", f"ret {t} %r")
    for lanes, t in ((4, "float"), (2, "double")):
        v, i = f"<{lanes} x {t}>", f"<{lanes} x i{FLOATS[t]}>"
        nans = ", ".join([f"i{FLOATS[t]} {_NAN[t]}"] * lanes)
        for op in ("fadd", "fsub", "fmul", "fdiv"):
            yield _function(
                word, f"{op}_v{lanes}", f"{word} %a, {word} %b",
                f"%x = bitcast {word} %a to {v}", f"%y = bitcast {word} %b to {v}",
                f"%s = {op} {v} %x, %y", f"%u = fcmp uno {v} %s, %s",
                f"%bits = bitcast {v} %s to {i}",
                f"%r = select <{lanes} x i1> %u, {i} <{nans}>, {i} %bits",
                f"%out = bitcast {i} %r to {word}", f"ret {word} %out",
            )  # fmt: skip
        yield _function(
            word, f"fma_v{lanes}", f"{word} %a, {word} %b", f"%x = bitcast {word} %a to {v}",
            f"%y = bitcast {word} %b to {v}",
            f"%s = call {v} @llvm.fma.v{lanes}{_SUFFIX[t]}({v} %x, {v} %y, {v} %y)",
            f"%u = fcmp uno {v} %s, %s", f"%bits = bitcast {v} %s to {i}",
            f"%r = select <{lanes} x i1> %u, {i} <{nans}>, {i} %bits",
            f"%out = bitcast {i} %r to {word}", f"ret {word} %out",
        )  # fmt: skip


CONTROL = """
@table = internal constant [3 x ptr] [ptr @double, ptr @negate, ptr @f_collatz]

define i64 @double(i64 %x) noinline {
  %r = shl i64 %x, 1
  ret i64 %r
}

define i64 @negate(i64 %x) noinline {
  %r = sub i64 0, %x
  ret i64 %r
}

define i64 @f_collatz(i64 %n) noinline {
entry:
  %start = and i64 %n, 65535
  br label %loop
loop:
  %x = phi i64 [ %start, %entry ], [ %next, %more ]
  %steps = phi i64 [ 0, %entry ], [ %steps.next, %more ]
  %done = icmp ule i64 %x, 1
  br i1 %done, label %end, label %more
more:
  %odd = trunc i64 %x to i1
  %half = lshr i64 %x, 1
  %triple = mul i64 %x, 3
  %up = add i64 %triple, 1
  %next = select i1 %odd, i64 %up, i64 %half
  %steps.next = add i64 %steps, 1
  br label %loop
end:
  ret i64 %steps
}

define i64 @f_fib(i64 %n) noinline {
  %small = and i64 %n, 15
  %r = call i64 @fib(i64 %small)
  ret i64 %r
}

define i64 @fib(i64 %n) noinline {
  %leaf = icmp ult i64 %n, 2
  br i1 %leaf, label %end, label %more
end:
  ret i64 %n
more:
  %a = sub i64 %n, 1
  %b = sub i64 %n, 2
  %x = call i64 @fib(i64 %a)
  %y = call i64 @fib(i64 %b)
  %r = add i64 %x, %y
  ret i64 %r
}

define i64 @f_indirect(i64 %which, i64 %x) noinline {
  %n = urem i64 %which, 3
  %p = getelementptr ptr, ptr @table, i64 %n
  %code = load ptr, ptr %p
  %r = call i64 %code(i64 %x)
  ret i64 %r
}

define i32 @f_switch(i32 %n) noinline {
  %k = and i32 %n, 15
  switch i32 %k, label %other [
    i32 0, label %c0
    i32 1, label %c1
    i32 2, label %c2
    i32 3, label %c3
    i32 4, label %c0
    i32 5, label %c1
    i32 6, label %c2
    i32 7, label %c3
    i32 9, label %c0
  ]
c0:
  %a = mul i32 %n, 7
  ret i32 %a
c1:
  %b = xor i32 %n, 7
  ret i32 %b
c2:
  %c = udiv i32 %n, 7
  ret i32 %c
c3:
  ret i32 33
other:
  %d = sub i32 5, %n
  ret i32 %d
}

define { i64, i32, double } @several(i64 %a, i32 %b, double %c) noinline {
  %x = add i64 %a, 1
  %y = add i32 %b, 2
  %r0 = insertvalue { i64, i32, double } poison, i64 %x, 0
  %r1 = insertvalue { i64, i32, double } %r0, i32 %y, 1
  %r2 = insertvalue { i64, i32, double } %r1, double %c, 2
  ret { i64, i32, double } %r2
}

define i64 @f_several(i64 %a, i32 %b, double %c) noinline {
  %r = call { i64, i32, double } @several(i64 %a, i32 %b, double %c)
  %x = extractvalue { i64, i32, double } %r, 0
  %y = extractvalue { i64, i32, double } %r, 1
  %z = extractvalue { i64, i32, double } %r, 2
  %wide = zext i32 %y to i64
  %bits = bitcast double %z to i64
  %s = add i64 %x, %wide
  %t = xor i64 %s, %bits
  ret i64 %t
}

@cell = internal global i64 7

declare void @llvm.trap() noreturn
declare void @llvm.nvvm.exit() noreturn

define i64 @f_cell(i64 %x) noinline {
  %old = load atomic i64, ptr @cell monotonic, align 8
  %known = icmp ule i64 %old, 8
  br i1 %known, label %good, label %bad
bad:
  call void @llvm.trap()
  unreachable
good:
  store atomic i64 8, ptr @cell monotonic, align 8
  %never = icmp eq i64 %old, 9
  br i1 %never, label %leave, label %stay
leave:
  EXIT
  unreachable
stay:
  ret i64 %x
}

declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1 immarg)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)

define i64 @f_memory(i64 %a, i64 %b) noinline {
  %m = alloca [128 x i8], align 16
  call void @llvm.memset.p0.i64(ptr %m, i8 17, i64 128, i1 false)
  %n = and i64 %a, 31
  %to = getelementptr i8, ptr %m, i64 %n
  store i64 %b, ptr %to, align 1
  %k = and i64 %b, 31
  %from = getelementptr i8, ptr %m, i64 %k
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %from, i64 %k, i1 false)
  %half = getelementptr i8, ptr %m, i64 64
  call void @llvm.memcpy.p0.p0.i64(ptr %half, ptr %m, i64 24, i1 false)
  br label %loop
loop:
  %i = phi i64 [ 0, %0 ], [ %i.next, %loop ]
  %sum = phi i64 [ 0, %0 ], [ %mixed, %loop ]
  %p = getelementptr i8, ptr %m, i64 %i
  %x = load i64, ptr %p, align 8
  %turned = call i64 @llvm.fshl.i64(i64 %sum, i64 %sum, i64 7)
  %mixed = xor i64 %turned, %x
  %i.next = add i64 %i, 8
  %go = icmp ult i64 %i.next, 128
  br i1 %go, label %loop, label %end
end:
  ret i64 %mixed
}

declare i64 @llvm.fshl.i64(i64, i64, i64)
"""


def texts() -> dict[str, str]:
    """Modules by name, with what they use declared."""
    return {
        "integers": _declared("".join(integers())),
        "floats": _declared("".join(floats())),
        "vectors": _declared("".join(vectors())),
        "control": CONTROL,
    }


def _declared(text: str) -> str:
    found = {}
    for result, name, args in re.findall(
        r"call (?:nnan )?(\S+|<[^>]*>) @(llvm\.[\w.]+)\(([^)]*)\)", text
    ):
        types = [" ".join(arg.split()[:-1]) for arg in args.split(", ")]
        found[name] = f"declare {result} @{name}({', '.join(types)})"
    return text + "\n".join(found.values()) + "\n"
