"""Writing the LLVM IR of one PTX function: names, labels, registers."""

from __future__ import annotations

from collections.abc import Mapping

from .module import WIDTHS, Immediate, PtxError, Register

#: Fields of a matched opcode: modifiers and types by the names of their places.
Fields = Mapping[str, str]

#: What a register holds that was never written. It is nobody's canonical anything.
GARBAGE = 0xCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCD


class Writer:
    """Text of one function while it is written.

    Registers are ``alloca`` slots, which LLVM turns into values; all are integers.

    Attributes:
        lines: instructions so far. entry: those of the entry block, where slots are made.
        declarations: intrinsics used, as declarations.
        line_number: PTX line of the current instruction. text: the instruction.
    """

    def __init__(
        self, registers: Mapping[str, tuple[str, int | None]], declarations: set[str]
    ) -> None:
        self.lines: list[str] = []
        self.entry: list[str] = []
        self.declarations = declarations
        self.line_number = 0
        self.text = ""
        self.open = True  # whether the current block still lacks a terminator
        self._declared = registers
        self._widths: dict[str, int] = {}
        self._counter = 0
        self._carry = ""

    def error(self, message: str, name: str = "") -> PtxError:
        """An error at the current instruction, about something of that name."""
        message = f"{message}, {name}" if name else message
        return PtxError(message, line=self.line_number, text=self.text)

    def line(self, text: str) -> None:
        if not self.open:  # nothing branches here, but LLVM wants a block
            self.start(self.label())
        self.lines.append(text)

    def assign(self, expression: str) -> str:
        """Write ``name = expression`` and return the name."""
        self._counter += 1
        name = f"%v{self._counter}"
        self.line(f"{name} = {expression}")
        return name

    def at_entry(self, expression: str) -> str:
        """The same in the entry block."""
        self._counter += 1
        name = f"%v{self._counter}"
        self.entry.append(f"{name} = {expression}")
        return name

    def label(self) -> str:
        """Name of a new block."""
        self._counter += 1
        return f"b{self._counter}"

    def start(self, label: str) -> None:
        """Begin a block; the one before runs into it if it has no end."""
        if self.open:
            self.lines.append(f"br label %{label}")
        self.lines.append(f"{label}:")
        self.open = True

    def end(self, terminator: str) -> None:
        """Write a terminator."""
        self.line(terminator)
        self.open = False

    def intrinsic(self, result: str, name: str, params: str) -> str:
        """Name of an intrinsic, which is declared at the end."""
        self.declarations.add(f"declare {result} @{name}({params})")
        return "@" + name

    def call(self, name: str, width: int, *operands: str) -> str:
        """Call an intrinsic whose result and operands are integers of one width."""
        t = f"i{width}"
        callee = self.intrinsic(t, f"{name}.{t}", ", ".join([t] * len(operands)))
        return self.assign(f"call {t} {callee}({', '.join([f'{t} {x}' for x in operands])})")

    # Widths.

    def resize(self, value: str, width: int, to: int, *, signed: bool = False) -> str:
        """An integer value in another width."""
        if width == to:
            return value
        op = "trunc" if to < width else "sext" if signed else "zext"
        return self.assign(f"{op} i{width} {value} to i{to}")

    # Registers.

    def width_of(self, register: Register) -> int:
        """Width of a declared register; its slot is made when it is first met."""
        name = register.name
        width = self._widths.get(name)
        if width is None:
            width = WIDTHS[self._type_of(name)]
            self._widths[name] = width
            self.entry.append(f"{name}.r = alloca i{width}")
            self.entry.append(f"store i{width} {GARBAGE % (1 << width)}, ptr {name}.r")
        return width

    def _type_of(self, name: str) -> str:
        single = self._declared.get(name)
        if single is not None and single[1] is None:
            return single[0]
        row = name.rstrip("0123456789")
        type_, count = self._declared.get(row, ("", None))
        if count is None or int(name[len(row) :] or count) >= count:
            raise self.error("this register is not declared", name)
        return type_

    def read(self, register: Register) -> str:
        return self.assign(f"load i{self.width_of(register)}, ptr {register.name}.r")

    def write(self, register: Register, value: str, width: int) -> None:
        """Write a register of that width."""
        if self.width_of(register) != width:
            raise self.error(f"{register.name} has {self.width_of(register)} bits, not {width}")
        self.line(f"store i{width} {value}, ptr {register.name}.r")

    def carry(self) -> str:
        """The slot of the carry flag, CC.CF (PTX ISA 9.7.2)."""
        if not self._carry:
            self._carry = self.at_entry("alloca i1")
            self.entry.append(f"store i1 true, ptr {self._carry}")
        return self._carry

    def constant(self, immediate: Immediate, type_: str) -> str:
        """A constant as an operand of an instruction of that type."""
        width = WIDTHS[type_]
        if immediate.bits is not None and immediate.bits != width:
            raise self.error(f"a constant of {immediate.bits} bits as .{type_}")
        if type_.startswith("f") and immediate.bits is None:
            raise self.error(f"an integer as .{type_}")
        value = immediate.value
        if type_ == "pred":
            return "true" if value else "false"
        if not -(1 << (width - 1)) <= value < 1 << width:
            raise self.error(f"{value} does not fit .{type_}")
        return str(value % (1 << width))
