"""What all functions of a program share while they are lowered to LLVM IR."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from ...ir.analysis.throwing import Throwing
from ...ir.module import Module
from ...ir.ops import Op
from ...ir.types import EntityId, FuncType
from ..layout import AgentLayout, has_tail_calls
from .abi import Abi
from .convention import Convention, by_value, for_tail_calls
from .types import LLVM_TYPES
from .unrolling import NODE

if TYPE_CHECKING:
    from .emit import Emitter
    from .trampolines import Trampolines

#: Number of the first metadata node that is not in :data:`.program.METADATA`.
FIRST_NODE = 10


class ProgramEmitter:
    """What all functions of a program share while they are lowered.

    Attributes:
        declarations: LLVM intrinsics used, as declarations.
        later: functions that the target defines when all others are written.
        calling: the calling convention; ``tailcc`` where the program has tail calls, and the
            target, too.
        alone: whether all functions are in this module, and none ends with a tail call.
        trampolines: what stands for tail calls where the target has none.
        throwing: which functions return exceptions.
        referenced: functions that references may point to.
    """

    def __init__(
        self,
        module: Module,
        layout: AgentLayout,
        abi: Abi,
        emitters: Mapping[Op, Emitter],
        throwing: Throwing,
        trampolines: Trampolines,
        referenced: Set[EntityId],
        split: bool = False,
    ) -> None:
        self.module = module
        self.layout = layout
        self.abi = abi
        self.emitters = emitters
        self.numbers = module.function_numbers()
        self.memories = {slot.id: slot for slot in layout.memories}
        provided = [id_ for id_, host in module.host_functions.items() if not host.missing]
        self.host_numbers = {id_: n for n, id_ in enumerate(provided)}
        self.data_numbers = {id_: n for n, id_ in enumerate(module.data)}
        self.elem_numbers = {id_: n for n, id_ in enumerate(module.elems)}
        self.declarations: set[str] = set()
        self.later: set[str] = set()
        self.metadata: list[str] = []
        self._no_unrolling: str | None = None
        self.linkage = "hidden" if split else "internal"
        self._used: set[EntityId] = set()
        self._defined: set[EntityId] = set()
        self.trampolines = trampolines
        self._tail_calls = abi.tail_calls and has_tail_calls(module)
        self.calling = "tailcc" if self._tail_calls else "fastcc"
        self.alone = not split and not self._tail_calls
        self.throwing = throwing
        self.referenced = referenced
        self._candidates: dict[int, list[EntityId]] = {}
        self._conventions: dict[tuple[FuncType, bool], Convention] = {}

    def convention(self, type_: FuncType, throws: bool) -> Convention:
        """How functions of a type are called and return, with an exception or without."""
        found = self._conventions.get((type_, throws))
        if found is None:
            make = for_tail_calls if self._tail_calls else by_value
            found = self._conventions[type_, throws] = make(type_, throws)
        return found

    def convention_of(self, id_: EntityId) -> Convention:
        """How a function is called and returns."""
        type_ = self.module.types[self.module.sig_of(id_)]
        return self.convention(type_, self.throwing.returns_exception(id_))

    def symbol(self, id_: EntityId) -> str:
        """LLVM name of a function, which is declared at the end if it is not defined here."""
        self._used.add(id_)
        return f"@f{id_.instance}.{id_.index}"

    def define(self, id_: EntityId) -> str:
        """LLVM name of a function that is defined in this module."""
        self._defined.add(id_)
        return self.symbol(id_)

    def loop_note(self) -> str:
        """Metadata of a loop of its own, which says that it is not to be unrolled."""
        if self._no_unrolling is None:
            self._no_unrolling = self.node(NODE)
        return f", !llvm.loop {self.node(f'distinct !{{%, {self._no_unrolling}}}')}"

    def body_of(self, id_: EntityId) -> tuple[str, Convention]:
        """LLVM name of what holds a function's code, and how that is called and returns."""
        convention = self.convention_of(id_)
        if self.trampolines.steps(id_):
            return f"{self.symbol(id_)}.step", replace(convention, steps=True)
        return self.symbol(id_), convention

    def externals(self) -> list[str]:
        """Declarations of the functions that are used here and defined in another module."""
        return [
            f"declare hidden {self.calling} {convention.returned} {self.symbol(id_)}"
            f"({', '.join(['ptr', 'i64', 'i32', *params])})"
            for id_ in sorted(self._used - self._defined)
            for type_ in [self.module.types[self.module.sig_of(id_)]]
            for convention in [self.convention_of(id_)]
            for params in [[LLVM_TYPES[type_.params[n]] for n in convention.params]]
        ]

    def candidates(self, sig: int) -> list[EntityId]:
        """The functions that a reference to a function of a type may point to."""
        found = self._candidates.get(sig)
        if found is None:
            types = self.module.subtypes(sig)
            found = [id_ for id_ in sorted(self.referenced) if self.module.sig_of(id_) in types]
            self._candidates[sig] = found
        return found

    def declare_later(self, name: str) -> str:
        """The name of a function that ``Abi.references`` will define."""
        self.later.add(name)
        return name

    def node(self, text: str) -> str:
        """Name of a new metadata node; ``%`` in its text stands for the name."""
        name = f"!{FIRST_NODE + len(self.metadata)}"
        self.metadata.append(f"{name} = {text.replace('%', name)}")
        return name

    def intrinsic(self, result: str, name: str, params: str) -> str:
        """Name of an intrinsic, which is declared at the end."""
        self.declarations.add(f"declare {result} @{name}({params})")
        return "@" + name
