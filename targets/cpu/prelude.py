"""Support code of every program on the CPU: workers, and how a trap leaves.

A *worker* draws agents from an atomic counter and runs each on a stack of the worker's own.
"""

from __future__ import annotations

from ..layout import AgentLayout, Ctx
from ..llvm import driver, prelude
from ..llvm.template import fill_in
from .stack_switch import switch_stack_assembly

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
"""

_DRIVER = """\
define void @swarm_worker(ptr %job, i64 %worker) nounwind {
entry:
  %count.p = getelementptr i8, ptr %job, i64 {job.COUNT}
  %count = load i64, ptr %count.p
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
  %ctx = call ptr @swarm_ready(ptr %job, i64 %index)
  %not = icmp eq ptr %ctx, null
  br i1 %not, label %draw, label %run
run:
  %limit.p = getelementptr i8, ptr %ctx, i64 {ctx.STACK_LIMIT}
  store ptr %limit, ptr %limit.p
  %saved = getelementptr i8, ptr %ctx, i64 {ctx.SAVED_SP}
  call void @swarm_enter(ptr @swarm_run, ptr %ctx, ptr %top, ptr %saved)
  br label %draw
done:
  ret void
}

; Let no worker draw another agent; how many have been drawn, or more.
define i64 @swarm_drain(ptr %job) nounwind {
  %drawn = atomicrmw xchg ptr %job, i64 4611686018427387904 monotonic
  ret i64 %drawn
}
"""


def support_text(triple: str, layout: AgentLayout) -> str:
    """The part that every module of a program contains, for a machine.

    Raises:
        TargetError: the processor is neither x86-64 nor aarch64.
    """
    limit = layout.memory_layout.state_cells.spread(int(Ctx.STACK_LIMIT))
    own = fill_in(_SUPPORT, prelude.places(layout))
    return "\n\n".join([switch_stack_assembly(triple, limit), own, prelude.support_text(layout)])


def driver_text(layout: AgentLayout) -> str:
    """The part that runs agents, once a program."""
    values = prelude.places(layout) | {"margin": STACK_MARGIN}
    return "\n\n".join([driver.driver_text(layout), fill_in(_DRIVER, values)])
