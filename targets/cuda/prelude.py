"""Support code of every program on a GPU: the kernel, and how a trap leaves.

A thread runs one agent: that at its own place in the dispatch.
"""

from __future__ import annotations

from ..layout import AgentLayout
from ..llvm import driver, prelude
from ..llvm.template import fill_in

#: Name of the kernel, whose only parameter is the address of a Job record.
KERNEL = "swarm_kernel"

DECLARATIONS = (
    "declare void @llvm.nvvm.exit() noreturn",
    "declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()",
    "declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()",
    "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()",
)

_SUPPORT = """\
define internal void @swarm_trap(ptr %ctx, i64 %status, i64 %fuel) noreturn noinline cold nounwind {
  call void @swarm_report(ptr %ctx, i64 %status, i64 %fuel)
  call void @llvm.nvvm.exit()
  unreachable
}
"""

_DRIVER = """\
define ptx_kernel void @{kernel}(ptr %job) nounwind {limit} {
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %width = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block.w = zext i32 %block to i64
  %width.w = zext i32 %width to i64
  %thread.w = zext i32 %thread to i64
  %first = mul i64 %block.w, %width.w
  %index = add i64 %first, %thread.w
  %count.p = getelementptr i8, ptr %job, i64 {job.COUNT}
  %count = load i64, ptr %count.p
  %inside = icmp slt i64 %index, %count
  br i1 %inside, label %prepare, label %done
prepare:
  %ctx = call ptr @swarm_ready(ptr %job, i64 %index)
  %not = icmp eq ptr %ctx, null
  br i1 %not, label %done, label %run
run:
  call void @swarm_run(ptr %ctx)
  br label %done
done:
  ret void
}
"""


def support_text(layout: AgentLayout) -> str:
    """The part that every module of a program contains."""
    return "\n\n".join([_SUPPORT, prelude.support_text(layout)])


def driver_text(layout: AgentLayout, max_registers: int | None = None) -> str:
    """The part that runs agents, once a program; a limit of registers holds for all of it."""
    limit = "" if max_registers is None else f'"nvvm.maxnreg"="{max_registers}"'
    values = prelude.places(layout) | {"kernel": KERNEL, "limit": limit}
    return "\n\n".join([driver.driver_text(layout), fill_in(_DRIVER, values)])
