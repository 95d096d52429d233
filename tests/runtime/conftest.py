"""Modules and swarms for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

from swarmc.runtime import SwarmManager

LIBRARY = """
(module
  (memory (export "memory") 1 2)
  (global $count (export "count") (mut i32) (i32.const 0))
  (global (export "big") (mut i64) (i64.const -1))
  (global (export "half") (mut f32) (f32.const 0.5))
  (global (export "answer") i32 (i32.const 42))
  (data (i32.const 4) "data")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "double") (param i32) (result i32) (i32.shl (local.get 0) (i32.const 1)))
  (func (export "mix") (param i32 i64 f32 f64) (result f64 i64 f32 i32)
    local.get 3 local.get 1 local.get 2 local.get 0)
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_s (local.get 0) (local.get 1)))
  (func (export "nothing"))
  (func (export "tick") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "same") (param externref) (result externref) local.get 0)
  (func (export "spin") (param i32)
    (loop $again
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "forever") (loop br 0)))
"""

SINGLE = '(module (func (export "only") (param i32) (result i32) local.get 0))'


@pytest.fixture(scope="session")
def library() -> bytes:
    """A library of many functions, with memory and globals."""
    return bytes(wat2wasm(LIBRARY))


@pytest.fixture(scope="session")
def single() -> bytes:
    """A module with one exported function and no memory."""
    return bytes(wat2wasm(SINGLE))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the whole run, so that each module is compiled once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def layout() -> str | None:
    """How the swarms of a test are laid out; a test module may give it other values."""
    return None


@pytest.fixture
def make_swarm(
    shared_cache: Path, layout: str | None
) -> Iterator[Callable[..., SwarmManager]]:
    """Makes swarms that are closed after the test."""
    made: list[SwarmManager] = []

    def make(wasm: bytes | str, **options: Any) -> SwarmManager:
        data = bytes(wat2wasm(wasm)) if isinstance(wasm, str) else wasm
        options = {"layout": layout} | options
        made.append(SwarmManager.from_wasm(data, cache=shared_cache, **options))
        return made[-1]

    yield make
    for swarm in made:
        swarm.close()
