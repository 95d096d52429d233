"""Manifests: what the documented examples say, defaults, and every mistake at once."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest

from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.documents.document import DocumentError
from swarmc.runtime.orchestration.errors import DependencyCycleError
from swarmc.runtime.orchestration.workflow.manifest import (
    ManifestFormat,
    detect_format,
    load_manifest,
    parse_manifest,
)
from swarmc.runtime.orchestration.workflow.schema import (
    Symbol,
    SymbolContext,
    SymbolType,
    WorkflowManifest,
)

from ..workflow_document import TOML as DOCUMENT_TOML
from ..workflow_document import YAML

TOML = DOCUMENT_TOML + """\

[[symbols]]
name = "finalize"
type = "action"
context = "wordpress"
dispatch = "php_engine"
dependencies = ["process_data"]
parameters = { operation = "cleanup" }

[symbols.rollback]
name = "rollback_finalize"
type = "action"
context = "wordpress"
dispatch = "php_engine"
parameters.operation = "restore"
"""


def mistakes(text: str, **options: Any) -> list[str]:
    with pytest.raises(DocumentError) as raised:
        parse_manifest(text, name="w", **options)
    lines = str(raised.value).splitlines()
    if len(lines) > 1:
        assert lines.pop(0) == f"w has {len(lines)} mistakes:"
    return lines


def test_the_documented_examples() -> None:
    manifest = parse_manifest(YAML)
    assert manifest == parse_manifest(TOML)
    assert (manifest.name, manifest.version) == ("example-workflow", "1.0.0")
    first, second, third = manifest.symbols
    assert first.type is SymbolType.ACTION
    assert first.context is SymbolContext.WORDPRESS
    assert (first.dispatch, first.priority) == ("php_engine", 10)
    assert first.parameters == {"operation": "init"}
    assert (second.priority, second.timeout, second.retries) == (0, 30_000, 3)
    assert second.dependencies == ["initialize"]
    assert third.rollback is not None
    assert third.rollback.parameters == {"operation": "restore"}
    assert manifest.graph().order() == ("initialize", "process_data", "finalize")
    assert manifest.executors() == {"php_engine", "rust_injector"}


def test_defaults() -> None:
    symbol = parse_manifest("name: w\nsymbols: [{name: a, type: query}]").symbols[0]
    assert symbol == Symbol(
        name="a", type=SymbolType.QUERY, context=SymbolContext.GENERIC, dispatch="internal",
        parameters={}, dependencies=[], priority=0, timeout=30_000, retries=3, rollback=None,
    )  # fmt: skip


def test_written_down_and_read_again() -> None:
    manifest = parse_manifest(YAML)
    again = WorkflowManifest.from_data(loads(dumps(manifest.to_data())))
    assert again == manifest
    assert again.symbols[1].model_fields_set == manifest.symbols[1].model_fields_set


def test_from_a_file_and_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("w.yaml", YAML), ("w.yml", YAML), ("w.toml", TOML), ("w", TOML)):
        (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
        assert load_manifest(tmp_path / name).name == "example-workflow"
    for text in (YAML, TOML):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert load_manifest("-").name == "example-workflow"
    (tmp_path / "odd.yaml").write_text(TOML)
    assert load_manifest(tmp_path / "odd.yaml", format="toml").name == "example-workflow"
    with pytest.raises(DocumentError, match=r"odd\.yaml:1:\d+: is no YAML|must be a table"):
        load_manifest(tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("# x\n\nname = 'a'", ManifestFormat.TOML), ("[[symbols]]", ManifestFormat.TOML),
        ("a . \"b\" = 1", ManifestFormat.TOML), ("name: a = b", ManifestFormat.YAML),
        ("- x", ManifestFormat.YAML), ("{\"name\": 1}", ManifestFormat.YAML),
    ],
)  # fmt: skip
def test_the_format_is_found(text: str, kind: ManifestFormat) -> None:
    assert detect_format(text) is kind


def test_every_mistake_at_once() -> None:
    assert mistakes("""\
name: 5
versoin: "1"
symbols:
  - name: a
    type: actoin
    timeout: -1
    timeout: 2
    dependencies: [b, a, zz, b]
  - name: b
    type: action
    dispatch: php_engin
    dependencies: [a, 7]
    retries: "x"
    rollback:
      type: action
      dispatch: nothing
      dependencies: [q]
  - {name: c/d, type: action, context: worldpress, priority: 1.5, parameters: {1: 2, x: !foo y}}
  - 5
  - name: b
    type: filter
    retries: true
