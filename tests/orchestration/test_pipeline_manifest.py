"""Manifests: everything that is wrong with one is said at once, with its place."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.documents.json_reader import MOST_LEVELS, read_json
from swarmc.runtime.orchestration.pipeline import (
    Manifest,
    ManifestError,
    load_manifest,
    serialize_numpy,
)

EMPTY = '{"version":"v1","metadata":{"name":"test"},"nodes":[],"connections":[]}'
WASM = {"node_type": "wasm", "module": "m.wasm", "function": "f"}


def node(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "node_type": "python", "function": "a.b:c", **more}


def manifest(nodes: list[Any], *connections: Any, **more: Any) -> dict[str, Any]:
    wires = [
        {"from": c[0], "to": c[1], **({"to_port": c[2]} if len(c) > 2 else {})}
        if isinstance(c, tuple) else c
        for c in connections
    ]  # fmt: skip
    return {
        "version": "v1", "metadata": {"name": "test"}, "nodes": nodes, "connections": wires, **more,
    }  # fmt: skip


def problems(value: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load_manifest(value)
    return shown(caught.value.problems)


def shown(found: Any) -> list[str]:
    return [
        (f"{p.position.line}:{p.position.column} " if p.position else "") + p.message
        for p in found
    ]


def test_the_document_s_own_manifest_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pipeline.json"
    path.write_text(EMPTY)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(EMPTY.encode())))
    with path.open() as file:
        forms = [path, str(path), EMPTY, EMPTY.encode(), json.loads(EMPTY), "-", file]
        loaded = [load_manifest(form) for form in forms]
    assert [(m.name, m.nodes, m.graph.order()) for m in loaded] == [("test", [], ())] * len(forms)
    assert [m.source for m in loaded] == [
        str(path), str(path), "<text>", "<text>", "<dict>", "<stdin>", str(path),
    ]  # fmt: skip
    assert loaded[0].directory == tmp_path
    assert loaded[2].directory == Path()
    assert load_manifest(loaded[0]) is loaded[0]
    assert Manifest.from_text("\ufeff".encode() + EMPTY.encode()).name == "test"


def test_everything_at_once_with_its_place() -> None:
    text = """\
{"version": "v2", "metadata": {"nam": "test"},
 "nodes": [
   {"id": "a", "node_type": "pythn"},
   {"id": "a", "node_type": "python", "function": "x", "timout_ms": NaN},
   {"id": "w", "node_type": "wasm", "module": "x", "function": "f",
    "swarm": 3, "max_memory": true, "inputs": ["a", {"name": "b", "dtype": "flot32"}, 3]},
   5,
   {"id": "z"},
   {"node_type": "wasi"}],
 "connections": [
   {"from": "a", "to": "w"},
   {"from": "w", "to": "a", "to_port": ""},
   {"from": "zz", "to": "w"},
   {"from": "w"}],
 "nodes": 3
}"""
    assert problems(text) == [
        "1:13 version: unknown version 'v2': known is 'v1'",
        "1:31 metadata: key 'name' is missing",
        "3:29 nodes[0].node_type: unknown node_type 'pythn': did you mean python?",
        "4:11 nodes[1].id: there are two nodes with id 'a': nodes[0] is the other",
        "4:51 nodes[1].function: a function is named as package.module:function, not 'x'",
        "4:56 nodes[1].timout_ms: unknown key 'timout_ms': did you mean timeout_ms?",
        "4:69 nodes[1].timout_ms: NaN is no JSON",
        "6:14 nodes[2].swarm: takes true, false or a list of names of inputs",
        "6:31 nodes[2].max_memory: input should be a valid integer, not True",
        "6:47 nodes[2].inputs: inputs without a value: b",
        "6:76 nodes[2].inputs[1].dtype: unknown dtype 'flot32': did you mean float32?",
        "6:87 nodes[2].inputs[2]: takes an object, not a number",
        "7:4 nodes[3]: takes an object, not a number",
        "8:4 nodes[4]: key 'node_type' is missing",
        "9:4 nodes[5]: key 'id' is missing",
        "9:4 nodes[5]: key 'module' is missing",
        "12:4 connections[1]: nodes are connected in a cycle: a -> w -> a",
        "12:40 connections[1].to_port: string should have at least 1 character, not ''",
        "13:13 connections[2].from: there is no node 'zz': did you mean z?",
        "14:4 connections[3]: key 'to' is missing",
        "15:2 nodes: key 'nodes' is here twice, first in line 2",
    ]


def test_the_message_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"version": "v1", "metadata": {"name": "x"},\n "nodes": {}}')
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert str(caught.value) == f"{path}:2:11: nodes: input should be a valid list, not {{}}"
    with pytest.raises(ManifestError) as caught:
        load_manifest({})
    assert str(caught.value) == (
        "<dict> has 3 mistakes:\n<dict>: key 'metadata' is missing\n"
        "<dict>: key 'nodes' is missing\n<dict>: key 'version' is missing"
    )
    with pytest.raises(ManifestError, match=r"nowhere\.json: cannot be read: No such file"):
        load_manifest(tmp_path / "nowhere.json")
    with pytest.raises(ManifestError, match="a int is no manifest"):
        load_manifest(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("{\0}", "1:2 has a NUL character in it"),
        ('{"a": "\ud800"}', "1:8 is no UTF-8: byte 0xed"),
        ("{", "1:2 expected a key in double quotes, found the end"),
        ('{"a": tru}', "1:7 expected a value, found 'tru'"),
        ('{"a" 1}', "1:6 expected ':', found '1'"),
        ('{"a": 1,}', "1:9 expected a key in double quotes, found '}'"),
        ("{'a': 1}", '1:2 expected a key in double quotes, found "\'a\'"'),
        ("{\n [1,\n 2", "2:2 expected a key in double quotes, found '['"),
        ('{"a": [1,\n 2', "2:3 expected ',' or ']', found the end"),
        ('{"a": [1 2]}', "1:10 expected ',' or ']', found '2'"),
        ('{"a": 1 "b": 2}', "1:9 expected ',' or '}', found '\"'"),
        ("{} x", "1:4 more text behind the end"),
        ('{"a": "abc', "1:7 unterminated string starting at"),
        ('{"a": "\n"}', "1:8 invalid control character at"),
        ('{"a": 01}', "1:8 expected ',' or '}', found '1'"),
        ('{"a": ' + "1" * 5000 + "}", None),
        ("[" * 300, f"1:{MOST_LEVELS + 2} nested more than {MOST_LEVELS} levels deep"),
        (b'{\n"\xff"}', "2:2 is no UTF-8: byte 0xff"),
        ("[1]", "1:1 a manifest is an object, not a list"),
        ("null", "1:1 a manifest is an object, not null"),
    ],
)
def test_text_that_is_no_manifest(text: str | bytes, message: str | None) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_text(text)
    (found,) = shown(caught.value.problems)
    if message is None:
        assert "digits" in found
    else:
        assert found == message


def test_values_that_json_lets_pass_and_we_do_not() -> None:
    document = read_json(
        "x", '{"a": [Infinity, -Infinity, NaN, "\\ud800"], "b": {"c": 1, "c": 2}}'
    )
    assert [p.message for p in document.problems] == [
        "a[0]: Infinity is no JSON",
        "a[1]: -Infinity is no JSON",
        "a[2]: NaN is no JSON",
        "a[3]: half of a surrogate pair is no text",
        "b.c: key 'c' is here twice, first in line 1",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=25,
)  # fmt: skip


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    yield path, value
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from paths(item, (*path, number))
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))


@settings(derandomize=True, database=None, deadline=None)
@given(json_values, st.sampled_from([None, 0, 2]), st.booleans())
def test_values_and_their_places(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    document = read_json("x", text)
    assert (document.data, document.problems) == (json.loads(text), [])
    lines = text.split("\n")
    for path, found in paths(value):
        places = [(document.values[path], found)]
        if path and isinstance(path[-1], str):
            places.append((document.keys[path], path[-1]))
        for place, what in places:
            rest = "\n".join([lines[place.line - 1][place.column - 1 :], *lines[place.line :]])
            assert json.JSONDecoder().raw_decode(rest)[0] == what


@settings(derandomize=True, database=None, deadline=None)
@given(st.text('{}[],:"\\ \n01.eE+-truefalsnN', max_size=30))
def test_what_json_reads_and_what_it_refuses(text: str) -> None:
    document = read_json("x", text)
    try:
        value = json.loads(text)
    except ValueError:
        assert document.problems
        return
    strange = any(" is no JSON" in p.message or "twice" in p.message for p in document.problems)
    assert strange or (document.data == value and not document.problems)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (manifest([node("a"), node("b")], ("a", "b"), ("b", "a")),
         ["connections[1]: nodes are connected in a cycle: a -> b -> a"]),
        (manifest([node("a")], ("a", "a")), ["connections[0]: node 'a' is connected to itself"]),
        (manifest([node("a"), node("b"), node("c")], ("a", "c"), ("b", "c")),
         ["connections[1]: connections[0] leads to input 'input' of 'c' already:"
          " name the inputs with to_port"]),
        (manifest([node("a"), node("b"), node("c")], ("a", "c", "x"), ("b", "c", "x")),
         ["connections[1].to_port: connections[0] leads to input 'x' of 'c' already:"
          " name the inputs with to_port"]),
        (manifest([node("a"), node("b", inputs=["left", "right"])], ("a", "b", "lft")),
         ["connections[0].to_port: node 'b' has no input 'lft': did you mean left?"]),
        (manifest([node("a"), node("b", params={"x": 1})], ("a", "b", "x")),
         ["nodes[1].params.x: connections[0] gives 'x' of 'b' already"]),
        (manifest([node("a", inputs=["x", "y", "x"])]),
         ["nodes[0].inputs: there are two inputs named 'x'"]),
        (manifest([node("a"), node("b"), {"id": "w", **WASM}], ("a", "w"), ("b", "w", "y")),
         ["nodes[2]: several inputs: list them in 'inputs', in the order of the parameters"]),
        (manifest([{"id": "w", **WASM, "inputs": ["x"], "params": {"y": 1}}]),
         ["nodes[0].params.y: node 'w' has no input 'y': it has x"]),
        (manifest([{"id": "w", "node_type": "wasi", "module": "m", "swarm": ["x"]}]),
         ["nodes[0].swarm[0]: node 'w' has no input 'x'"]),
        (manifest([{"id": "w", **WASM, "output": {"dtype": "int8", "shape": [-1, -1]}}]),
         ["nodes[0].output.shape: at most one dimension may be -1"]),
        (manifest([node("a", params={"x": {"dtype": "int8", "shape": [2], "data": ""}})]),
         ["nodes[0].params: data has 0 bytes, but int8 of shape [2] takes 2"]),
        (manifest([node("a", timeout_ms=0)]),
         ["nodes[0].timeout_ms: input should be greater than 0, not 0"]),
        (manifest([node("a", function="os.system")]),
         ["nodes[0].function: a function is named as package.module:function, not 'os.system'"]),
        (manifest([{**node("a"), "module": "x"}]), ["nodes[0].module: unknown key 'module'"]),
        (manifest([], version=1), ["version: unknown version 1: known is 'v1'"]),
        (manifest([], extra=1), ["extra: unknown key 'extra'"]),
        (manifest([node("a")], {"frm": "a", "to": "a"}),
         ["connections[0]: key 'from' is missing",
          "connections[0].frm: unknown key 'frm': did you mean from?"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_nodes_and_connections(value: Any, expected: list[str]) -> None:
    assert sorted(problems(value)) == sorted(expected)  # without places
    assert [line.split(" ", 1)[1] for line in problems(json.dumps(value))] == expected


def test_a_long_cycle_is_named_in_full_and_others_beside_it() -> None:
    names = [f"n{number}" for number in range(50)]
    wires = [(a, b) for a, b in zip(names, [*names[1:], names[0]], strict=True)]
    nodes = [node(name) for name in [*names, "x", "y"]]
    found = problems(manifest(nodes, *wires, ("x", "y"), ("y", "x")))
    assert found == [
        f"connections[49]: nodes are connected in a cycle: {' -> '.join([*names, 'n0'])}",
        "connections[51]: nodes are connected in a cycle: x -> y -> x",
    ]


def test_arrays_in_params_are_arrays() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    text = json.dumps(manifest([node("a", params={"deep": [{"x": serialize_numpy(array)}]})]))
    found = load_manifest(text).nodes[0].params["deep"][0]["x"]
    assert np.array_equal(found, array)


def test_the_graph_and_what_comes_in() -> None:
    loaded = load_manifest(manifest(
        [node("c", inputs=["x", "y"]), node("a"), node("b")],
        ("a", "c"), {"from": "b", "to": "c", "to_port": "y", "from_port": "out"}, ("a", "b"),
    ))  # fmt: skip
    assert loaded.graph.order() == ("a", "b", "c")
    assert [(w.port, w.source, w.from_port) for w in loaded.wires["c"]] == [
        ("x", "a", None), ("y", "b", "out"),
    ]  # fmt: skip
    assert [(w.port, w.source) for w in loaded.wires["b"]] == [(None, "a")]
    assert loaded.graph.roots() == ("a",)


def test_metadata_may_have_more() -> None:
    loaded = load_manifest(manifest([], metadata={"name": "x", "author": "me", "description": "d"}))
    assert (loaded.name, loaded.metadata.description) == ("x", "d")
    assert loaded.metadata.model_extra == {"author": "me"}
