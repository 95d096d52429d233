"""Support code that instantiates an agent and runs it, on every target.

What a target adds is what calls ``swarm_ready`` and ``swarm_run`` for each agent of a dispatch.
"""

from __future__ import annotations

from ..layout import AgentLayout, Ctx, Job
from .prelude import places
from .template import Lines, fill_in

_DRIVER = """\
define internal void @swarm_copy_template(ptr %to, ptr %from) nounwind {
entry:
  br label %test
test:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %go = icmp ult i64 %i, {template_words}
  br i1 %go, label %body, label %done
body:
  %offset = mul i64 %i, {step}
  %p = getelementptr i8, ptr %to, i64 %offset
  %q = getelementptr i64, ptr %from, i64 %i
  %word = load i64, ptr %q
  store i64 %word, ptr %p
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}

define internal void @swarm_instantiate(ptr %ctx, ptr %job, ptr %shared, i64 %slot) nounwind {
entry:
  %template.p = getelementptr i8, ptr %shared, i64 {shared.TEMPLATE}
  %template = load ptr, ptr %template.p
  %rest = getelementptr i8, ptr %ctx, i64 {ctx.END}
  call void @swarm_copy_template(ptr %rest, ptr %template)
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
  call void @swarm_memory_init(ptr %base, i64 %to, ptr %from, i64 %length)
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
  %left = call i64 @swarm_enter_entry(
      i32 %entry.n, ptr %ctx, ptr %args, ptr %results, i64 %part, i32 %depth)
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

; The context of the agent at a place of the dispatch, ready to run; null if it is not to run.
define internal ptr @swarm_ready(ptr %job, i64 %index) nounwind {
  %slots.pp = getelementptr i8, ptr %job, i64 {job.SLOTS}
  %slots = load ptr, ptr %slots.pp
  %slot.p = getelementptr i64, ptr %slots, i64 %index
  %slot = load i64, ptr %slot.p
{context}
  %state.pp = getelementptr i8, ptr %job, i64 {job.STATE}
  %state = load ptr, ptr %state.pp
  %ctx = getelementptr i8, ptr %state, i64 %ctx.offset
  %shared.pp = getelementptr i8, ptr %job, i64 {job.SHARED}
  %shared = load ptr, ptr %shared.pp
  %flags.p = getelementptr i8, ptr %ctx, i64 {ctx.FLAGS}
  %flags = load i64, ptr %flags.p
  %fresh = icmp eq i64 %flags, 0
  br i1 %fresh, label %instantiate, label %ready
instantiate:
  call void @swarm_instantiate(ptr %ctx, ptr %job, ptr %shared, i64 %slot)
  br label %ready
ready:
  %entries.pp = getelementptr i8, ptr %job, i64 {job.ENTRIES}
  %entries = load ptr, ptr %entries.pp
  %entry.p = getelementptr i32, ptr %entries, i64 %index
  %entry.n = load i32, ptr %entry.p
  %only = icmp slt i32 %entry.n, 0
  br i1 %only, label %not, label %look
look:
{clear}
  %stop = call i64 @swarm_stopping(ptr %job)
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %skip, label %run
skip:
  %status.pp = getelementptr i8, ptr %job, i64 {job.STATUS}
  %status.p = load ptr, ptr %status.pp
  %status.i = getelementptr i64, ptr %status.p, i64 %index
  store i64 {interrupted_nowhere}, ptr %status.i
  br label %not
not:
  ret ptr null
run:
  %job.p = getelementptr i8, ptr %ctx, i64 {ctx.JOB}
  store ptr %job, ptr %job.p
  %shared.p = getelementptr i8, ptr %ctx, i64 {ctx.SHARED}
  store ptr %shared, ptr %shared.p
  %scale.p = getelementptr i8, ptr %ctx, i64 {ctx.SCALE}
  store i64 {scale}, ptr %scale.p
  %mask.p = getelementptr i8, ptr %ctx, i64 {ctx.CELL_MASK}
  store i64 {cell_mask}, ptr %mask.p
  %index.p = getelementptr i8, ptr %ctx, i64 {ctx.INDEX}
  store i64 %index, ptr %index.p
  %ids.pp = getelementptr i8, ptr %job, i64 {job.AGENT_IDS}
  %ids = load ptr, ptr %ids.pp
  %id.p = getelementptr i64, ptr %ids, i64 %index
  %id = load i64, ptr %id.p
  %agent.p = getelementptr i8, ptr %ctx, i64 {ctx.AGENT}
  store i64 %id, ptr %agent.p
  ret ptr %ctx
}
"""

#: Fields that are 0 when a run begins.
_RUN_FIELDS = (Ctx.OUT_LEN, Ctx.ERR_LEN, Ctx.STDIN_POS, Ctx.CLOCK_READS, Ctx.RANDOM_READS)


def driver_text(layout: AgentLayout) -> str:
    """The part that runs one agent, once a program."""
    values = places(layout) | {
        "template_words": (layout.state_size - Ctx.END) // 8,
        "clear": _clear(layout),
        "context": _context(layout),
        "memories": _memories(layout),
    }
    return fill_in(_DRIVER, values)


def _field(text: Lines, layout: AgentLayout, offset: int) -> str:
    """Pointer to a field of the state block."""
    place = layout.memory_layout.state_cells.spread(int(offset))
    return text.assign(f"getelementptr i8, ptr %ctx, i64 {place}")


def _clear(layout: AgentLayout) -> str:
    text = Lines("clear")
    for field in _RUN_FIELDS:
        text.line(f"store i64 0, ptr {_field(text, layout, field)}")
    return str(text)


def _context(layout: AgentLayout) -> str:
    """Define ``%ctx.offset``: where the slot's state block begins."""
    text = Lines("context")
    base = layout.state_place.base_text(text.assign, "%slot")
    text.assign(f"add i64 {base}, 0", "ctx.offset")
    return str(text)


def _memories(layout: AgentLayout) -> str:
    """Set base and size of each memory of an agent that is being instantiated."""
    text = Lines("memory")
    bases = text.assign(f"getelementptr i8, ptr %job, i64 {int(Job.MEMORIES)}")
    bases = text.assign(f"load ptr, ptr {bases}")
    for n, slot in enumerate(layout.memories):
        first = text.assign(f"getelementptr ptr, ptr {bases}, i64 {n}")
        first = text.assign(f"load ptr, ptr {first}")
        offset = layout.memory_place(slot).base_text(text.assign, "%slot")
        base = text.assign(f"getelementptr i8, ptr {first}, i64 {offset}")
        text.line(f"store ptr {base}, ptr {_field(text, layout, slot.base)}")
        text.line(f"store i64 {slot.minimum}, ptr {_field(text, layout, slot.size)}")
    return str(text)
