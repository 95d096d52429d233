"""Checking every access and call of a thread, as LLVM IR; part of the support code.

An address is checked for alignment, for lying in a region that the launch was given, for being
the thread's own part of it, and for what may be done there. See :mod:`.records` for the regions.
Names in braces are filled in by :mod:`.support`.
"""

from __future__ import annotations

CHECKS = """
; Check an access to local memory by its local address; where it lies.
define ptr @ptx_local(ptr %thread, i64 %address, i64 %size, i64 %line) noinline {
entry:
  call void @ptx_aligned(ptr %thread, i64 %address, i64 %size, i64 %line)
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %all = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL_SIZE})
  %inside = icmp ult i64 %address, %all
  br i1 %inside, label %look, label %dead
look:
  ; Aligned, so that it does not cross the end of local memory.
  %live = call i64 @ptx_field(ptr %launch, i64 {launch.LIVE})
  br label %test
test:
  %i = phi i64 [ 0, %look ], [ %i.next, %alive ]
  %go = icmp ult i64 %i, %size
  br i1 %go, label %byte, label %good
byte:
  %at = add i64 %address, %i
  %live.a = add i64 %live, %at
  %live.p = inttoptr i64 %live.a to ptr
  %flag = load i8, ptr %live.p
  %is.live = icmp ne i8 %flag, 0
  br i1 %is.live, label %alive, label %dead
alive:
  %i.next = add i64 %i, 1
  br label %test
dead:
  call void @ptx_fail(ptr %thread, i64 {no.DEAD_LOCAL}, i64 %line, i64 %address, i64 %size, i64 -1)
  unreachable
good:
  %local = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL})
  %local.a = add i64 %local, %address
  %p = inttoptr i64 %local.a to ptr
  ret ptr %p
}

define internal void @ptx_aligned(ptr %thread, i64 %address, i64 %size, i64 %line) alwaysinline {
  %mask = sub i64 %size, 1
  %low = and i64 %address, %mask
  %good = icmp eq i64 %low, 0
  br i1 %good, label %yes, label %no
no:
  call void @ptx_fail(ptr %thread, i64 {no.MISALIGNED}, i64 %line, i64 %address, i64 %size, i64 -1)
  unreachable
yes:
  ret void
}

; Check an access by its generic address, which is one of the host.
define void @ptx_access(
    ptr %thread, i64 %address, i64 %size, i64 %line, i64 %flags) noinline {
entry:
  call void @ptx_aligned(ptr %thread, i64 %address, i64 %size, i64 %line)
  %launch = call ptr @ptx_launch_of(ptr %thread)
  %regions = call i64 @ptx_field(ptr %launch, i64 {launch.REGIONS})
  %first = inttoptr i64 %regions to ptr
  %count = call i64 @ptx_field(ptr %launch, i64 {launch.REGION_COUNT})
  br label %next
next:
  %n = phi i64 [ 0, %entry ], [ %n.next, %other ]
  %more = icmp ult i64 %n, %count
  br i1 %more, label %look, label %local
look:
  %region.o = mul i64 %n, {region.END}
  %region = getelementptr i8, ptr %first, i64 %region.o
  %base = call i64 @ptx_field(ptr %region, i64 {region.BASE})
  %extent = call i64 @ptx_field(ptr %region, i64 {region.SIZE})
  %offset = sub i64 %address, %base
  %inside = icmp ult i64 %offset, %extent
  br i1 %inside, label %whole, label %other
other:
  %n.next = add i64 %n, 1
  br label %next
whole:
  %rest = sub i64 %extent, %offset
  %ends = icmp ule i64 %size, %rest
  br i1 %ends, label %rule, label %outside
rule:
  %mine = call i1 @ptx_owns(ptr %thread, ptr %region, i64 %offset, i64 %size)
  br i1 %mine, label %rights, label %foreign
rights:
  %rights.n = call i64 @ptx_field(ptr %region, i64 {region.RIGHTS})
  %write = and i64 %flags, {write}
  %writes = icmp ne i64 %write, 0
  %const = and i64 %flags, {constant}
  %is.const = icmp ne i64 %const, 0
  switch i64 %rights.n, label %fixed [
    i64 {rights.WRITE}, label %changing
    i64 {rights.EITHER}, label %either
  ]
fixed:
  br i1 %writes, label %read.only, label %good
changing:
  br i1 %is.const, label %not.constant, label %good
either:
  %done = call i64 @ptx_field(ptr %region, i64 {region.STATE})
  %act = and i64 %flags, {write_or_constant}
  %all = or i64 %done, %act
  call void @ptx_set(ptr %region, i64 {region.STATE}, i64 %all)
  %both.done = icmp eq i64 %all, {write_or_constant}
  br i1 %both.done, label %not.constant, label %good
good:
  ret void
local:
  %window = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL})
  %window.size = call i64 @ptx_field(ptr %launch, i64 {launch.LOCAL_SIZE})
  %local.address = sub i64 %address, %window
  %in.window = icmp ult i64 %local.address, %window.size
  br i1 %in.window, label %space, label %outside
space:
  %global = and i64 %flags, {global}
  %is.global = icmp ne i64 %global, 0
  br i1 %is.global, label %wrong.space, label %generic
generic:
  %p = call ptr @ptx_local(ptr %thread, i64 %local.address, i64 %size, i64 %line)
  ret void
outside:
  br label %fail
foreign:
  br label %fail
read.only:
  br label %fail
not.constant:
  br label %fail
wrong.space:
  br label %fail
fail:
  %why = phi i64 [ {no.OUTSIDE}, %outside ], [ {no.FOREIGN}, %foreign ],
    [ {no.READ_ONLY}, %read.only ], [ {no.NOT_CONSTANT}, %not.constant ],
    [ {no.WRONG_SPACE}, %wrong.space ]
  %where = phi i64 [ -1, %outside ], [ %n, %foreign ], [ %n, %read.only ], [ %n, %not.constant ],
    [ -1, %wrong.space ]
  call void @ptx_fail(ptr %thread, i64 %why, i64 %line, i64 %address, i64 %size, i64 %where)
  unreachable
}

; Whether a part of a region is the thread's.
define internal i1 @ptx_owns(ptr %thread, ptr %region, i64 %offset, i64 %size) {
entry:
  %rule = call i64 @ptx_field(ptr %region, i64 {region.RULE})
  %stride = call i64 @ptx_field(ptr %region, i64 {region.STRIDE})
  %index = call i64 @ptx_field(ptr %thread, i64 {thread.INDEX})
  %slot = call i64 @ptx_field(ptr %thread, i64 {thread.SLOT})
  switch i64 %rule, label %all [
    i64 {rule.INDEX_ROW}, label %row
    i64 {rule.SLOT_ROW}, label %row
    i64 {rule.SLOT_CELLS}, label %cells
  ]
all:
  ret i1 true
row:
  %by.slot = icmp eq i64 %rule, {rule.SLOT_ROW}
  %key = select i1 %by.slot, i64 %slot, i64 %index
  %row.n = udiv i64 %offset, %stride
  %row.good = icmp eq i64 %row.n, %key
  %row.at = urem i64 %offset, %stride
  %row.end = add i64 %row.at, %size
  %row.fits = icmp ule i64 %row.end, %stride
  %row.both = and i1 %row.good, %row.fits
  ret i1 %row.both
cells:
  %cell = call i64 @ptx_field(ptr %region, i64 {region.CELL})
  %group = udiv i64 %offset, %stride
  %group.own = lshr i64 %slot, 5
  %group.good = icmp eq i64 %group, %group.own
  %within = urem i64 %offset, %stride
  %number = udiv i64 %within, %cell
  %lane = and i64 %number, 31
  %lane.own = and i64 %slot, 31
  %lane.good = icmp eq i64 %lane, %lane.own
  %cell.at = urem i64 %within, %cell
  %cell.end = add i64 %cell.at, %size
  %cell.fits = icmp ule i64 %cell.end, %cell
  %both = and i1 %group.good, %lane.good
  %three = and i1 %both, %cell.fits
  ret i1 %three
}

; The code of a function by the address that PTX knows, if it has the signature.
define ptr @ptx_callee(ptr %thread, i64 %address, i64 %signature, i64 %line) noinline {
  %offset = sub i64 %address, {code_base}
  %number = udiv i64 %offset, {code_step}
  %odd = urem i64 %offset, {code_step}
  %exact = icmp eq i64 %odd, 0
  %count = load i64, ptr @ptx_code_count
  %inside = icmp ult i64 %number, %count
  %known = and i1 %exact, %inside
  br i1 %known, label %look, label %wrong
look:
  %record = getelementptr { ptr, i64 }, ptr @ptx_code, i64 %number
  %has.p = getelementptr i8, ptr %record, i64 8
  %has = load i64, ptr %has.p
  %fits = icmp eq i64 %has, %signature
  br i1 %fits, label %good, label %wrong
wrong:
  call void @ptx_fail(ptr %thread, i64 {no.CALL_TARGET}, i64 %line, i64 %address, i64 0, i64 -1)
  unreachable
good:
  %code = load ptr, ptr %record
  ret ptr %code
}
"""
