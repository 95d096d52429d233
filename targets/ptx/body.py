"""Writing one PTX function: operands, parameters, addresses, on top of :mod:`.writer`."""

from __future__ import annotations

from dataclasses import dataclass, field

from .module import (
    WIDTHS,
    Address,
    BranchTargets,
    Function,
    Immediate,
    Negated,
    Operand,
    Prototype,
    PtxModule,
    Register,
    Signature,
    Space,
    Storage,
    Symbol,
)
from .records import CODE_BASE, CODE_STEP, LOCAL_ALIGN, Launch, Thread
from .writer import GARBAGE, Writer

#: Special registers (PTX ISA 10) of a launch with one dimension, by the field that holds them.
_SPECIAL: dict[str, Thread | Launch | int] = {
    "%tid.x": Thread.TID, "%ntid.x": Launch.BLOCK,
    "%ctaid.x": Thread.BLOCK_INDEX, "%nctaid.x": Launch.GRID,
    **{f"%{name}.{axis}": 0 for name in ("tid", "ctaid") for axis in "yz"},
    **{f"%{name}.{axis}": 1 for name in ("ntid", "nctaid") for axis in "yz"},
}  # fmt: skip


@dataclass(slots=True)
class Program:
    """What the functions of a module share while they are written.

    Attributes:
        codes: place of each function in the table of code. signatures: numbers of signatures.
        variables: place of each variable in the table of addresses.
    """

    module: PtxModule
    codes: dict[str, int]
    variables: dict[str, int]
    signatures: dict[Signature, int] = field(default_factory=dict)
    declarations: set[str] = field(default_factory=set)

    @staticmethod
    def of(module: PtxModule) -> Program:
        """Number everything that has an address."""
        functions = [name for name, function in module.functions.items() if not function.kernel]
        return Program(
            module,
            {name: n for n, name in enumerate(functions)},
            {name: n for n, name in enumerate(module.variables)},
        )

    def signature_number(self, signature: Signature) -> int:
        return self.signatures.setdefault(signature, len(self.signatures))

    def code_address(self, name: str) -> int:
        """What PTX sees as the address of a function."""
        return CODE_BASE + CODE_STEP * self.codes[name]


def memory_type(storage: Storage) -> str:
    """LLVM type that a parameter is passed as: an integer, or several for an array."""
    return _memory_type(storage.size)


