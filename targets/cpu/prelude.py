"""Support code of every program on the CPU: workers, traps, fuel, growing.

A *worker* draws agents from an atomic counter and runs each on a stack of the worker's own.
"""

from __future__ import annotations

import re

from ...ir.types import Trap
from ..layout import (
    FLAG_INSTANTIATED,
    FLAG_STARTED,
    FLAG_STARTING,
    NO_POSITION,
    AgentLayout,
    Ctx,
    Job,
    MemorySlot,
    Shared,
)
from .stack_switch import switch_stack_assembly

#: Fuel handed out at a time. When it is used up, an agent looks whether it should stop.
FUEL_SLICE = 1 << 26

#: Bytes of a worker's stack that are left when calls are refused: for leaves and the host.
STACK_MARGIN = 8 << 20

_SUPPORT = """\
declare void @swarm_enter(ptr, ptr, ptr, ptr)
declare void @swarm_leave(ptr) noreturn

; The assembly calls it, which LLVM does not see.
@llvm.compiler.used = appending global [1 x ptr] [ptr @swarm_trap], section "llvm.metadata"

define internal void @swarm_trap(ptr %ctx, i64 %status, i64 %fuel) noreturn noinline cold nounwind {
  call void @swarm_report(ptr %ctx, i64 %status, i64 %fuel)
  %saved = getelementptr i8, ptr %ctx, i64 {ctx.SAVED_SP}
  call void @swarm_leave(ptr %saved)
  unreachable
}

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

define internal i64 @swarm_memory_grow(ptr %ctx, i64 %field, i64 %reserve, i64 %pages) nounwind {
  %size.p = getelementptr i8, ptr %ctx, i64 %field
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
    ptr %ctx, i64 %field, i64 %capacity, i64 %value, i64 %more) nounwind {
  %size.p = getelementptr i8, ptr %ctx, i64 %field
  %size = load i64, ptr %size.p
  %free = sub i64 %capacity, %size
  %fits = icmp ule i64 %more, %free
  br i1 %fits, label %grow, label %refuse
grow:
  %new = add i64 %size, %more
  store i64 %new, ptr %size.p
  %elements = getelementptr i8, ptr %size.p, i64 8
  %first = getelementptr i64, ptr %elements, i64 %size
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
  %p = getelementptr i64, ptr %to, i64 %i
  store i64 %value, ptr %p
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}

"""