""") == [
        "w:1:7: name must be text, not 5: write it in quotes",
        "w:2:1: unknown key 'versoin': did you mean version?",
        "w:5:11: symbols[0].type must be one of action, filter, state, query, transform,"
        " not 'actoin': did you mean action?",
        "w:6:14: symbols[0].timeout must be more than 0, not -1",
        "w:7:5: key 'timeout' is there twice; the first is in line 6",
        "w:8:20: symbols depend on each other in a cycle: a -> b -> a",
        "w:8:23: a depends on itself",
        "w:8:26: a depends on 'zz', which is not there",
        "w:8:30: a depends on 'b' twice",
        "w:11:15: there is no executor 'php_engin': did you mean php_engine?",
        "w:12:23: symbols[1].dependencies[1] must be text, not 7: write it in quotes",
        "w:13:14: symbols[1].retries must be a whole number, not 'x'",
        "w:15:7: 'name' is missing in symbols[1].rollback",
        "w:16:17: there is no executor 'nothing': there are rust_injector, php_engine,"
        " powershell_engine, internal, wasm, process",
        "w:17:7: a rollback has no dependencies: rollbacks run in the reverse order of what they"
        " undo",
        "w:18:12: symbols[2].name: must not have '/', line breaks or other control"
        " characters in it",
        "w:18:40: symbols[2].context must be one of wordpress, filesystem, database, network,"
        " generic, not 'worldpress': did you mean wordpress?",
        "w:18:62: symbols[2].priority must be a whole number, not 1.5",
        "w:18:80: key '1' is no text: write it in quotes",
        "w:18:89: tag !foo is not allowed",
        "w:19:5: symbols[3] must be a table of keys, not 5",
        "w:20:11: there are two symbols named 'b'",
        "w:22:14: symbols[4].retries must be a whole number, not true",
    ]


def test_every_mistake_in_toml() -> None:
    assert mistakes("""\
name = "x"
[[symbols]]
name = "a"
type = "actoin"
dependencies = [
  "b",
  "zz", # not there
]
[symbols.parameters]
deep = { a = [1, {b = 2}] }
[symbols.rollback]
timeout = 1.5
[[symbols]]
  name = "b"
  type = "action"
  dependencies = ["a"]
  colour = "red"
""") == [
        "w:4:8: symbols[0].type must be one of action, filter, state, query, transform,"
        " not 'actoin': did you mean action?",
        "w:6:3: symbols depend on each other in a cycle: a -> b -> a",
        "w:7:3: a depends on 'zz', which is not there",
        "w:11:1: 'name' is missing in symbols[0].rollback",
        "w:11:1: 'type' is missing in symbols[0].rollback",
        "w:12:11: symbols[0].rollback.timeout must be a whole number, not 1.5",
        "w:17:3: unknown key 'colour'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "w:1:1: the file must be a table of keys, not a list"),
        ("name: a\nsymbols: []", "w:2:10: symbols must not be empty"),
        ("name: a\nsymbols: x", "w:2:10: symbols must be a list, not 'x'"),
        ("name: ''\nsymbols: [{name: a, type: action}]", "w:1:7: name must not be empty"),
        ("symbols: [{name: a, type: action}]", "w:1:1: 'name' is missing"),
        ("name: a\nsymbols: [{name: a, type: action, parameters: [1]}]",
         "w:2:47: symbols[0].parameters must be a table of keys, not a list"),
        ("name: a\nsymbols: [{name: a, type: action, timeout: .inf}]",
         "w:2:44: symbols[0].timeout must be a whole number, not inf"),
        ("name: a\nsymbols: [{name: a, type: action, timeout: 99999999999999}]",
         "w:2:44: symbols[0].timeout must be at most 2592000000, not 99999999999999"),
        ("name: a\nsymbols: [{name: a, type: action, rollback: {name: r, type: action,"
         " rollback: {}}}]", "w:2:69: a rollback has no rollback of its own"),
        ("name: 1.0\nversion: 2.0\nsymbols: [{name: a, type: action}]",
         "w:1:7: name must be text, not 1.0: write it in quotes"),
    ],
)  # fmt: skip
def test_single_mistakes(text: str, expected: str) -> None:
    assert expected in mistakes(text, format="yaml")


def test_configured_executors() -> None:
    text = "name: a\nsymbols: [{name: a, type: action, dispatch: lisp_engine}]"
    assert mistakes(text)[0].startswith("w:2:45: there is no executor 'lisp_engine'")
    manifest = parse_manifest(text, executors=["lisp_engine"])
    assert manifest.symbols[0].dispatch == "lisp_engine"


def test_made_in_python() -> None:
    with pytest.raises(pydantic.ValidationError):
        Symbol(name="a", type="action", retries=-1)  # type: ignore[arg-type]
    a = Symbol(name="a", type=SymbolType.ACTION, dependencies=["b"])
    b = Symbol(name="b", type=SymbolType.ACTION, dependencies=["a"])
    with pytest.raises(DependencyCycleError, match="a -> b -> a"):
        WorkflowManifest(name="w", symbols=[a, b]).graph()


def test_a_large_manifest_is_read_quickly() -> None:
    lines = ["name: large", "symbols:"]
    for i in range(2000):
        before = f"s{i - 1}" if i else ""
        lines.append(f"  - {{name: s{i}, type: action, dependencies: [{before}]}}")
    assert len(parse_manifest("\n".join(lines)).graph().levels()) == 2000
