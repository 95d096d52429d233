"""The packet filter, CHIP-8 and the sudoku search do what their descriptions say."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from .machines import Machine

Make = Callable[[str], Machine]

# Packet filter: opcodes in the encoding of the paper.
LD_W, LD_H, LD_B, LD_IND_H, LDX_MSH = 0x20, 0x28, 0x30, 0x48, 0xB1
LD_IMM, LDX_IMM, LD_LEN, LDX_LEN, ST, LD_MEM, STX, LDX_MEM = 0, 1, 0x80, 0x81, 2, 0x60, 3, 0x61
ADD, SUB_X, MUL, DIV, DIV_X, OR, AND, LSH, RSH, NEG = (
    0x04, 0x1C, 0x24, 0x34, 0x3C, 0x44, 0x54, 0x64, 0x74, 0x84)  # fmt: skip
JA, JEQ, JGT, JGE_X, JSET = 0x05, 0x15, 0x25, 0x3D, 0x45
TAX, TXA, RET, RET_A = 0x07, 0x87, 0x06, 0x16

PACKET = bytes(range(0x10, 0x10 + 64))

FILTERS: dict[str, tuple[list[tuple[int, ...]], int]] = {
    "word": ([(LD_W, 4), (RET_A,)], 0x14151617),
    "half": ([(LD_H, 62), (RET_A,)], 0x4E4F),
    "byte": ([(LD_B, 63), (RET_A,)], 0x4F),
    "outside": ([(LD_H, 63), (RET, 9)], 0),
    "far outside": ([(LD_W, 0xFFFFFFFF), (RET, 9)], 0),
    "index": ([(LDX_IMM, 8), (LD_IND_H, 2), (RET_A,)], 0x1A1B),
    "index wraps": ([(LDX_IMM, 8), (LD_IND_H, 0xFFFFFFFC), (RET, 9)], 0),
    "header length": ([(LDX_MSH, 7), (TXA,), (RET_A,)], 0x17 % 16 * 4),
    "length": ([(LD_LEN,), (LDX_LEN,), (SUB_X,), (RET_A,)], 0),
    "scratch": ([(LD_IMM, 5), (ST, 3), (LDX_IMM, 6), (STX, 15), (LD_MEM, 3), (LDX_MEM, 15),
                 (SUB_X,), (RET_A,)], 0xFFFFFFFF),
    "arithmetic": ([(LD_IMM, 7), (ADD, 5), (MUL, 9), (DIV, 5), (LSH, 4), (OR, 3), (AND, 0x152),
                    (RSH, 1), (NEG,), (RET_A,)], -((((7 + 5) * 9 // 5 << 4 | 3) & 0x152) >> 1)),
    "shift by 32": ([(LD_IMM, 7), (LSH, 32), (RET_A,)], 0),
    "divide by 0": ([(LD_IMM, 7), (DIV_X,), (RET, 9)], 0),
    "ja": ([(JA, 1), (RET, 1), (RET, 2)], 2),
    "jeq": ([(LD_IMM, 7), (JEQ, 7, 1, 0), (RET, 1), (RET, 2)], 2),
    "jgt": ([(LD_IMM, 7), (JGT, 7, 1, 0), (RET, 1), (RET, 2)], 1),
    "jge": ([(LD_IMM, 7), (TAX,), (JGE_X, 0, 1, 0), (RET, 1), (RET, 2)], 2),
    "jset": ([(LD_IMM, 6), (JSET, 9, 1, 0), (RET, 1), (RET, 2)], 1),
    "unknown": ([(0x99,), (RET, 9)], 0),
}


def load(guest: Machine, program: Sequence[tuple[int, ...]]) -> None:
    code = b""
    for opcode, *rest in program:
        k, jt, jf = (*rest, 0, 0, 0)[:3]
        code += struct.pack("<HBBI", opcode, jt, jf, k)
    guest.write(guest.call("code"), code)


@pytest.mark.parametrize("name", FILTERS)
def test_filter(machine: Make, name: str) -> None:
    program, expected = FILTERS[name]
    guest = machine("filter")
    load(guest, program)
    guest.write(guest.call("buffer"), PACKET)
    assert guest.call("filter", len(PACKET)) == expected & 0xFFFF_FFFF


def test_filter_of_the_benchmark(machine: Make) -> None:
    guest = machine("filter")
    guest.call("load_example")

    def decide(*, ether: int = 0x800, protocol: int = 6, source: int = 10, fragment: int = 0,
               ports: tuple[int, int] = (1234, 80)) -> int:
        packet = bytearray(96)
        packet[12:14] = ether.to_bytes(2, "big")
        packet[14], packet[15], packet[16] = 0x45, 7, 3
        packet[20:22] = fragment.to_bytes(2, "big")
        packet[23], packet[26] = protocol, source
        packet[34:38] = struct.pack(">HH", *ports)
        guest.write(guest.call("buffer"), bytes(packet))
        return int(guest.call("filter", 90))

    others = (0x45 * 8 + 7) * 3 & 0xFF
    assert decide() == decide(protocol=17) == decide(source=192) == decide(ports=(1, 443)) == 90
    assert decide(ports=(80, 1)) == decide(ports=(60000, 1)) == decide(fragment=0x4000) == 90
    assert decide(ports=(59999, 1)) == 64
    assert decide(source=127) == 0
    assert decide(ether=0x806) == decide(protocol=1) == decide(fragment=1) == others != 0


class Chip8:
    """Runs instructions that are put at 0x200."""

    def __init__(self, guest: Machine) -> None:
        self.guest = guest

    def run(self, *code: int, steps: int | None = None, keys: int = 0) -> Chip8:
        self.guest.call("restart", 1)
        data = b"".join(word.to_bytes(2, "big") for word in code)
        self.guest.write(self.guest.call("buffer") + 0x200, data)
        self.guest.call("execute", len(code) if steps is None else steps, keys)
        return self

    def v(self, number: int) -> int:
        return int(self.guest.call("get", number))

    def row(self, number: int) -> int:
        data = self.guest.read(self.guest.call("display") + 8 * number, 8)
        return int.from_bytes(data, "little")


@pytest.mark.parametrize(
    ("code", "value", "flag"),
    [
        (0x8120, 200, 9), (0x8121, 100 | 200, 9), (0x8122, 100 & 200, 9), (0x8123, 100 ^ 200, 9),
        (0x8124, 300 - 256, 1), (0x8125, 100 - 200 + 256, 0), (0x8126, 100, 0), (0x8127, 100, 1),
        (0x812E, 400 - 256, 1), (0x7190, 100 + 0x90, 9), (0x71FF, 99, 9),
    ],
)  # fmt: skip
def test_chip8_arithmetic(machine: Make, code: int, value: int, flag: int) -> None:
    chip = Chip8(machine("chip8")).run(0x6164, 0x62C8, 0x6F09, code)
    assert (chip.v(1), chip.v(2), chip.v(15), chip.v(17)) == (value, 200, flag, 0x208)


def test_chip8_flag_of_its_own_register(machine: Make) -> None:
    assert Chip8(machine("chip8")).run(0x6FFF, 0x6101, 0x8F14).v(15) == 1


@pytest.mark.parametrize(
    ("code", "keys", "pc"),
    [
        (0x1300, 0, 0x300), (0x2300, 0, 0x300), (0x3107, 0, 0x208), (0x3108, 0, 0x206),
        (0x4107, 0, 0x206), (0x4108, 0, 0x208), (0x5120, 0, 0x206), (0x9120, 0, 0x208),
        (0xB300, 0, 0x300), (0xE19E, 1 << 7, 0x208), (0xE19E, 1 << 6, 0x206),
        (0xE1A1, 1 << 7, 0x206), (0xE1A1, 0, 0x208), (0xF30A, 0, 0x204), (0xF30A, 2, 0x206),
    ],
)  # fmt: skip
def test_chip8_jumps(machine: Make, code: int, keys: int, pc: int) -> None:
    chip = Chip8(machine("chip8")).run(0x6107, 0x6208, code, keys=keys)
    assert chip.v(17) == pc


def test_chip8_call_and_return(machine: Make) -> None:
    chip = Chip8(machine("chip8")).run(0x2204, 0x1200, 0x00EE, steps=2)
    assert chip.v(17) == 0x202


def test_chip8_memory(machine: Make) -> None:
    chip = Chip8(machine("chip8"))
    chip.run(0x60FE, 0xA300, 0xF033, 0xF265, 0x63AA, 0xF355, 0xF21E)
    assert [chip.v(n) for n in range(4)] == [2, 5, 4, 0xAA]
    assert chip.v(16) == 0x300 + 3 + 4 + 4
    data = chip.guest.read(chip.guest.call("buffer") + 0x300, 7)
    assert data == bytes([2, 5, 4, 2, 5, 4, 0xAA])


def test_chip8_draws(machine: Make) -> None:
    chip = Chip8(machine("chip8"))
    chip.run(0x6107, 0xF129, 0x623C, 0x631E, 0xD235)  # a seven in the lower right corner
    assert [chip.row(n) for n in (29, 30, 31, 0)] == [0, 0xF, 0x1, 0]
    assert chip.v(15) == 0
    chip.run(0x6107, 0xF129, 0x623C, 0x631E, 0xD235, 0xD235)
    assert [chip.row(n) for n in (29, 30, 31, 0)] == [0, 0, 0, 0]
    assert chip.v(15) == 1
    chip.run(0x6107, 0xF129, 0xD235, 0x00E0)
    assert chip.row(0) == 0


def test_chip8_timer(machine: Make) -> None:
    chip = Chip8(machine("chip8")).run(0x6103, 0xF115, 0xF207, 0x1204, steps=7)
    assert chip.v(2) == 3
    assert chip.run(0x6103, 0xF115, 0xF207, 0x1204, steps=11).v(2) == 2


SUDOKU = ("53..7...." "6..195..." ".98....6." "8...6...3" "4..8.3..1" "7...2...6" ".6....28."
          "...419..5" "....8..79").replace(".", "0")  # fmt: skip
SOLVED = ("534678912" "672195348" "198342567" "859761423" "426853791" "713924856" "961537284"
          "287419635" "345286179")  # fmt: skip


def solve(guest: Machine, board: str, limit: int) -> tuple[int, str]:
    guest.write(guest.call("buffer"), bytes(map(int, board)))
    found = guest.call("solve", limit)
    return found, "".join(map(str, guest.read(guest.call("solved"), 81)))


def test_sudoku(machine: Make) -> None:
    guest = machine("sudoku")
    assert solve(guest, SUDOKU, 2) == (1, SOLVED)
    assert solve(guest, "55" + SUDOKU[2:], 2)[0] == 0
    assert solve(guest, SOLVED, 2) == (1, SOLVED)
    open_ = SUDOKU.replace("9", "0")
    count, solution = solve(guest, open_, 5)
    assert count == 5
    assert all(given in ("0", digit) for given, digit in zip(open_, solution, strict=True))
    lines = [solution[n * 9 : n * 9 + 9] for n in range(9)] + [solution[n::9] for n in range(9)]
    assert all(sorted(line) == list("123456789") for line in lines)
