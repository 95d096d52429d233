"""Objects become one that does what they did together."""

from __future__ import annotations

import ctypes
import random
import re
import struct
from pathlib import Path

import pytest

from swarmc.errors import TargetError
from swarmc.targets.cpu.elf import SECTION, ElfObject
from swarmc.targets.cpu.machine import LoadedCode, compile_text, host_machine
from swarmc.targets.cpu.merge_objects import merge_objects

HEAD = f'target triple = "{host_machine().triple}"\n'

#: A function of its own and a constant of its own, both named as the other object's are, and
#: references both ways.
FIRST = (
    f"{HEAD}"
    """
module asm ".globl fixed"
module asm "fixed = 1234567"
@constant = internal constant [4 x i64] [i64 10, i64 11, i64 12, i64 13]
@table = constant [2 x ptr] [ptr @second, ptr @own]
@shared = common global i64 0, align 8
@fixed = external global i8
declare i64 @second(i64)
define internal i64 @own(i64 %n) noinline {
  %p = getelementptr i64, ptr @constant, i64 %n
  %v = load i64, ptr %p
  ret i64 %v
}
define i64 @first(i64 %n) {
  store i64 77, ptr @shared
  %a = call i64 @own(i64 %n)
  %b = call i64 @second(i64 %n)
  %sum = add i64 %a, %b
  ret i64 %sum
}
define i64 @through(i64 %i, i64 %n) {
  %p = getelementptr ptr, ptr @table, i64 %i
  %f = load ptr, ptr %p
  %v = call i64 %f(i64 %n)
  ret i64 %v
}
define i64 @absolute() {
  %v = ptrtoint ptr @fixed to i64
  ret i64 %v
}
"""
)
SECOND = (
    f"{HEAD}"
    """
@constant = internal constant [4 x i64] [i64 100, i64 200, i64 300, i64 400]
@shared = common global [4 x i64] zeroinitializer, align 32
define internal i64 @own(i64 %n) noinline {
  %p = getelementptr i64, ptr @constant, i64 %n
  %v = load i64, ptr %p
  ret i64 %v
}
define i64 @second(i64 %n) {
  %a = call i64 @own(i64 %n)
  %b = load i64, ptr @shared
  %sum = add i64 %a, %b
  ret i64 %sum
}
define ptr @where() {
  ret ptr @shared
}
declare double @pow(double, double)
define double @power(double %x, double %y) {
  %v = call double @pow(double %x, double %y)
  ret double %v
}
"""
)


def returning(name: str, value: int, kind: str = "") -> bytes:
    return compile_text(f"{HEAD}define {kind} i64 @{name}() {{ ret i64 {value} }}", 0)


def call(code: LoadedCode, name: str, *args: int) -> int:
    kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))
    value: int = kind(code.address(name))(*args)
    return value


@pytest.mark.parametrize("turned", [False, True])
def test_objects_find_each_other_and_keep_what_is_their_own(turned: bool) -> None:
    objects = [compile_text(text, 0) for text in (FIRST, SECOND)]
    code = LoadedCode(tuple(reversed(objects)) if turned else tuple(objects))
    assert call(code, "first", 2) == 12 + 300 + 77
    assert call(code, "through", 0, 1) == 200 + 77
    assert call(code, "through", 1, 1) == 11
    assert call(code, "where") % 32 == 0
    assert call(code, "absolute") == 1234567
    power = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)
    assert power(code.address("power"))(2.0, 10.0) == 1024.0


def test_a_merged_object_may_be_merged() -> None:
    objects = [compile_text(text, 0) for text in (FIRST, SECOND)]
    code = LoadedCode((merge_objects([merge_objects(objects)]), returning("third", 3)))
    assert call(code, "first", 3) == 13 + 400 + 77
    assert call(code, "third") == 3


def test_what_is_defined_twice_is_refused() -> None:
    with pytest.raises(TargetError, match="defines number twice"):
        merge_objects([returning("number", 1), returning("number", 2)])


def test_weak_definitions_give_way() -> None:
    weak = [returning("number", value, "weak") for value in (1, 2)]
    assert call(LoadedCode(tuple(weak)), "number") == 1
    assert call(LoadedCode((*weak, returning("number", 3))), "number") == 3
    assert call(LoadedCode((returning("number", 4), *weak)), "number") == 4


def test_of_a_group_that_several_have_one_counts() -> None:
    text = "$number = comdat any\ndefine linkonce_odr i64 @number() comdat { ret i64 5 }\n"
    use = "define i64 @use_NAME() { %v = call i64 @number() ret i64 %v }"
    objects = [compile_text(HEAD + text + use.replace("NAME", name), 0) for name in "ab"]
    code = LoadedCode(tuple(objects))
    assert call(code, "use_a") == call(code, "use_b") == 5


def test_only_what_is_loaded_is_kept() -> None:
    merged = ElfObject(merge_objects([compile_text(FIRST, 0)]), 0)
    names = {merged.section_name(section) for section in merged.sections}
    assert {b".text", b".rela.text", b".symtab", b".strtab"} <= names
    assert b".note.GNU-stack" not in names


@pytest.mark.parametrize("count", [1, 7, 500])
def test_calls_of_functions_outside_find_room(count: int) -> None:
    """LLVM stops the process if nobody else saw to it that there is room for their addresses."""
    text = HEAD + "declare ptr @memset(ptr, i32, i64)\n"
    for number in range(count):
        text += f'define i64 @f{number}(ptr %p) section ".text.f{number}" {{\n'
        text += f"call ptr @memset(ptr %p, i32 {number}, i64 1)\n ret i64 {number} }}\n"
    code = LoadedCode((compile_text(text, 0),))
    byte = ctypes.c_ubyte()
    for number in (0, count - 1):
        assert call(code, f"f{number}", ctypes.addressof(byte)) == number
        assert byte.value == number % 256


def test_objects_for_different_machines_are_refused() -> None:
    ours = bytearray(returning("number", 1))
    struct.pack_into("<H", ours, 18, 243)
    with pytest.raises(TargetError, match="different machines"):
        merge_objects([bytes(ours), returning("other", 2)])


def test_no_objects_are_refused() -> None:
    with pytest.raises(TargetError):
        merge_objects([])


def test_damaged_objects_are_refused_or_merged() -> None:
    good = compile_text(FIRST, 0)
    chance = random.Random(1)
    refused = 0
    for _ in range(400):
        data = bytearray(good[: chance.randrange(len(good))] if chance.random() < 0.2 else good)
        for _ in range(chance.randrange(1, 4) if data else 0):
            headers = max(len(data) - 20 * SECTION.itemsize, 0)
            first = chance.choice([0, headers])
            data[chance.randrange(first, len(data))] = chance.randrange(256)
        try:
            merge_objects([bytes(data), returning("number", 1)])
        except TargetError:
            refused += 1
    assert 80 < refused < 400


def resident() -> int:
    """Bytes of this process that are in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


def test_memory_is_given_back() -> None:
    text = HEAD + "@data = global [4000000 x i8] zeroinitializer\n"
    fill = "define i64 @f() { call ptr @memset(ptr @data, i32 1, i64 4000000) ret i64 1 }"
    data = compile_text(text + "declare ptr @memset(ptr, i32, i64)\n" + fill, 0)
    for _ in range(5):
        assert call(LoadedCode((data, returning("g", 2))), "f") == 1
    before = resident()
    for _ in range(200):
        assert call(LoadedCode((data, returning("g", 2))), "f") == 1
    assert resident() - before < 100 << 20  # all together touch 800 MB
