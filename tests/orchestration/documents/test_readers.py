"""YAML and TOML with places, and texts that are neither or that could hurt."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.documents.document import (
    Document,
    DocumentError,
    Position,
    decode,
    position_of,
    read_text,
)
from swarmc.runtime.orchestration.documents.toml_reader import read_toml
from swarmc.runtime.orchestration.documents.yaml_reader import read_yaml


def message(read: Any, *args: Any) -> str:
    with pytest.raises(DocumentError) as raised:
        read(*args)
    return str(raised.value)


def offset_of(text: str, place: Position) -> int:
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "f: is empty"),
        (b"  \n\n", "f: is empty"),
        (b"\xef\xbb\xbf", "f: is empty"),
        ("a: ü\nb".encode("utf-16"), "f:1:1: is in UTF-16: save it in UTF-8"),
        (b"a: 1\nb: \xc3\xbc \xff", "f:2:6: is no UTF-8: byte 0xff"),
        (b"a: 1\nb: \0", "f:2:4: has a NUL character in it"),
        (b"x" * (4 << 20) + b"y", "f: is larger than 4 MiB"),
    ],
)
def test_what_is_no_text(data: bytes, expected: str) -> None:
    assert message(decode, "f", data) == expected


def test_reading_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.yaml"
    assert message(read_text, path) == f"{path}: cannot be read: No such file or directory"
    assert message(read_text, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_text(path) == (str(path), "a: 1")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b: 2")))
    assert read_text("-") == ("<stdin>", "b: 2")


def test_yaml_values_and_places() -> None:
    text = "# c\nname: x\nlist:\n  - 1\n  - {deep: [true, null]}\nwhen: 2024-01-01\nü: ö\n"
    document = read_yaml("f", text)
    assert document.data == {
        "name": "x", "list": [1, {"deep": [True, None]}], "when": "2024-01-01", "ü": "ö",
    }  # fmt: skip
    assert document.keys["name",] == Position(2, 1)
    assert document.values["name",] == Position(2, 7)
    assert document.values["list", 1, "deep", 1] == Position(5, 19)
    assert document.values["ü",] == Position(7, 4)


def test_yaml_aliases_and_merging() -> None:
    text = "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [{x: 5}, *b]}\nsame: *b\n"
    document = read_yaml("f", text)
    assert document.values["two",] == Position(3, 6)
    assert document.data == {
        "base": {"x": 1, "y": 2}, "one": {"x": 1, "y": 3}, "two": {"x": 5, "y": 2},
        "same": {"x": 1, "y": 2},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\nb: 3\n", "f:2:2: is no YAML: while parsing a flow sequence"),
        ("a: *none\n", "f:1:4: is no YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", "f:2:1: is no YAML: expected a single document"),
        ("# nothing\n", "f: is empty"),
        ("a: 1\nb: \x07\n", "f:2:4: is no YAML"),
        ("a: &x [1, *x]\n", "f:1:4: contains itself"),
        ("[" * 70 + "]" * 70, "f:1:65: is nested too deeply"),
        ("[" * 1_000_000, "f:1:65: is nested too deeply"),
    ],
)
def test_what_is_no_yaml(text: str, expected: str) -> None:
    assert message(read_yaml, "f", text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2\n", "f:2:1: key 'a' is there twice; the first is in line 1"),
        ("b: {1: x}\n", "f:1:5: key '1' is no text: write it in quotes"),
        ("on: x\n", "f:1:1: key 'on' is no text: write it in quotes"),
        ("? [1]\n: x\n", "f:1:3: key a list or mapping is no text"),
        ("a: !!python/object:os.system x\n", "f:1:4: tag !!python/object:os.system is not"),
        ("a: !mine [1]\n", "f:1:4: tag !mine is not allowed"),
        ("a: !!set {x, y}\n", "f:1:4: tag !!set is not allowed"),
        ("a: !!int x\n", "f:1:4: cannot be read as int"),
        ("a: !!binary x\n", "f:1:4: cannot be read as binary"),
        ("a: {<<: 5}\n", "f:1:9: << needs a mapping"),
        ("a: " + "9" * 5000, "f:1:4: cannot be read as int"),
    ],
)
def test_mistakes_in_readable_yaml(text: str, expected: str) -> None:
    assert message(read_yaml("f", text).raise_problems).startswith(expected)


def test_aliases_cannot_explode() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 12):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    begun = time.process_time()
    assert "stands for too many values, through aliases" in message(
        read_yaml, "f", "\n".join(lines)
    )
    assert time.process_time() - begun < 10


TOML = """\
# comment with = and [brackets]
title = "a # no comment"
"quoted key".inner = 'x'
numbers = [ 1, # one
  2, [3, 4],
]
point = { x = 1.5, "y z" = { deep = true } }
when = 1979-05-27 07:32:00
text = \"\"\"
[no.table]
a = "b" \\\"\"\" ""\"\"\"
raw = '''
it's = 'x' '''

