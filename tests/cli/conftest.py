"""A module of many small functions, and a way to call the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from typer.testing import CliRunner, Result

from swarmc.runtime.cli import app

WAT = """
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global (export "level") (mut i32) (i32.const 3))
  (data (i32.const 16) "\\10\\1b[2Jevil\\0a")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "half") (param f32) (result f32) (f32.div (local.get 0) (f32.const 3)))
  (func (export "swap") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "exit") (param i32) (call $exit (local.get 0)))
  (func (export "nothing"))
  (func (export "forever") (loop br 0))
  (func (export "escape") (result i32)
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 10))
    (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
"""


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No test touches the user's own cache."""
    path = tmp_path_factory.mktemp("cache")
    pytest.MonkeyPatch().setenv("SWARMC_CACHE_DIR", str(path))
    return path


@pytest.fixture(scope="session")
def wasm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modules") / "module.wasm"
    path.write_bytes(wasmtime.wat2wasm(WAT))
    return path


@pytest.fixture(scope="session")
def wat(wasm: Path) -> Path:
    path = wasm.with_suffix(".wat")
    path.write_text(WAT)
    return path


@pytest.fixture
def swarmc() -> Callable[..., Result]:
    """Runs the command line; options are given as they would be typed."""
    runner = CliRunner()

    def call(*args: object) -> Result:
        return runner.invoke(app, [str(arg) for arg in args], prog_name="swarmc")

    return call
