"""Support code, which every translated module calls: running threads, checking what they touch.

Threads run one after another, each on the same machine stack, which :mod:`..cpu.stack_switch`
enters and leaves: ``exit`` and violations end a thread from any depth.
"""

from __future__ import annotations

import functools
import re

from ..cpu.machine import compile_text, host_machine
from ..cpu.stack_switch import enter_leave_assembly
from .checks import CHECKS
from .records import (
    CODE_BASE,
    CODE_STEP,
    CONSTANT,
    GLOBAL,
    LOCAL_ALIGN,
    LOCAL_GAP,
    LOCAL_START,
    WRITE,
    Launch,
    Region,
    Rights,
    Rule,
    Thread,
    Violation,
)

_THREADS = """\
declare void @swarm_enter(ptr, ptr, ptr, ptr)
declare void @swarm_leave(ptr) noreturn
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)

; Every module defines them: its functions and their signatures.
@ptx_code = external constant [0 x { ptr, i64 }]
@ptx_code_count = external constant i64

define void @ptx_launch(ptr %launch) {
entry:
  %thread = alloca [{thread.END} x i8], align 16
  %launch.p = getelementptr i8, ptr %thread, i64 {thread.LAUNCH}
  store ptr %launch, ptr %launch.p
  %top = call i64 @ptx_field(ptr %launch, i64 {launch.STACK_TOP})
  %top.p = inttoptr i64 %top to ptr
  %limit = call i64 @ptx_field(ptr %launch, i64 {launch.STACK_LIMIT})
  call void @ptx_set(ptr %thread, i64 {thread.STACK_LIMIT}, i64 %limit)
  %threads = call i64 @ptx_field(ptr %launch, i64 {launch.THREADS})
  %block = call i64 @ptx_field(ptr %launch, i64 {launch.BLOCK})
  %slots = call i64 @ptx_field(ptr %launch, i64 {launch.SLOTS})
  %slots.p = inttoptr i64 %slots to ptr
  %slot.count = call i64 @ptx_field(ptr %launch, i64 {launch.SLOT_COUNT})
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %ran ]
  %more = icmp ult i64 %i, %threads
  br i1 %more, label %prepare, label %done
prepare:
  call void @ptx_set(ptr %thread, i64 {thread.INDEX}, i64 %i)
  %tid = urem i64 %i, %block
  call void @ptx_set(ptr %thread, i64 {thread.TID}, i64 %tid)
  %ctaid = udiv i64 %i, %block
  call void @ptx_set(ptr %thread, i64 {thread.BLOCK_INDEX}, i64 %ctaid)
  call void @ptx_set(ptr %thread, i64 {thread.SLOT}, i64 -1)
  %has.slot = icmp ult i64 %i, %slot.count
  br i1 %has.slot, label %slot, label %run
slot:
  %slot.p = getelementptr i64, ptr %slots.p, i64 %i
  %slot.n = load i64, ptr %slot.p
  call void @ptx_set(ptr %thread, i64 {thread.SLOT}, i64 %slot.n)
  br label %run
run:
  call void @ptx_set(ptr %thread, i64 {thread.LOCAL_SP}, i64 {local_start})
  call void @swarm_enter(ptr @ptx_run, ptr %thread, ptr %top.p, ptr %thread)
  ; A thread that ended by exit left its arrays behind.
  call void @ptx_leave(ptr %thread, i64 {local_start})
  %error = call i64 @ptx_field(ptr %launch, i64 {launch.ERROR})
  %failed = icmp ne i64 %error, 0
  br i1 %failed, label %done, label %ran
ran:
  %i.next = add i64 %i, 1
  br label %next
done:
  ret void
}

define internal void @ptx_run(ptr %thread) {
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %entry = call i64 @ptx_field(ptr %launch, i64 {launch.ENTRY})
  %entry.p = inttoptr i64 %entry to ptr
  call void %entry.p(ptr %thread)
  ret void
}

define internal i64 @ptx_field(ptr %record, i64 %offset) alwaysinline {
  %p = getelementptr i8, ptr %record, i64 %offset
  %value = load i64, ptr %p
  ret i64 %value
}

define internal void @ptx_set(ptr %record, i64 %offset, i64 %value) alwaysinline {
  %p = getelementptr i8, ptr %record, i64 %offset
  store i64 %value, ptr %p
  ret void
}

define internal ptr @ptx_launch_of(ptr %thread) alwaysinline {
  %launch = call i64 @ptx_field(ptr %thread, i64 {thread.LAUNCH})
  %p = inttoptr i64 %launch to ptr
  ret ptr %p
}

define void @ptx_exit(ptr %thread) noreturn {
  call void @swarm_leave(ptr %thread)
  unreachable
}

define void @ptx_fail(
    ptr %thread, i64 %why, i64 %line, i64 %address, i64 %size, i64 %region) noreturn cold noinline {
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %index = call i64 @ptx_field(ptr %thread, i64 {thread.INDEX})
  call void @ptx_set(ptr %launch, i64 {launch.ERROR}, i64 %why)
  call void @ptx_set(ptr %launch, i64 {launch.LINE}, i64 %line)
  call void @ptx_set(ptr %launch, i64 {launch.ADDRESS}, i64 %address)
  call void @ptx_set(ptr %launch, i64 {launch.SIZE}, i64 %size)
  call void @ptx_set(ptr %launch, i64 {launch.THREAD}, i64 %index)
  call void @ptx_set(ptr %launch, i64 {launch.REGION}, i64 %region)
  call void @swarm_leave(ptr %thread)
  unreachable
}

; A function begins: there must be machine stack left, for the host's functions too.
define void @ptx_enter(ptr %thread, i64 %line) noinline {
  %here = alloca i8
  %sp = ptrtoint ptr %here to i64
  %limit = call i64 @ptx_field(ptr %thread, i64 {thread.STACK_LIMIT})
  %low = icmp ult i64 %sp, %limit
  br i1 %low, label %full, label %good
full:
  call void @ptx_fail(ptr %thread, i64 {no.STACK_EXHAUSTED}, i64 %line, i64 0, i64 0, i64 -1)
  unreachable
good:
  ret void
}

; Room for an array in local memory; its address there.
define i64 @ptx_reserve(ptr %thread, i64 %size, i64 %line) noinline {
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %start = call i64 @ptx_field(ptr %thread, i64 {thread.LOCAL_SP})
  %all = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL_SIZE})
  %end = add i64 %start, %size
  %gap = add i64 %end, {gap_and_align}
  %next = and i64 %gap, -{local_align}
  %fits = icmp ule i64 %next, %all
  br i1 %fits, label %good, label %full
full:
  call void @ptx_fail(ptr %thread, i64 {no.LOCAL_EXHAUSTED}, i64 %line, i64 %start, i64 %size,
                      i64 -1)
  unreachable
good:
  call void @ptx_set(ptr %thread, i64 {thread.LOCAL_SP}, i64 %next)
  %live = call i64 @ptx_field(ptr %launch, i64 {launch.LIVE})
  %live.a = add i64 %live, %start
  %live.p = inttoptr i64 %live.a to ptr
  call void @llvm.memset.p0.i64(ptr %live.p, i8 1, i64 %size, i1 false)
  %local = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL})
  %local.a = add i64 %local, %start
  %local.p = inttoptr i64 %local.a to ptr
  call void @llvm.memset.p0.i64(ptr %local.p, i8 -51, i64 %size, i1 false)
  ret i64 %start
}

; The arrays from an address on are gone.
define void @ptx_leave(ptr %thread, i64 %start) noinline {
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %end = call i64 @ptx_field(ptr %thread, i64 {thread.LOCAL_SP})
  %size = sub i64 %end, %start
  %live = call i64 @ptx_field(ptr %launch, i64 {launch.LIVE})
  %live.a = add i64 %live, %start
  %live.p = inttoptr i64 %live.a to ptr
  call void @llvm.memset.p0.i64(ptr %live.p, i8 0, i64 %size, i1 false)
  call void @ptx_set(ptr %thread, i64 {thread.LOCAL_SP}, i64 %start)
  ret void
}
"""