_DRIVER = """\
define internal void @swarm_instantiate(ptr %ctx, ptr %job, ptr %shared, i64 %slot) nounwind {
entry:
  %template.p = getelementptr i8, ptr %shared, i64 {shared.TEMPLATE}
  %template = load ptr, ptr %template.p
  %rest = getelementptr i8, ptr %ctx, i64 {ctx.END}
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %template, i64 {template_size}, i1 false)
{memories}
  %runs.p = getelementptr i8, ptr %shared, i64 {shared.RUNS}
  %runs = load ptr, ptr %runs.p
  %count.p = getelementptr i8, ptr %shared, i64 {shared.RUN_COUNT}
  %count = load i64, ptr %count.p
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, %count
  br i1 %go, label %body, label %done
body:
  %run = getelementptr { i64, i64, ptr, i64 }, ptr %runs, i64 %i
  %field = load i64, ptr %run
  %base.p = getelementptr i8, ptr %ctx, i64 %field
  %base = load ptr, ptr %base.p
  %to.p = getelementptr i8, ptr %run, i64 8
  %to = load i64, ptr %to.p
  %from.p = getelementptr i8, ptr %run, i64 16
  %from = load ptr, ptr %from.p
  %length.p = getelementptr i8, ptr %run, i64 24
  %length = load i64, ptr %length.p
  %target = getelementptr i8, ptr %base, i64 %to
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %from, i64 %length, i1 false)
  %next = add i64 %i, 1
  br label %test
done:
  %flags.p = getelementptr i8, ptr %ctx, i64 {ctx.FLAGS}
  store i64 {instantiated}, ptr %flags.p
  ret void
}

define internal void @swarm_run(ptr %ctx) nounwind {
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  %job = load ptr, ptr %job.p
  %fuel.p = getelementptr i8, ptr %job, i64 {job.FUEL}
  %fuel = load i64, ptr %fuel.p
  %budget.p = getelementptr i8, ptr %ctx, i64 {ctx.BUDGET}
  store i64 %fuel, ptr %budget.p
  %depth = load i32, ptr @swarm_call_depth
  %flags.p = getelementptr i8, ptr %ctx, i64 {ctx.FLAGS}
  %flags = load i64, ptr %flags.p
  %started.bit = and i64 %flags, {started}
  %fresh = icmp eq i64 %started.bit, 0
  br i1 %fresh, label %start, label %enter
start:
  %flags.starting = or i64 %flags, {starting}
  store i64 %flags.starting, ptr %flags.p
  %part0 = call i64 @swarm_take(ptr %ctx, i64 %fuel)
  %ignored = call i64 @swarm_start(ptr %ctx, i64 %part0, i32 %depth)
  %flags.now = load i64, ptr %flags.p
  %flags.new = or i64 %flags.now, {started}
  store i64 %flags.new, ptr %flags.p
  br label %enter
enter:
  %part = call i64 @swarm_take(ptr %ctx, i64 %fuel)
  %index.p = getelementptr i8, ptr %ctx, i64 {ctx.INDEX}
  %index = load i64, ptr %index.p
  %args = call ptr @swarm_row(ptr %job, i64 {job.ARGS}, i64 %index)
  %results = call ptr @swarm_row(ptr %job, i64 {job.RESULTS}, i64 %index)
  %entries.pp = getelementptr i8, ptr %job, i64 {job.ENTRIES}
  %entries = load ptr, ptr %entries.pp
  %entry.p = getelementptr i32, ptr %entries, i64 %index
  %entry.n = load i32, ptr %entry.p
  %entry.w = sext i32 %entry.n to i64
  %code.p = getelementptr ptr, ptr @swarm_entries, i64 %entry.w
  %code = load ptr, ptr %code.p
  %left = call i64 %code(ptr %ctx, ptr %args, ptr %results, i64 %part, i32 %depth)
  call void @swarm_report(ptr %ctx, i64 0, i64 %left)
  ret void
}

define internal ptr @swarm_row(ptr %job, i64 %field, i64 %index) nounwind {
  %base.p = getelementptr i8, ptr %job, i64 %field
  %base = load ptr, ptr %base.p
  %stride.p = getelementptr i8, ptr %base.p, i64 8
  %stride = load i64, ptr %stride.p
  %offset = mul i64 %stride, %index
  %row = getelementptr i8, ptr %base, i64 %offset
  ret ptr %row
}

define void @swarm_worker(ptr %job, i64 %worker) nounwind {
entry:
  %count.p = getelementptr i8, ptr %job, i64 {job.COUNT}
  %count = load i64, ptr %count.p
  %slots.pp = getelementptr i8, ptr %job, i64 {job.SLOTS}
  %slots = load ptr, ptr %slots.pp
  %state.pp = getelementptr i8, ptr %job, i64 {job.STATE}
  %state = load ptr, ptr %state.pp
  %shared.pp = getelementptr i8, ptr %job, i64 {job.SHARED}
  %shared = load ptr, ptr %shared.pp
  %entries.pp = getelementptr i8, ptr %job, i64 {job.ENTRIES}
  %entries = load ptr, ptr %entries.pp
  %ids.pp = getelementptr i8, ptr %job, i64 {job.AGENT_IDS}
  %ids = load ptr, ptr %ids.pp
  %stacks.pp = getelementptr i8, ptr %job, i64 {job.STACKS}
  %stacks = load ptr, ptr %stacks.pp
  %size.p = getelementptr i8, ptr %job, i64 {job.STACK_SIZE}
  %size = load i64, ptr %size.p
  %stack.offset = mul i64 %size, %worker
  %stack = getelementptr i8, ptr %stacks, i64 %stack.offset
  %top = getelementptr i8, ptr %stack, i64 %size
  %limit = getelementptr i8, ptr %stack, i64 {margin}
  br label %draw
draw:
  %index = atomicrmw add ptr %job, i64 1 monotonic
  %go = icmp slt i64 %index, %count
  br i1 %go, label %prepare, label %done
prepare:
  %slot.p = getelementptr i64, ptr %slots, i64 %index
  %slot = load i64, ptr %slot.p
  %ctx.offset = mul i64 %slot, {state_size}
  %ctx = getelementptr i8, ptr %state, i64 %ctx.offset
  %flags.p = getelementptr i8, ptr %ctx, i64 {ctx.FLAGS}
  %flags = load i64, ptr %flags.p
  %fresh = icmp eq i64 %flags, 0
  br i1 %fresh, label %instantiate, label %ready
instantiate:
  call void @swarm_instantiate(ptr %ctx, ptr %job, ptr %shared, i64 %slot)
  br label %ready
ready:
  %entry.p = getelementptr i32, ptr %entries, i64 %index
  %entry.n = load i32, ptr %entry.p
  %only = icmp slt i32 %entry.n, 0
  br i1 %only, label %draw, label %look
look:
  %fields = getelementptr i8, ptr %ctx, i64 {ctx.OUT_LEN}
  call void @llvm.memset.p0.i64(ptr %fields, i8 0, i64 {run_fields}, i1 false)
  %stop = call i64 @swarm_stopping(ptr %job)
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %skip, label %run
skip:
  %status.pp = getelementptr i8, ptr %job, i64 {job.STATUS}
  %status.p = load ptr, ptr %status.pp
  %status.i = getelementptr i64, ptr %status.p, i64 %index
  store i64 {interrupted_nowhere}, ptr %status.i
  br label %draw
run:
  %limit.p = getelementptr i8, ptr %ctx, i64 {ctx.STACK_LIMIT}
  store ptr %limit, ptr %limit.p
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  store ptr %job, ptr %job.p
  %shared.p = getelementptr i8, ptr %ctx, i64 {ctx.SHARED}
  store ptr %shared, ptr %shared.p
  %index.p = getelementptr i8, ptr %ctx, i64 {ctx.INDEX}
  store i64 %index, ptr %index.p
  %id.p = getelementptr i64, ptr %ids, i64 %index
  %id = load i64, ptr %id.p
  %agent.p = getelementptr i8, ptr %ctx, i64 {ctx.AGENT}
  store i64 %id, ptr %agent.p
  %saved = getelementptr i8, ptr %ctx, i64 {ctx.SAVED_SP}
  call void @swarm_enter(ptr @swarm_run, ptr %ctx, ptr %top, ptr %saved)
  br label %draw
done:
  ret void
}
"""

