"""A PTX module as records: what the parser makes and the translator reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ...errors import TargetError


class PtxError(TargetError):
    """PTX that the stand-in does not know, or that breaks a rule of the PTX ISA.

    Args:
        line: 1-based line of the PTX text.
        text: what stands there.
    """

    def __init__(self, message: str, *, line: int, text: str = "") -> None:
        place = f"PTX line {line}: {message}"
        super().__init__(f"{place}: {text}" if text else place)
        self.line = line
        self.text = text


class Space(enum.Enum):
    """State spaces (PTX ISA 5.1) that our code uses."""

    GLOBAL = "global"
    CONST = "const"
    LOCAL = "local"
    PARAM = "param"


#: Width in bits of every type (PTX ISA 5.2); predicates have one bit.
WIDTHS = {
    **{f"{kind}{width}": width for kind in "bus" for width in (8, 16, 32, 64)},
    "b128": 128, "f32": 32, "f64": 64, "pred": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Register:
    """``%r1``; also special registers such as ``%tid.x``."""

    name: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant, as the integer of its bits; ``bits`` is its width if it is a float."""

    value: int
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Symbol:
    """A label, a function or a variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Address:
    """``[base+offset]``."""

    base: Register | Symbol
    offset: int


@dataclass(frozen=True, slots=True)
class Vector:
    """``{a, b}``; None stands for ``_``."""

    items: tuple[Register | Immediate | None, ...]


@dataclass(frozen=True, slots=True)
class Negated:
    """``!p`` as a source operand."""

    register: Register


@dataclass(frozen=True, slots=True)
class PredicatePair:
    """``p|q``: two destinations, of which the second gets the complement."""

    first: Register
    second: Register


Operand = Register | Immediate | Symbol | Address | Vector | Negated | PredicatePair


@dataclass(frozen=True, slots=True)
class Storage:
    """A parameter or a local array: ``count`` elements of ``type``, or one that is no array."""

    name: str
    type: str
    count: int | None
    align: int

    @property
    def size(self) -> int:
        """Bytes."""
        return WIDTHS[self.type] // 8 * (1 if self.count is None else self.count)


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of a function: parameters and what it returns, without regard to names."""

    returns: tuple[tuple[int, int], ...]  # size and alignment of each
    params: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the module. ``initial`` holds its elements; those that are missing are 0.

    A Symbol among them is the generic address of a function or variable; ``offsets`` are added.
    """

    space: Space
    storage: Storage
    initial: tuple[int | Symbol, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. ``guard`` is the predicate it depends on, if any."""

    line: int
    text: str
    opcode: str
    operands: tuple[Operand, ...]
    guard: Register | Negated | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call; names are those of parameters declared around it."""

    line: int
    text: str
    callee: Symbol | Register
    results: tuple[str, ...]
    args: tuple[str, ...]
    prototype: str | None = None
    guard: Register | Negated | None = None


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    line: int


@dataclass(frozen=True, slots=True)
class BranchTargets:
    """A named list of labels, for ``brx.idx``."""

    name: str
    labels: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Prototype:
    """A named signature, for calls through a register."""

    name: str
    signature: Signature
    line: int


@dataclass(frozen=True, slots=True)
class Declaration:
    """A parameter declared in a body, for calls; it lives until the end of its scope."""

    storage: Storage
    line: int


@dataclass(frozen=True, slots=True)
class Scope:
    """``{`` or ``}``."""

    opens: bool
    line: int


Statement = Instruction | Call | Label | BranchTargets | Prototype | Declaration | Scope


@dataclass(frozen=True, slots=True)
class Function:
    """A function or kernel; ``body`` is None where it is only declared.

    Attributes:
        registers: type of each register, or of a row of them: ``%r`` of ``.reg .b32 %r<5>``
            stands for ``%r0`` to ``%r4``, with its count; a count of None is a single one.
        depots: arrays in local memory.
    """

    name: str
    kernel: bool
    line: int
    returns: tuple[Storage, ...]
    params: tuple[Storage, ...]
    registers: dict[str, tuple[str, int | None]]
    depots: tuple[Storage, ...]
    body: tuple[Statement, ...] | None
    end: int = 0

    @property
    def signature(self) -> Signature:
        return signature(self.returns, self.params)


def signature(returns: tuple[Storage, ...], params: tuple[Storage, ...]) -> Signature:
    """The signature of parameters."""
    return Signature(
        tuple((r.size, r.align) for r in returns), tuple((p.size, p.align) for p in params)
    )


@dataclass(frozen=True, slots=True)
class PtxModule:
    """A whole module. ``functions`` prefers definitions to declarations of one name."""

    version: tuple[int, int]
    target: str
    functions: dict[str, Function]
    variables: dict[str, Variable]
