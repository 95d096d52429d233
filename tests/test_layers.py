"""Dependencies point one way: errors <- ir <- compiler and targets <- runtime."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: What each layer may import of the package, besides itself.
ALLOWED = {
    "errors": set[str](),
    "ir": {"errors"},
    "compiler": {"errors", "ir"},
    "targets": {"errors", "ir"},
    "runtime": {"errors", "ir", "compiler", "targets", "__version__"},
}
#: Layers that are plain Python: nothing to install, quick to import.
STANDARD_LIBRARY_ONLY = ("errors", "ir", "compiler")

FILES = sorted(
    path
    for layer in ALLOWED
    for path in [ROOT / f"{layer}.py", *(ROOT / layer).rglob("*.py")]
    if path.is_file()
)


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str, bool]]:
    """Every import in a module of ``package``: line, absolute dotted name, whether relative.

    ``from X import Y`` counts as an import of ``X.Y``, because Y may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            parts = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield node.lineno, ".".join((*parts, alias.name)), node.level > 0


def package_of(path: Path) -> tuple[str, ...]:
    return ("swarmc", *path.relative_to(ROOT).parts[:-1])


def complaints(source: str, layer: str, package: tuple[str, ...]) -> list[str]:
    """What is wrong with the imports of a module that belongs to ``layer``."""
    found = []
    for line, name, relative in imports(source, package):
        top, *rest = name.split(".")
        if top == "swarmc":
            inner = rest[0] if rest else ""
            if not relative:
                found.append(f"{line}: absolute import of {name}")
            if inner != layer and inner not in ALLOWED[layer]:
                found.append(f"{line}: {layer} imports {name}")
        elif top in ALLOWED:
            found.append(f"{line}: bare import of {name}")
        elif layer in STANDARD_LIBRARY_ONLY and top not in sys.stdlib_module_names:
            found.append(f"{line}: {layer} imports {name}, which is no part of Python")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert complaints(source, layer_of(path), package_of(path)) == []


def test_the_face_loads_no_runtime() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    at_import = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.level]
    assert {n.module for n in at_import} <= {"errors"}


def test_tests_import_the_package_by_name() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name, relative in imports(path.read_text(encoding="utf-8"), package_of(path))
        if not relative and name.split(".")[0] in ALLOWED
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("layer", "source", "complaint"),
    [
        ("ir", "from ..compiler.wasm import decoder", "1: ir imports swarmc.compiler.wasm.decoder"),
        ("ir", "from ... import runtime", "1: ir imports swarmc.runtime"),
        ("targets", "if x:\n    from ..compiler import y", "2: targets imports swarmc.compiler.y"),
        ("runtime", "import ir.ops", "1: bare import of ir.ops"),
        ("runtime", "from errors import SwarmcError", "1: bare import of errors.SwarmcError"),
        ("targets", "from swarmc.ir import ops", "1: absolute import of swarmc.ir.ops"),
        ("compiler", "import numpy as np", "1: compiler imports numpy, which is no part of Python"),
    ],
)
def test_rule_is_enforced(layer: str, source: str, complaint: str) -> None:
    package = ("swarmc", layer, "part") if "..." in source else ("swarmc", layer)
    assert complaints(source, layer, package) == [complaint]


@pytest.mark.parametrize(
    ("layer", "source"),
    [
        ("ir", "import enum\nfrom ..errors import IRError\nfrom . import ops"),
        ("compiler", "from ..ir.ops import Op\nfrom .wasm import module"),
        ("targets", "import numpy as np\nfrom ..ir import types"),
        ("runtime", "from ..targets.cpu import kernel\nfrom ..compiler.wasm.decoder import decode"),
    ],
)
def test_rule_lets_good_imports_pass(layer: str, source: str) -> None:
    assert complaints(source, layer, ("swarmc", layer)) == []
