"""The suite's runner: it fails what it should, links modules, and keeps the state of instances."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmc.errors import ArgumentError
from swarmc.runtime.choosing import target_named
from swarmc.runtime.tools.spec import find_scripts, run_suite, to_markdown
from swarmc.runtime.tools.spec_script import State, run_script
from swarmc.runtime.tools.wast import Kind, ScriptError, read_script

ADD = '(module $m (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) ' \
    '(local.get 1))) (func (export "div") (param i32 i32) (result i32) (i32.div_u (local.get 0) ' \
    '(local.get 1))) (func (export "nan") (result f32) (f32.const nan:0x200000)) ' \
    '(global (export "g") i64 (i64.const 7)))\n'


def outcomes(text: str) -> list[tuple[int, State, str]]:
    """Line, state and reason of every command of a script."""
    verdicts = run_script(read_script(text.encode()), target_named("cpu"))
    return [(v.command.line, v.state, v.reason) for v in verdicts]


def failures(text: str) -> list[str]:
    """Reasons of all commands that did not pass."""
    return [reason for _, state, reason in outcomes(text) if state is not State.PASSED]


@pytest.mark.parametrize(("command", "reason"), [
    ('(assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i32.const 4))',
     "(i32 0x3) instead of (i32 0x4)"),
    ('(assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i64.const 3))',
     "(i32 0x3) instead of (i64 0x3)"),
    ('(assert_return (invoke "add" (i32.const 1) (i32.const 2)))', "(i32 0x3) instead of ()"),
    ('(assert_return (invoke "nan") (f32.const nan:canonical))',
     "(f32 0x7fa00000) instead of (f32 0x7fc00000 under 0x7fffffff)"),
    ('(assert_return (invoke "nan") (f32.const nan:arithmetic))',
     "(f32 0x7fa00000) instead of (f32 0x7fc00000 under 0x7fc00000)"),
    ('(assert_return (get $m "g") (i64.const 8))', "(i64 0x7) instead of (i64 0x8)"),
    ('(assert_return (get "add") (i64.const 7))', "no global 'add' is exported"),
    ('(assert_return (invoke $n "add") (i64.const 7))', "no module $n"),
    ('(invoke "add" (i32.const 1))', "'add' is of type (i32, i32) -> (i32)"),
    ('(invoke "div" (i32.const 1) (i32.const 0))', "trap: integer divide by zero"),
    ('(assert_trap (invoke "div" (i32.const 1) (i32.const 0)) "integer overflow")',
     "'integer divide by zero' instead of 'integer overflow'"),
    ('(assert_trap (invoke "add" (i32.const 1) (i32.const 0)) "integer overflow")',
     "no trap, but (i32 0x1)"),
    ('(assert_exhaustion (invoke "add" (i32.const 1) (i32.const 0)) "call stack exhausted")',
     "no trap, but (i32 0x1)"),
    ('(assert_trap (module (func $f) (start $f)) "unreachable")', "no trap, but ()"),
    ('(module (func $f unreachable) (start $f))', "trap: unreachable"),
    ('(assert_invalid (module (func)) "type mismatch")', "it is accepted"),
    ('(assert_invalid (module (func (result i32))) "unknown type")',
     "'type mismatch: expected i32, found an empty"),
    ('(assert_malformed (module binary "\\00asm\\01\\00\\00\\00") "x")', "it is accepted"),
    ('(assert_malformed (module binary "\\00asn\\01\\00\\00\\00") "x")', "'magic header not"),
    ('(assert_malformed (module quote "(func)") "x")', "it is accepted"),
    ('(assert_unlinkable (module (import "spectest" "print" (func))) "unknown import")',
     "it is linked"),
    ('(assert_unlinkable (module (import "spectest" "none" (func))) "incompatible import type")',
     "'unknown import: spectest.none"),
    ('(module (import "spectest" "print" (func (param i32))))',
     "incompatible import type"),
])
def test_fails_what_is_wrong(command: str, reason: str) -> None:
    (found,) = failures(ADD + command)
    assert found.startswith(reason)


def test_passes_what_is_right() -> None:
    text = ADD + """(register "m" $m)
        (assert_return (invoke "add" (i32.const -1) (i32.const 0xffff_ffff)) (i32.const -2))
        (assert_return (invoke $m "nan") (f32.const nan:0x200000))
        (assert_trap (invoke "div" (i32.const 1) (i32.const 0)) "integer divide by zero")
        (assert_exhaustion (invoke "f") "call stack exhausted")
        (assert_malformed (module quote "(func") "unexpected token")
        (assert_unlinkable (module (import "m" "nothing" (func))) "unknown import")
        (module (func $f (export "f") (call $f)))
        (assert_exhaustion (invoke "f") "call stack exhausted")"""
    assert failures(text) == ["no func 'f' is exported"]


def test_what_needs_a_missing_feature_is_skipped() -> None:
    text = """(module $m (memory 1)
            (func (export "f") (result i32) (i32.atomic.load (i32.const 0))))
        (assert_return (invoke "f") (i32.const 0)) (register "m" $m)
        (module (import "m" "f" (func)))
        (assert_unlinkable (module (import "m" "g" (func))) "unknown import")"""
    assert [(state, reason) for _, state, reason in outcomes(text)] == [
        (State.SKIPPED, "no threads"),
        *[(State.SKIPPED, "module of line 1: no threads")] * 4]


def test_vectors() -> None:
    assert failures("""
        (module (global (export "g") v128 (v128.const i32x4 1 2 3 4))
            (func (export "f") (param v128 i32) (result i32 v128) (local.get 1)
            (f32x4.sqrt (local.get 0))))
        (assert_return (get "g") (v128.const i64x2 0x200000001 0x400000003))
        (assert_return (invoke "f" (v128.const f32x4 4 -0 -1 nan) (i32.const 5)) (i32.const 5)
            (v128.const f32x4 2 -0 nan:canonical nan:arithmetic))
        (assert_return (get "g") (v128.const i32x4 1 2 3 5))""") == [
        f"(v128 {0x4_00000003_00000002_00000001:#x}) instead of "
        f"(v128 {0x5_00000003_00000002_00000001:#x})"]


def test_instances_share_what_they_import() -> None:
    assert failures("""
        (module $a (memory (export "mem") 1 3) (table (export "tab") 4 funcref)
            (global (export "count") (mut i32) (i32.const 5)) (global (export "base") i32
            (i32.const 2)) (func (export "load") (result i32) (i32.load8_u (i32.const 2)))
            (func (export "call") (param i32) (result i32) (call_indirect (result i32)
            (local.get 0))))
        (register "a")
        (assert_return (invoke "load") (i32.const 0))
        (module $b (import "a" "mem" (memory 1)) (import "a" "tab" (table 4 funcref))
            (import "a" "count" (global $count (mut i32))) (import "a" "base" (global $base i32))
            (import "a" "load" (func $load (result i32))) (data (global.get $base) "*")
            (elem (global.get $base) $load $own) (func $own (result i32) (global.set $count
            (i32.add (global.get $count) (i32.const 1))) (global.get $count))
            (func (export "grow") (result i32) (memory.grow (i32.const 1))))
        (assert_return (invoke $a "load") (i32.const 42))
        (assert_return (invoke $a "call" (i32.const 2)) (i32.const 42))
        (assert_return (invoke $a "call" (i32.const 3)) (i32.const 6))
        (assert_return (get $a "count") (i32.const 6))
        (assert_trap (invoke $a "call" (i32.const 0)) "uninitialized element")
        (assert_unlinkable (module (import "a" "mem" (memory 2))) "incompatible import type")
        (assert_return (invoke $b "grow") (i32.const 1))
        (module (import "a" "mem" (memory 2)))
        (assert_unlinkable (module (import "a" "mem" (memory 2 2))) "incompatible import type")
        """) == []


def test_a_trap_at_instantiation_keeps_what_was_done_before() -> None:
    assert failures("""
        (module $a (memory (export "mem") 1) (table (export "tab") 2 funcref)
            (func (export "load") (result i32) (i32.load8_u (i32.const 0)))
            (func (export "call") (result i32) (call_indirect (result i32) (i32.const 0))))
        (register "a" $a)
        (assert_trap (module (import "a" "mem" (memory 1)) (import "a" "tab" (table 2 funcref))
            (elem (i32.const 0) $f) (func $f (result i32) (i32.const 9)) (data (i32.const 0) "*")
            (data (i32.const 65535) "!!") (data (i32.const 0) "?")) "out of bounds memory access")
        (assert_return (invoke $a "load") (i32.const 42))
        (assert_return (invoke $a "call") (i32.const 9))""") == []


def test_definitions_are_instantiated_when_asked() -> None:
    assert failures("""
        (module definition $d (global $g (mut i32) (i32.const 0)) (func (export "next")
            (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))
        (module instance $a $d) (module instance $b $d)
        (assert_return (invoke $a "next") (i32.const 1))
        (assert_return (invoke $a "next") (i32.const 2))
        (assert_return (invoke "next") (either (i32.const 1) (i32.const 9)))
        (assert_return (invoke "next") (either (i32.const 1) (i32.const 9)))
        (module instance $c $e)""") == [
            "(i32 0x2) instead of (i32 0x1 or i32 0x9)", "no definition $e"]


def test_lines_and_kinds() -> None:
    commands = read_script(b'(; a\n comment ;)\n((@x ;}") (") module) ;; "\n'
                           b'(register "\\u{e9}")\n(invoke "f")')
    assert [(c.line, c.kind) for c in commands] == [
        (3, Kind.MODULE), (4, Kind.REGISTER), (5, Kind.ACTION)]


@pytest.mark.parametrize("text", ["(module", "(; (; ;)", "module", "(assert_peace (module))", ")"])
def test_bad_scripts(text: str) -> None:
    with pytest.raises(ScriptError):
        read_script(b"(module)" + text.encode())


def test_report(tmp_path: Path) -> None:
    (tmp_path / "set" / "part").mkdir(parents=True)
    (tmp_path / "set" / "good.wast").write_text("(module)")
    (tmp_path / "set" / "part" / "bad.wast").write_text(
        '(module quote "(func)")(assert_invalid (module) "x | y")'
        '(module (memory 1 1 shared))')
    report = run_suite(tmp_path / "set", target_named("cpu"))
    assert {name: item.to_json() for name, item in report.groups().items()} == {
        "set": {"passed": 1, "failed": 0, "skipped": 0},
        "set/part": {"passed": 1, "failed": 1, "skipped": 1}}
    assert report.total.percentage == "50.00 %"
    data = json.loads(json.dumps(report.to_json()))
    assert data["totals"] == {"passed": 2, "failed": 1, "skipped": 1}
    assert data["files"]["set/part/bad.wast"]["not_passed"][0] == {
        "line": 1, "command": "assert_invalid", "state": "failed", "reason": "it is accepted"}
    page = to_markdown(report)
    assert "- set/part/bad.wast:1 assert_invalid: it is accepted" in page
    assert "- no threads: 1" in page


def test_no_scripts(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no \.wast file"):
        find_scripts(tmp_path)