[owner . "na.me"]
ok = false
[[items]]
  name = "first"
  [items.inner]
  v = 1
  [[items.parts]]
  p = 1
  [[items.parts]]
  p = 2
[[items]]
name = "second"
[[items.parts]]
p = 3
"""


def test_toml_values_and_places() -> None:
    document = read_toml("f", TOML)
    assert document.data["when"] == "1979-05-27T07:32:00"
    expected = {
        ("title",): '"a # no', ("quoted key",): '"quoted key".inner',
        ("quoted key", "inner"): "'x'\nnum", ("numbers",): "[ 1", ("numbers", 0): "1, #",
        ("numbers", 2, 1): "4],", ("point", "x"): "1.5,", ("point", "y z", "deep"): "true }",
        ("when",): "1979-05-27 07", ("text",): '"""\n[no', ("raw",): "'''\nit",
        ("owner", "na.me"): "[owner .", ("owner", "na.me", "ok"): "false",
        ("items", 0): "[[items]]\n  name", ("items", 0, "name"): '"first"',
        ("items", 0, "inner", "v"): "1\n", ("items", 0, "parts", 0, "p"): "1\n",
        ("items", 0, "parts", 1, "p"): "2\n", ("items", 1): "[[items]]\nname",
        ("items", 1, "parts", 0, "p"): "3\n",
    }  # fmt: skip
    for path, start in expected.items():
        offset = offset_of(TOML, document.values[path])
        assert TOML[offset:].startswith(start), path
    keys = {("numbers",): "numbers", ("point", "y z"): '"y z"', ("owner", "na.me"): '"na.me"]'}
    for path, start in keys.items():
        assert TOML[offset_of(TOML, document.keys[path]) :].startswith(start)
    assert all_paths(document) == set(document.values)


def all_paths(document: Document) -> set[tuple[str | int, ...]]:
    found: set[tuple[str | int, ...]] = set()

    def walk(value: Any, path: tuple[str | int, ...]) -> None:
        found.add(path)
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                walk(item, (*path, index))

    walk(document.data, ())
    return found


def written(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[ " + " ,\n".join(map(written, value)) + "]"
    return quoted(value) if isinstance(value, str) else str(value).lower()


def quoted(text: str) -> str:
    if text and text.isascii() and text.isalnum():
        return f'"{text}"'
    return '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'


VALUES = st.recursive(
    st.booleans() | st.integers(-99, 99) | st.text("ab\"'\\#[]{}=.,\n", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('ab".#', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(st.dictionaries(st.text('ab".]', max_size=3), VALUES, min_size=1, max_size=4))
def test_every_toml_value_has_its_place(data: dict[str, Any]) -> None:
    text = "\n".join(f"{quoted(k)}={written(v)} # x" for k, v in data.items())
    document = read_toml("f", text)
    assert document.data == data
    assert all_paths(document) == set(document.values)
    for path, place in document.values.items():
        value: Any = data
        for part in path:
            value = value[part]
        if path:
            assert text[offset_of(text, place) :].startswith(written(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb 2\n", "f:2:3: is no TOML: Expected '=' after a key"),
        ("a = 1\na = 2\n", "f:2:6: is no TOML: Cannot overwrite a value"),
        ("a = [1,", "f:1:8: is no TOML: Invalid value"),
        ("a = 2024-13-01", "f:1:9: is no TOML: "),
        ("a = " + "[" * 70 + "]" * 70, "f: is nested too deeply"),
        ("a = " + "[" * 100_000, "f: is nested too deeply"),
        ("a = " + "9" * 5000, "f: is no TOML: "),
    ],
)
def test_what_is_no_toml(text: str, expected: str) -> None:
    assert message(read_toml, "f", text).startswith(expected)


def test_places_of_characters() -> None:
    assert position_of("ab\ncd", 0) == Position(1, 1)
    assert position_of("ab\ncd", 4) == Position(2, 2)
    assert position_of("ab\ncd", None) == Position(2, 3)