def _memory_type(size: int) -> str:
    if size in (1, 2, 4, 8):
        return f"i{8 * size}"
    parts = ["i64"] * (size // 8) + [f"i{8 * n}" for n in (4, 2, 1) if size % 8 & n]
    return "{ " + ", ".join(parts) + " }"


def garbage(size: int) -> str:
    """A constant of that type, for memory that nobody wrote."""
    t = _memory_type(size)
    if not t.startswith("{"):
        return str(GARBAGE % (1 << 8 * size))
    parts = t.strip("{ }").split(", ")
    return "{ " + ", ".join(f"{p} {GARBAGE % (1 << int(p[1:]))}" for p in parts) + " }"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in scope: where it lies, and what may be done with it."""

    pointer: str
    storage: Storage
    writable: bool = True


class BodyWriter(Writer):
    """Writes one function.

    Attributes:
        scopes: parameters by name, innermost scope last.
        depots: address in local memory of each array, as an i64 value.
        targets, prototypes: named directives of the body. labels: its labels.
        local: where local memory was used up to when the function began; empty: it uses none.
    """

    def __init__(self, program: Program, function: Function) -> None:
        super().__init__(function.registers, program.declarations)
        self.program = program
        self.function = function
        self.scopes: list[dict[str, Parameter]] = [{}]
        self.depots: dict[str, str] = {}
        body = function.body or ()
        self.targets = {s.name: s for s in body if isinstance(s, BranchTargets)}
        self.prototypes = {s.name: s for s in body if isinstance(s, Prototype)}
        self.labels: set[str] = set()
        self.local = ""

    # Operands.

    def source(self, operand: Operand, type_: str, *, wider: bool = False) -> str:
        """Value of a source operand, as an integer of the type's width."""
        width = WIDTHS[type_]
        match operand:
            case Register(name):
                if "." in name:
                    return self.resize(self.special(name), 64, width)
                has = self.width_of(operand)
                if has < width or (has > width and not wider):
                    raise self.error(f"{name} has {has} bits, .{type_} needs {width}")
                return self.resize(self.read(operand), has, width)
            case Immediate():
                return self.constant(operand, type_)
            case Negated(register) if type_ == "pred":
                return self.assign(f"xor i1 {self.source(register, type_)}, true")
            case Symbol(name) if width == 64:
                return self.symbol(name)
            case _:
                raise self.error(f"an operand of this kind cannot be .{type_}")

    def set(self, operand: Operand, value: str, type_: str, *, wider: bool = False) -> None:
        """Write a destination; a wider register gets it extended as the type says."""
        width = WIDTHS[type_]
        if not isinstance(operand, Register) or "." in operand.name:
            raise self.error("the destination must be a register")
        has = self.width_of(operand)
        if wider and has > width:
            value = self.resize(value, width, has, signed=type_.startswith("s"))
            width = has
        self.write(operand, value, width)

    def special(self, name: str) -> str:
        """A special register, as i64."""
        where = _SPECIAL.get(name)
        match where:
            case None:
                raise self.error("unknown special register", name)
            case Thread():
                return self.thread_field(where)
            case Launch():
                return self.launch_field(where)
            case _:
                return str(where)

    def symbol(self, name: str) -> str:
        """Address of a function, variable (generic) or array (local), as i64."""
        if name in self.depots:
            return self.depots[name]
        if name in self.program.codes:
            return str(self.program.code_address(name))
        number = self.program.variables.get(name)
        if number is None:
            raise self.error("nothing has this name", name)
        pointer = f"getelementptr (i64, ptr @ptx_variables, i64 {number})"
        return self.assign(f"load i64, ptr {pointer}, !invariant.load !0")

    def guard(self, guard: Register | Negated) -> str:
        return self.source(guard, "pred")

    # Records.

    def thread_field(self, where: Thread) -> str:
        pointer = self.assign(f"getelementptr i8, ptr %thread, i64 {int(where)}")
        return self.assign(f"load i64, ptr {pointer}")

    def set_thread_field(self, where: Thread, value: str) -> None:
        pointer = self.assign(f"getelementptr i8, ptr %thread, i64 {int(where)}")
        self.line(f"store i64 {value}, ptr {pointer}")

    def launch_field(self, where: Launch) -> str:
        launch = self.assign(f"inttoptr i64 {self.thread_field(Thread.LAUNCH)} to ptr")
        pointer = self.assign(f"getelementptr i8, ptr {launch}, i64 {int(where)}")
        return self.assign(f"load i64, ptr {pointer}")

    # Parameters.

    def reserve(self, storage: Storage) -> str:
        """Make room for an array in local memory; its address there."""
        if storage.align > LOCAL_ALIGN:
            raise self.error(f"aligned to more than {LOCAL_ALIGN}", storage.name)
        if not self.local:
            self.local = self.thread_field(Thread.LOCAL_SP)
        address = self.assign(
            f"call i64 @ptx_reserve(ptr %thread, i64 {storage.size}, i64 {self.line_number})"
        )
        self.depots[storage.name] = address
        return address

    def reserve_parameter(self, storage: Storage) -> Parameter:
        """Make room in local memory for a parameter whose address the function takes.

        PTX ISA 5.1.6.2: it is copied to the stack, and its address is a local one.
        """
        base = self.launch_field(Launch.LOCAL)
        where = self.assign(f"add i64 {base}, {self.reserve(storage)}")
        pointer = self.assign(f"inttoptr i64 {where} to ptr")
        parameter = Parameter(pointer, storage, writable=False)
        self.scopes[0][storage.name] = parameter
        return parameter

    def declare(self, storage: Storage, *, writable: bool = True) -> Parameter:
        """Make room for a parameter, in the innermost scope."""
        room = -(-storage.size // 8) * 8
        pointer = self.at_entry(f"alloca [{room} x i8], align {max(storage.align, 8)}")
        t = memory_type(storage)
        self.entry.append(f"store {t} {garbage(storage.size)}, ptr {pointer}")
        parameter = Parameter(pointer, storage, writable)
        self.scopes[-1][storage.name] = parameter
        return parameter

    def parameter(self, name: str) -> Parameter:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        raise self.error("no parameter has this name", name)

    def parameter_at(self, address: Address, size: int) -> tuple[Parameter, str]:
        """A parameter that an access of ``size`` bytes touches, and the pointer to it."""
        if not isinstance(address.base, Symbol):
            raise self.error("parameters are only known by their names")
        parameter = self.parameter(address.base.name)
        storage = parameter.storage
        if not 0 <= address.offset <= storage.size - size:
            raise self.error(f"outside the parameter, which has {storage.size} bytes")
        if address.offset % size or storage.align % size:
            raise self.error(f"not aligned in a parameter aligned to {storage.align}")
        return parameter, self.assign(
            f"getelementptr i8, ptr {parameter.pointer}, i64 {address.offset}"
        )

    # Addresses.

    def address(self, address: Address, space: Space | None) -> str:
        """An address in a space, or a generic one, as i64."""
        base = address.base
        if isinstance(base, Symbol):
            if (base.name in self.depots) != (space is Space.LOCAL):
                raise self.error("this name is in another space", base.name)
            start = self.symbol(base.name)
        else:
            start = self.source(base, "b64")
        if not address.offset:
            return start
        return self.assign(f"add i64 {start}, {address.offset % (1 << 64)}")

    def fail(self, violation: int, address: str = "0") -> None:
        """End the launch."""
        self.line(
            f"call void @ptx_fail(ptr %thread, i64 {violation}, i64 {self.line_number}, "
            f"i64 {address}, i64 0, i64 -1)"
        )
        self.end("unreachable")
