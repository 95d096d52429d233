"""Running an agent on another stack, in assembly: the way in, and the way out from any depth.

``swarm_enter(function, argument, stack top, place)`` saves where it was called at ``place`` and
calls ``function(argument)`` on the other stack. ``swarm_leave(place)`` returns from it, however
deep in calls: together they are setjmp and longjmp, without help of libc. They also hold the
floating point mode at IEEE defaults (round to nearest, no flush to zero), whatever the thread had.

``swarm_probe`` is what LLVM calls before a large frame is taken, with its size in ``rax``: an
agent whose stack does not hold it ends there. Smaller frames are covered by the stack check of
each function, which leaves a margin. Only x86-64 has such a hook.
"""

from __future__ import annotations

from ...errors import TargetError
from ...ir.types import Trap
from ..layout import NO_POSITION

#: Bytes of a frame from which on it is probed.
PROBED_FRAME = 64 << 10

_ENTER_X86_64 = """\
swarm_enter:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 subq $8, %rsp
 stmxcsr (%rsp)
 movl $0x1f80, 4(%rsp)
 ldmxcsr 4(%rsp)
 movq %rsp, (%rcx)
 movq %rdx, %rsp
 pushq %rcx
 subq $8, %rsp
 movq %rdi, %rax
 movq %rsi, %rdi
 callq *%rax
 movq 8(%rsp), %rdi
swarm_leave:
 movq (%rdi), %rsp
 ldmxcsr (%rsp)
 addq $8, %rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 retq
"""

# Every compiled function has the context in rdi and the fuel in rsi when it is entered.
_PROBE_X86_64 = """\
swarm_probe:
 movq %rsp, %r11
 subq %rax, %r11
 jb swarm_no_room
 cmpq {limit}(%rdi), %r11
 jb swarm_no_room
 retq
swarm_no_room:
 movq %rsi, %rdx
 movabsq ${exhausted}, %rsi
 andq $-16, %rsp
 callq swarm_trap
"""

_ENTER_AARCH64 = """\
swarm_enter:
 sub sp, sp, #176
 stp x19, x20, [sp]
 stp x21, x22, [sp, #16]
 stp x23, x24, [sp, #32]
 stp x25, x26, [sp, #48]
 stp x27, x28, [sp, #64]
 stp x29, x30, [sp, #80]
 stp d8, d9, [sp, #96]
 stp d10, d11, [sp, #112]
 stp d12, d13, [sp, #128]
 stp d14, d15, [sp, #144]
 mrs x9, fpcr
 str x9, [sp, #160]
 msr fpcr, xzr
 mov x9, sp
 str x9, [x3]
 mov x19, x3
 mov sp, x2
 mov x9, x0
 mov x0, x1
 blr x9
 mov x0, x19
swarm_leave:
 ldr x9, [x0]
 mov sp, x9
 ldr x9, [sp, #160]
 msr fpcr, x9
 ldp x19, x20, [sp]
 ldp x21, x22, [sp, #16]
 ldp x23, x24, [sp, #32]
 ldp x25, x26, [sp, #48]
 ldp x27, x28, [sp, #64]
 ldp x29, x30, [sp, #80]
 ldp d8, d9, [sp, #96]
 ldp d10, d11, [sp, #112]
 ldp d12, d13, [sp, #128]
 ldp d14, d15, [sp, #144]
 add sp, sp, #176
 ret
"""


def probe_attributes(triple: str) -> str:
    """Attributes of a function whose large frames are probed."""
    if triple.startswith("x86_64"):
        return f'"probe-stack"="swarm_probe" "stack-probe-size"="{PROBED_FRAME}"'
    return '"probe-stack"="inline-asm"'


def switch_stack_assembly(triple: str, limit: int) -> str:
    """The functions as assembly of an LLVM module.

    Args:
        limit: offset of ``Ctx.STACK_LIMIT`` from the context.

    Raises:
        TargetError: the processor is neither x86-64 nor aarch64.
    """
    if triple.startswith("x86_64"):
        exhausted = int(Trap.CALL_STACK_EXHAUSTED) | NO_POSITION << 8
        text = _ENTER_X86_64 + _PROBE_X86_64.format(limit=limit, exhausted=exhausted)
    elif triple.startswith("aarch64"):
        text = _ENTER_AARCH64
    else:
        raise TargetError(f"the CPU target runs on x86-64 and aarch64, not on {triple}")
    return _module_assembly(text)


def enter_leave_assembly(triple: str) -> str:
    """``swarm_enter`` and ``swarm_leave`` alone, for code whose frames are not probed.

    Raises:
        TargetError: the processor is neither x86-64 nor aarch64.
    """
    if triple.startswith("x86_64"):
        return _module_assembly(_ENTER_X86_64)
    if triple.startswith("aarch64"):
        return _module_assembly(_ENTER_AARCH64)
    raise TargetError(f"this runs on x86-64 and aarch64, not on {triple}")


def _module_assembly(text: str) -> str:
    return "\n".join(f'module asm "{line.strip()}"' for line in text.splitlines())
