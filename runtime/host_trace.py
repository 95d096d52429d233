"""Host functions that note how they are called: what is put around the code of others.

A program knows nothing of it: it calls what it calls in the place of the host function. So neither
its code nor what it counts changes, and on the CPU it is the very same program.
"""

from __future__ import annotations

import re

from ..ir.types import FuncType
from ..targets.layout import Call, Ctx, Job
from .values import slot_count

_TEMPLATE = """
define i64 @"{symbol}"(i64 %ctx, i64 %slots) {{
entry:
  %scale.p = inttoptr i64 %ctx to ptr
  %scale = load i64, ptr %scale.p, align 8
  %job.o = mul i64 %scale, {ctx_job}
  %job.a = add i64 %ctx, %job.o
  %job.p = inttoptr i64 %job.a to ptr
  %job = load i64, ptr %job.p, align 8
  %rows.a = add i64 %job, {job_trace}
  %rows.p = inttoptr i64 %rows.a to ptr
  %rows = load i64, ptr %rows.p, align 8
  %none = icmp eq i64 %rows, 0
  br i1 %none, label %call, label %count
count:
  %stride.a = add i64 %job, {job_stride}
  %stride.p = inttoptr i64 %stride.a to ptr
  %stride = load i64, ptr %stride.p, align 8
  %index.o = mul i64 %scale, {ctx_index}
  %index.a = add i64 %ctx, %index.o
  %index.p = inttoptr i64 %index.a to ptr
  %index = load i64, ptr %index.p, align 8
  %row.o = mul i64 %index, %stride
  %row = add i64 %rows, %row.o
  %row.p = inttoptr i64 %row to ptr
  %before = load i64, ptr %row.p, align 8
  %now = add i64 %before, 1
  store i64 %now, ptr %row.p, align 8
  %limit.a = add i64 %job, {job_limit}
  %limit.p = inttoptr i64 %limit.a to ptr
  %limit = load i64, ptr %limit.p, align 8
  %room = icmp ult i64 %before, %limit
  br i1 %room, label %note, label %call
note:
  %size.a = add i64 %job, {job_size}
  %size.p = inttoptr i64 %size.a to ptr
  %size = load i64, ptr %size.p, align 8
  %past = mul i64 %before, %size
  %first = add i64 %row, 8
  %record = add i64 %first, %past
  %record.p = inttoptr i64 %record to ptr
  store i64 {number}, ptr %record.p, align 8
{arguments}
  br label %call
call:
  %noted = phi i64 [ 0, %entry ], [ 0, %count ], [ %record, %note ]
  %status = call i64 @"{inner}"(i64 %ctx, i64 %slots)
  %is.noted = icmp ne i64 %noted, 0
  br i1 %is.noted, label %complete, label %done
complete:
  %status.a = add i64 %noted, {status}
  %status.p = inttoptr i64 %status.a to ptr
  store i64 %status, ptr %status.p, align 8
{lengths}
{results}
  br label %done
done:
  ret i64 %status
}}
"""

_COPY = """\
  %{kind}{n}.a = add i64 %slots, {slot}
  %{kind}{n}.p = inttoptr i64 %{kind}{n}.a to ptr
  %{kind}{n} = load i64, ptr %{kind}{n}.p, align 8
  %{kind}{n}.ta = add i64 %{record}, {place}
  %{kind}{n}.tp = inttoptr i64 %{kind}{n}.ta to ptr
  store i64 %{kind}{n}, ptr %{kind}{n}.tp, align 8"""

_LENGTH = """\
  %length{n}.o = mul i64 %scale, {field}
  %length{n}.a = add i64 %ctx, %length{n}.o
  %length{n}.p = inttoptr i64 %length{n}.a to ptr
  %length{n} = load i64, ptr %length{n}.p, align 8
  %length{n}.ta = add i64 %noted, {place}
  %length{n}.tp = inttoptr i64 %length{n}.ta to ptr
  store i64 %length{n}, ptr %length{n}.tp, align 8"""


def traced_text(text: str, inner: str, symbol: str, type_: FuncType, number: int) -> str:
    """A host function that notes each call, as LLVM IR; it contains the one that it calls.

    Args:
        text, inner: the module of the other, and its name, which becomes invisible.
        symbol: of the new one. number: place of the import among the program's.
    """
    pattern = rf'^define (?=[^\n]*@"?{re.escape(inner)}"?\()'
    hidden, count = re.subn(pattern, "define internal ", text, flags=re.MULTILINE)
    assert count == 1, f"{inner} is not defined once"
    params, results = slot_count(type_.params), slot_count(type_.results)

    def copies(kind: str, record: str, count: int, first: int) -> str:
        return "\n".join(
            _COPY.format(kind=kind, n=n, record=record, slot=8 * n, place=first + 8 * n)
            for n in range(count)
        )

    lengths = "\n".join(
        _LENGTH.format(n=n, field=int(field), place=int(place))
        for n, (field, place) in enumerate(
            ((Ctx.OUT_LEN, Call.OUT_LEN), (Ctx.ERR_LEN, Call.ERR_LEN))
        )
    )
    return hidden + _TEMPLATE.format(
        symbol=symbol, inner=inner, number=number, status=int(Call.STATUS), lengths=lengths,
        arguments=copies("arg", "record", params, int(Call.SLOTS)),
        results=copies("result", "noted", results, int(Call.SLOTS) + 8 * params),
        ctx_job=int(Ctx.JOB), ctx_index=int(Ctx.INDEX), job_trace=int(Job.TRACE),
        job_stride=int(Job.TRACE_STRIDE), job_limit=int(Job.TRACE_LIMIT),
        job_size=int(Job.TRACE_SIZE),
    )  # fmt: skip
