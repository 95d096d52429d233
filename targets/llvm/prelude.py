"""Support code of every program on every target: fuel, traps' reports, growing.

What a target adds is ``swarm_trap``.
"""

from __future__ import annotations

from ...ir.types import Trap
from ..layout import (
    FLAG_INSTANTIATED,
    FLAG_STARTED,
    FLAG_STARTING,
    NO_POSITION,
    AgentLayout,
    Ctx,
    Job,
    Shared,
)
from .template import fill_in

#: Fuel handed out at a time. When it is used up, an agent looks whether it should stop.
FUEL_SLICE = 1 << 26

_SUPPORT = """\
define internal void @swarm_report(ptr %ctx, i64 %status, i64 %fuel) nounwind {
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  %job = load ptr, ptr %job.p
  %index.p = getelementptr i8, ptr %ctx, i64 {ctx.INDEX}
  %index = load i64, ptr %index.p
  %reserve.p = getelementptr i8, ptr %ctx, i64 {ctx.FUEL_RESERVE}
  %reserve = load i64, ptr %reserve.p
  %budget.p = getelementptr i8, ptr %ctx, i64 {ctx.BUDGET}
  %budget = load i64, ptr %budget.p
  %left = add i64 %reserve, %fuel
  %used = sub i64 %budget, %left
  %status.pp = getelementptr i8, ptr %job, i64 {job.STATUS}
  %status.p = load ptr, ptr %status.pp
  %status.i = getelementptr i64, ptr %status.p, i64 %index
  store i64 %status, ptr %status.i
  %used.pp = getelementptr i8, ptr %job, i64 {job.USED}
  %used.p = load ptr, ptr %used.pp
  %used.i = getelementptr i64, ptr %used.p, i64 %index
  store i64 %used, ptr %used.i
  ret void
}

define internal i64 @swarm_refill(ptr %ctx, i64 %fuel, i64 %status) noinline cold nounwind {
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  %job = load ptr, ptr %job.p
  %stop = call i64 @swarm_stopping(ptr %job)
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %interrupted, label %count
interrupted:
  %place = and i64 %status, -256
  %why = or i64 %place, {interrupted}
  call void @swarm_trap(ptr %ctx, i64 %why, i64 %fuel)
  unreachable
count:
  %reserve.p = getelementptr i8, ptr %ctx, i64 {ctx.FUEL_RESERVE}
  %reserve = load i64, ptr %reserve.p
  %total = add i64 %reserve, %fuel
  %empty = icmp sle i64 %total, 0
  br i1 %empty, label %out, label %more
out:
  call void @swarm_trap(ptr %ctx, i64 %status, i64 %fuel)
  unreachable
more:
  %part = call i64 @swarm_take(ptr %ctx, i64 %total)
  ret i64 %part
}

define internal i64 @swarm_poll(ptr %ctx, i64 %status) nounwind {
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  %job = load ptr, ptr %job.p
  %stop = call i64 @swarm_stopping(ptr %job)
  %stopped = icmp ne i64 %stop, 0
  %going = icmp eq i64 %status, 0
  %end = and i1 %stopped, %going
  %word = select i1 %end, i64 {interrupted}, i64 %status
  ret i64 %word
}

define internal i64 @swarm_stopping(ptr %job) nounwind {
  %stop.pp = getelementptr i8, ptr %job, i64 {job.STOP}
  %stop.p = load ptr, ptr %stop.pp
  %stop = load atomic i64, ptr %stop.p monotonic, align 8
  ret i64 %stop
}

define internal i64 @swarm_take(ptr %ctx, i64 %total) nounwind {
  %less = icmp slt i64 %total, {slice}
  %part = select i1 %less, i64 %total, i64 {slice}
  %rest = sub i64 %total, %part
  %reserve.p = getelementptr i8, ptr %ctx, i64 {ctx.FUEL_RESERVE}
  store i64 %rest, ptr %reserve.p
  ret i64 %part
}

define internal i64 @swarm_memory_grow(ptr %size.p, i64 %reserve, i64 %pages) nounwind {
  %size = load i64, ptr %size.p
  %free = sub i64 %reserve, %size
  %most = lshr i64 %free, 16
  %fits = icmp ule i64 %pages, %most
  br i1 %fits, label %grow, label %refuse
grow:
  %more = shl i64 %pages, 16
  %new = add i64 %size, %more
  store i64 %new, ptr %size.p
  %old = lshr i64 %size, 16
  ret i64 %old
refuse:
  ret i64 -1
}

define internal i64 @swarm_table_grow(
    ptr %size.p, ptr %elements, i64 %capacity, i64 %value, i64 %more) nounwind {
  %size = load i64, ptr %size.p
  %free = sub i64 %capacity, %size
  %fits = icmp ule i64 %more, %free
  br i1 %fits, label %grow, label %refuse
grow:
  %new = add i64 %size, %more
  store i64 %new, ptr %size.p
  %first.offset = mul i64 %size, {step}
  %first = getelementptr i8, ptr %elements, i64 %first.offset
  call void @swarm_fill64(ptr %first, i64 %value, i64 %more)
  ret i64 %size
refuse:
  ret i64 -1
}

define internal void @swarm_fill64(ptr %to, i64 %value, i64 %count) nounwind {
entry:
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %offset = mul i64 %i, {step}
  %p = getelementptr i8, ptr %to, i64 %offset
  store i64 %value, ptr %p
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}
"""


def support_text(layout: AgentLayout) -> str:
    """The part that every module of a program contains."""
    return fill_in(_SUPPORT, places(layout))


def places(layout: AgentLayout) -> dict[str, object]:
    """Values for the places of a template: constants, and the fields of all records."""
    state = layout.memory_layout.state_cells
    values: dict[str, object] = {
        "interrupted": int(Trap.INTERRUPTED),
        "interrupted_nowhere": int(Trap.INTERRUPTED) | NO_POSITION << 8,
        "slice": FUEL_SLICE,
        "instantiated": FLAG_INSTANTIATED,
        "started": FLAG_STARTED,
        "starting": FLAG_STARTING,
        "step": state.word_step,
        "scale": state.word_step // 8,
        "cell_mask": layout.memory_layout.memory_cells.mask,
    }
    values |= {f"ctx.{field.name}": state.spread(int(field)) for field in Ctx}
    for prefix, record in (("job", Job), ("shared", Shared)):
        values |= {f"{prefix}.{field.name}": int(field) for field in record}
    return values