#: What translated modules call.
DECLARATIONS = (
    "declare void @ptx_enter(ptr, i64)",
    "declare void @ptx_exit(ptr) noreturn",
    "declare void @ptx_fail(ptr, i64, i64, i64, i64, i64) noreturn",
    "declare i64 @ptx_reserve(ptr, i64, i64)",
    "declare void @ptx_leave(ptr, i64)",
    "declare ptr @ptx_local(ptr, i64, i64, i64)",
    "declare void @ptx_access(ptr, i64, i64, i64, i64)",
    "declare ptr @ptx_callee(ptr, i64, i64, i64)",
)


@functools.cache
def support_object() -> bytes:
    """The support code as machine code, for linking with a module's."""
    machine = host_machine()
    head = f'target triple = "{machine.triple}"\ntarget datalayout = "{machine.data_layout}"'
    text = "\n\n".join((head, enter_leave_assembly(machine.triple), _filled_in()))
    return compile_text(text, 2)


def _filled_in() -> str:
    values: dict[str, int] = {
        "local_start": LOCAL_START,
        "local_align": LOCAL_ALIGN,
        "gap_and_align": LOCAL_GAP + LOCAL_ALIGN - 1,
        "write": WRITE,
        "constant": CONSTANT,
        "write_or_constant": WRITE | CONSTANT,
        "global": GLOBAL,
        "code_base": CODE_BASE,
        "code_step": CODE_STEP,
    }
    for prefix, record in (
        ("launch", Launch), ("thread", Thread), ("region", Region), ("rule", Rule),
        ("rights", Rights), ("no", Violation),
    ):  # fmt: skip
        values |= {f"{prefix}.{field.name}": int(field) for field in record}
    return re.sub(r"\{([a-z_]+(?:\.[A-Z_]+)?)\}", lambda m: str(values[m[1]]), _THREADS + CHECKS)
