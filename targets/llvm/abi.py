"""What differs between targets in the code they run, behind one small object.

An :class:`Abi` says where an agent's bytes are (its memories: :class:`~.access.MemoryAccess`),
how an agent ends early, which address space holds its state, and brings the support code that
every compiled program contains. The emitters of :mod:`.ops` know no target: they ask it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..layout import AgentLayout

if TYPE_CHECKING:
    from .access import MemoryAccess
    from .emit import FunctionEmitter
    from .program_emitter import ProgramEmitter


class Abi(Protocol):
    """The target's part of lowering. Text goes out through ``FunctionEmitter.line``.

    ``support`` must define these functions (``C`` stands for the context parameter)::

        void @swarm_trap(ptr C, i64 status, i64 fuel)        noreturn: end the agent
        i64  @swarm_refill(ptr C, i64 fuel, i64 status)      more fuel, or end with the status
        i64  @swarm_poll(ptr C, i64 status)                  after a host call: its status, or
                                                             another if the agent should stop
        i64  @swarm_memory_grow(ptr size, i64 reserve, i64 pages)
        i64  @swarm_table_grow(ptr size, ptr elements, i64 capacity, i64 value, i64 delta)
        void @swarm_fill64(ptr to, i64 value, i64 count)   words of the state block
    """

    triple: str
    data_layout: str
    attributes: str  # of every compiled function
    declarations: tuple[str, ...]  # that the prelude needs
    memory: MemoryAccess
    keeps_long_loops: bool  # whether they are not to be unrolled; see unrolling
    tail_calls: bool  # whether a call may take the place of its caller's frame; see trampolines

    def support(self, layout: AgentLayout) -> str:
        """The functions above, in every module of a program."""
        ...

    def driver(self, layout: AgentLayout) -> str:
        """What runs agents, in the first module of a program."""
        ...

    def state(self, e: FunctionEmitter, offset: int) -> str:
        """Pointer to a field of the agent's state block."""
        ...

    def shared(self, e: FunctionEmitter, offset: int) -> str:
        """A 64-bit word of the Shared record, as a pointer; it never changes."""
        ...

    def function_of(self, e: FunctionEmitter, sig: int, reference: str) -> tuple[str, str]:
        """What to call for a reference to a function of a type, and a last argument for it."""
        ...

    def references(self, program: ProgramEmitter) -> list[str]:
        """What the calls through references need, in the first module of a program."""
        ...

    def host_code(self, e: FunctionEmitter, number: int) -> str:
        """What to call for a host function, by its place in ``Shared.HOSTS``."""
        ...

    def stack_check(self, e: FunctionEmitter) -> str | None:
        """An i1 that is true when the machine stack is used up, or None where nothing checks."""
        ...


