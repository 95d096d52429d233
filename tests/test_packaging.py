"""What is installed is the whole package and nothing else, whichever way it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("compiler", "ir", "runtime", "targets")
ROOT_MODULES = {"__init__.py", "__main__.py", "errors.py"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_files() -> set[str]:
    """Every file that must be installed, as a path below ``swarmc/``."""
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return found | ROOT_MODULES | {"py.typed"}


def test_root_has_no_other_modules() -> None:
    assert {p.name for p in ROOT.glob("*.py")} == ROOT_MODULES


def test_every_package_is_listed() -> None:
    folders = {Path(file).parent for file in package_files()}
    expected = {".".join(("swarmc", *folder.parts)) for folder in folders}
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(expected)
    assert [f for f in sorted(folders) if not (ROOT / f / "__init__.py").is_file()] == []


def test_extras_are_real() -> None:
    extras = {"bench", "cluster", "cuda", "test", "web"}
    assert set(PYPROJECT["project"]["optional-dependencies"]) == extras


def test_typing_folder_mirrors_the_package() -> None:
    mirror = ROOT / ".typing" / "swarmc"
    names = {*FOLDERS, "__init__.py", "errors.py", "py.typed"}
    assert {p.name for p in mirror.iterdir()} == names
    assert {p.name: os.readlink(p) for p in mirror.iterdir()} == {n: f"../../{n}" for n in names}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, because a build leaves files beside the sources."""
    copy = tmp_path_factory.mktemp("sources") / "swarmc"
    ignore = shutil.ignore_patterns(
        ".*", "build", "dist", "*.egg-info", "__pycache__", "corpus", "docs"
    )
    shutil.copytree(ROOT, copy, ignore=ignore)
    return copy


def build(kind: str, sources: Path, output: Path) -> Path:
    """Run setuptools' build hook for a ``wheel`` or an ``sdist``; return the archive."""
    output.mkdir(exist_ok=True)
    code = f"import sys, setuptools.build_meta as b; b.build_{kind}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(output)], cwd=sources, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (archive,) = output.iterdir()
    return archive


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_is_complete(sources: Path, tmp_path: Path) -> None:
    names = wheel_names(build("wheel", sources, tmp_path / "wheel"))
    installed = {n.removeprefix("swarmc/") for n in names if n.startswith("swarmc/")}
    assert installed == package_files()
    (info,) = {n.split("/")[0] for n in names if not n.startswith("swarmc/")}
    assert info.endswith(".dist-info")
    assert {f"{info}/entry_points.txt", f"{info}/licenses/LICENSE"} <= names


def test_wheel_from_sdist_is_the_same(sources: Path, tmp_path: Path) -> None:
    sdist = build("sdist", sources, tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    direct = build("wheel", sources, tmp_path / "direct")
    indirect = build("wheel", unpacked, tmp_path / "indirect")
    assert wheel_names(indirect) == wheel_names(direct)


def test_version_is_stated_once(sources: Path, tmp_path: Path) -> None:
    wheel = build("wheel", sources, tmp_path / "wheel")
    version = PYPROJECT["project"]["version"]
    assert wheel.name == f"swarmc-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert f'__version__ = "{version}"' in archive.read("swarmc/__init__.py").decode()
