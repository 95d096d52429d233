"""From words on the command line to values."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.errors import ArgumentError
from swarmc.ir.types import FuncType, Type
from swarmc.runtime import cli_inputs as inputs

I32, I64, F32, F64 = Type.I32, Type.I64, Type.F32, Type.F64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{id}", "7"),
        ("n={id}", "n=7"),
        ("{id*2+1}/{agents}", "15/10"),
        ("{id / agents}", "0.7"),
        ("{-id}", "-7"),
        ("{id << 4 | 1}", "113"),
        ("{id}{id}", "77"),
        # anything else in braces is the user's own text
        ("{}", "{}"),
        ('{"id": 3}', '{"id": 3}'),
        ("{name}", "{name}"),
        ("{3+4}", "{3+4}"),
        ("{id.bit_length()}", "{id.bit_length()}"),
        ("{id**id}", "{id**id}"),
        ("{[id]}", "{[id]}"),
        ("{id", "{id"),
        ("", ""),
    ],
)
def test_templates(text: str, expected: str) -> None:
    template = inputs.Template(text)
    assert template.render(7, 10) == expected
    assert template.constant == (text == expected)


def test_a_template_that_fails_names_the_agent() -> None:
    with pytest.raises(ArgumentError, match=r"'\{1//id\}' for agent 0: .*zero"):
        inputs.Template("{1//id}").render(0, 1)


def test_words_are_separated_outside_braces() -> None:
    assert inputs.words(["1,2", "3 {id + 1}, x{id}y", "", "{", "a}"]) == [
        "1", "2", "3", "{id + 1}", "x{id}y", "{", "a}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (I32, "30", 30),
        (I32, "-1", -1),
        (I64, "0x1F", 31),
        (I32, "0b101", 5),
        (I32, "007", 7),
        (F64, "1.5", 1.5),
        (F32, "3", 3.0),
        (F64, "inf", float("inf")),
        (F64, "0x1.8p3", 12.0),
        (Type.EXTERNREF, "null", None),
        (Type.EXTERNREF, "5", 5),
        (Type.V128, "00" * 16, bytes(16)),
    ],
)
def test_values(type_: Type, text: str, value: object) -> None:
    assert inputs.parse_value(type_, text, "argument 0") == value


@pytest.mark.parametrize(("type_", "text"), [(I32, "1.5"), (I32, "x"), (F64, "y"), (I64, "")])
def test_wrong_values(type_: Type, text: str) -> None:
    with pytest.raises(ArgumentError, match=f"argument 1 of f is {type_.value}: '{text}' is not"):
        inputs.parse_value(type_, text, "argument 1 of f")


def test_rows() -> None:
    type_ = FuncType((I32, F64), ())
    assert inputs.argument_rows(["1", "2.5"], type_, 3, "f") == [1, 2.5]
    assert inputs.argument_rows(["{id}", "{id/2}"], type_, 3, "f") == [
        [0, 0.0], [1, 0.5], [2, 1.0],
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match=r"f takes 2 arguments \(i32, f64\), got 1; --args"):
        inputs.argument_rows(["1"], type_, 3, "f")


def test_csv_head_is_optional(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('a,b\n1,2\n\n"3", 4\n')
    assert inputs.csv_rows(file) == [["1", "2"], ["3", " 4"]]
    file.write_text("1,2\n")
    assert inputs.csv_rows(file) == [["1", "2"]]
    type_ = FuncType((I32, F64), ())
    assert inputs.csv_arguments([["3", " 4"]], type_, "f") == [[3, 4.0]]
    with pytest.raises(ArgumentError, match=r"row 1 of --args-file: f takes 2 arguments .*got 1"):
        inputs.csv_arguments([["3", "4"], ["5"]], type_, "f")
    with pytest.raises(ArgumentError, match="argument 1 of f in row 0 is f64"):
        inputs.csv_arguments([["3", "four"]], type_, "f")


def test_lines_keep_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\r\n\ntwo\xff\rthree\nlast")
    assert inputs.input_lines(file) == [b"one\r\n", b"\n", b"two\xff\rthree\n", b"last"]
    file.write_text("a 'b c'\n\nd\\ e\n")
    assert inputs.argv_lines(file) == [["a", "b c"], [], ["d e"]]
    file.write_text("a\n'open\n")
    with pytest.raises(ArgumentError, match=r"line 1 of .*quotation"):
        inputs.argv_lines(file)


def test_directory_is_sorted(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    assert inputs.input_directory(tmp_path) == [b"a", b"b", b"c"]
    with pytest.raises(ArgumentError, match="cannot read"):
        inputs.input_directory(tmp_path / "nowhere")


def test_command_lines() -> None:
    lines = inputs.CommandLines("p", ("x", "{id}"), None, ("A=1", "B={id}=2"))
    assert lines.argvs(2) == [["p", "x", "0"], ["p", "x", "1"]]
    assert lines.envs(2) == [{"A": "1", "B": "0=2"}, {"A": "1", "B": "1=2"}]
    lines = inputs.CommandLines("p", ("x",), None, ("A=",))
    assert lines.argvs(2) == ["p", "x"]
    assert lines.envs(2) == {"A": ""}
    lines = inputs.CommandLines("p", ("x",), [["1"], []], ())
    assert lines.argvs(2) == [["p", "x", "1"], ["p", "x"]]
    for wrong in ("A", "=1"):
        with pytest.raises(ArgumentError, match="KEY=VALUE"):
            inputs.CommandLines("p", (), None, (wrong,)).envs(1)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("65536", 65536), ("64KiB", 65536), ("64k", 65536), ("1.5M", 3 << 19),
     ("2 GB", 2 << 30), ("10b", 10)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert inputs.parse_size(text, "--x") == size


def test_wrong_sizes_and_counts() -> None:
    for text in ("", "k", "-1", "1.5.2", "1 potato"):
        with pytest.raises(ArgumentError, match="--x takes a size"):
            inputs.parse_size(text, "--x")
    for text in ("", "1.5", "1e-3", "1e999", "ten"):
        with pytest.raises(ArgumentError, match="--x takes a whole number"):
            inputs.parse_count(text, "--x")
    assert [inputs.parse_count(t, "--x") for t in ("5", "1_000", "1e3", "2.5e1")] == [
        5, 1000, 1000, 25,
    ]  # fmt: skip


def test_clocks() -> None:
    assert inputs.parse_clock("12345") == 12345
    assert inputs.parse_clock("1970-01-02") == 86_400 * 10**9
    assert inputs.parse_clock("1970-01-01T00:00:01.000002+00:00") == 10**9 + 2000
    assert inputs.parse_clock("now") > 1_600_000_000 * 10**9
    with pytest.raises(ArgumentError, match="--clock takes"):
        inputs.parse_clock("yesterday")