DECLARATIONS = (
    "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1 immarg)",
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)",
)


def support_text(triple: str, layout: AgentLayout) -> str:
    """The part that every module of a program contains, for a machine.

    Raises:
        TargetError: the processor is neither x86-64 nor aarch64.
    """
    return f"{switch_stack_assembly(triple)}\n\n{_fill_in(_SUPPORT, layout)}"


def driver_text(layout: AgentLayout) -> str:
    """The part that runs agents, once a program."""
    return _fill_in(_DRIVER, layout)


def _fill_in(text: str, layout: AgentLayout) -> str:
    values = {
        "interrupted": int(Trap.INTERRUPTED),
        "interrupted_nowhere": int(Trap.INTERRUPTED) | NO_POSITION << 8,
        "slice": FUEL_SLICE,
        "margin": STACK_MARGIN,
        "instantiated": FLAG_INSTANTIATED,
        "started": FLAG_STARTED,
        "starting": FLAG_STARTING,
        "state_size": layout.state_size,
        "template_size": layout.state_size - Ctx.END,
        "run_fields": Ctx.END - Ctx.OUT_LEN,
        "memories": _memories(layout),
    }
    for prefix, record in (("ctx", Ctx), ("job", Job), ("shared", Shared)):
        values |= {f"{prefix}.{field.name}": int(field) for field in record}
    return re.sub(r"\{([a-z_]+(?:\.[A-Z_]+)?)\}", lambda m: str(values[m[1]]), text)


def _memories(layout: AgentLayout) -> str:
    """Set base and size of each memory of an agent that is being instantiated."""
    lines = [
        f"%bases.p = getelementptr i8, ptr %job, i64 {int(Job.MEMORIES)}",
        "%bases = load ptr, ptr %bases.p",
    ]
    for n, slot in enumerate(layout.memories):
        lines += [
            f"%first.{n}.p = getelementptr ptr, ptr %bases, i64 {n}",
            f"%first.{n} = load ptr, ptr %first.{n}.p",
            f"%offset.{n} = mul i64 %slot, {stride(slot)}",
            f"%base.{n} = getelementptr i8, ptr %first.{n}, i64 %offset.{n}",
            f"%base.{n}.p = getelementptr i8, ptr %ctx, i64 {slot.base}",
            f"store ptr %base.{n}, ptr %base.{n}.p",
            f"%size.{n}.p = getelementptr i8, ptr %ctx, i64 {slot.size}",
            f"store i64 {slot.minimum}, ptr %size.{n}.p",
        ]
    return "\n".join(f"  {line}" for line in lines)


def stride(slot: MemorySlot) -> int:
    """Distance between two agents' slices of a memory, in bytes."""
    return slot.reserve
