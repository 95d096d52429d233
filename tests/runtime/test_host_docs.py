"""The examples of docs/host-functions.md do what they say."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swarmc.runtime.cli import app

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "host-functions.md").read_text("utf-8")
FILES = dict(re.findall(r"^```(?:wat|python)\n(?:#|;;) (\S+)\n(.*?)^```", TEXT, re.M | re.S))


@pytest.fixture
def folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> Iterator[Path]:
    """A folder with all files of the page, as the current one."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(shared_cache))
    yield tmp_path
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_there_is_an_example_of_each_kind() -> None:
    assert sorted(FILES) == ["calls.py", "rewards.py", "run.py", "tables.py", "walk.wat"]


@pytest.mark.parametrize("name", ["calls.py", "run.py", "tables.py"])
def test_python(name: str, folder: Path) -> None:
    exec(compile((folder / name).read_text(), name, "exec"), {"__name__": name})


def commands() -> list[str]:
    (block,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S)
    return [line for line in block.splitlines() if line]


@pytest.mark.parametrize("line", commands())
@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_commands(line: str, target: str, folder: Path) -> None:
    words = [*shlex.split(line)[1:], "--target", target]
    result = CliRunner().invoke(app, words, prog_name="swarmc")
    assert result.exit_code == 0, result.output
    for value in ("10.0", "20.0", "30.0"):
        assert value in result.output


def test_a_compiled_program_needs_its_host_functions(folder: Path) -> None:
    def swarmc(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, words, prog_name="swarmc")
        return result.exit_code, result.output

    option = ("--host-functions", "rewards.py")
    code, output = swarmc("compile", "walk.wat", *option)
    assert code == 0, output
    call = ("run", "walk.swarmc", "--invoke", "step", "--args", "2")
    code, output = swarmc(*call)
    assert code == 2 and "unknown import: env.reward" in output
    code, output = swarmc(*call, *option)
    assert code == 0 and "30.0" in output
    code, output = swarmc("compile", "walk.wat", *option, "--target", "cuda", "--emit", "ptx")
    assert code == 0 and ".extern .func" not in output


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot read nothing.py: No such file"),
        ("", "there are none in it"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import swarmc\n@swarmc.host_function('a', 'b', 'i33()')\ndef f(): pass", "'i33'"),
        ("import swarmc\n@swarmc.host_function('a', 'b', '()')\ndef f():\n  raise OSError\n",
         "nothing.py:4: host function a.b cannot raise"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used(text: str | None, complaint: str, folder: Path) -> None:
    if text is not None:
        (folder / "nothing.py").write_text(text)
    result = CliRunner().invoke(
        app, ["run", "walk.wat", "--invoke", "step", "--args", "1", "--host-functions",
              "nothing.py"], prog_name="swarmc",
    )  # fmt: skip
    assert result.exit_code == 2
    assert complaint in " ".join(result.output.split())
