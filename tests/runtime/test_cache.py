"""The cache on disk: sound entries only, written whole, the oldest dropped."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from swarmc.errors import CacheError
from swarmc.ir.types import FuncType
from swarmc.runtime import cache as cache_module
from swarmc.runtime.cache import (
    Cache,
    cache_key,
    default_cache_dir,
    digest_of,
    open_cache,
    source_digest,
)
from swarmc.targets.executable import CompileOptions, Entry, Executable
from swarmc.targets.layout import AgentLayout

KEY, OTHER = "00" * 31 + "01", "00" * 31 + "02"


def program(code: bytes = b"code") -> Executable:
    return Executable(
        target="cpu", fingerprint="here", objects=(code,),
        layout=AgentLayout(128, (), {}, {}, {}, {}),
        entries=(Entry("f", FuncType((), ()), 0),),
        hosts=(), global_exports=(), spans=(), signatures=(0,), template=b"", runs=(), data=(),
        elems=(), tables=(), call_depth=2048, command=False,
    )  # fmt: skip


def file_of(cache: Cache, key: str) -> Path:
    return next(entry.path for entry in cache.entries() if entry.key == key)


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a" / "b")
    assert cache.get(KEY) is None
    cache.put(KEY, program())
    assert Cache(tmp_path / "a" / "b").get(KEY) == program()
    assert cache.get(OTHER) is None
    cache.put_object(KEY, b"object")
    assert cache.get_object(KEY) == b"object"
    assert [entry.path.suffix for entry in cache.entries()] == [".o", ".swarmc"]
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(cache, KEY).stat().st_mode) == 0o600


def test_damaged_entries_are_ignored(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, program())
    path = file_of(cache, KEY)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.get(KEY) is None
        path.write_bytes(whole[:place])
        assert cache.get(KEY) is None
    path.write_bytes(whole)
    assert cache.get(KEY) == program()


def test_foreign_entries_are_ignored(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, program())
    path = file_of(cache, KEY)
    other = path.with_name(OTHER + path.suffix)
    shutil.copy(path, other)
    assert cache.get(OTHER) is None, "an entry under another name than its own"
    other.unlink()
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.get(KEY) is None, "a link"
    path.unlink()
    os.mkfifo(path)
    assert cache.get(KEY) is None, "a pipe"
    path.unlink()
    path.mkdir()
    assert cache.get(KEY) is None, "a directory"
    assert cache.entries() == []


def test_directories_of_others_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(CacheError, match="others may write"):
        Cache(open_to_all)
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot use the cache directory"):
        Cache(tmp_path / "file")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(CacheError, match="belongs to another user"):
        Cache(tmp_path)


def test_files_of_others_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, program())
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert cache.get(KEY) is None


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    size = len(program(bytes(1000)).to_bytes()) + 64
    cache = Cache(tmp_path / "cache", limit=3 * size)
    keys = [f"{number:064x}" for number in range(4)]
    for age, key in enumerate(keys[:3]):
        cache.put(key, program(bytes(1000)))
        os.utime(file_of(cache, key), (age, age))
    assert cache.get(keys[0]) is not None  # used just now
    cache.put(keys[3], program(bytes(1000)))
    assert [entry.key for entry in cache.entries()] == [keys[0], keys[2], keys[3]]
    small = Cache(tmp_path / "cache", limit=1)
    small.put(keys[1], program())
    assert [entry.key for entry in small.entries()] == [keys[1]], "the new one stays"


def test_clear_and_leftovers(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put(KEY, program())
    cache.put_object(KEY, b"object")
    old, new = cache.directory / "x.partial", cache.directory / "y.partial"
    foreign = cache.directory / "notes.txt"
    for path in (old, new, foreign):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    cache.put(OTHER, program())
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"
    assert cache.clear() == 3
    assert list(cache.directory.iterdir()) == [foreign]


def test_a_full_disk_costs_only_the_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    cache.put(KEY, program())
    assert list(cache.directory.iterdir()) == []


def test_key_depends_on_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    options = CompileOptions()
    keys = {
        cache_key(b"wasm", options, "here"),
        cache_key(b"wasm2", options, "here"),
        cache_key(b"wasm", options, "there"),
    }
    changes: list[dict[str, object]] = [
        {"target": "cuda"}, {"entry_points": ("f",)}, {"entry_points": ()}, {"max_memory": 1},
        {"call_depth": 7}, {"opt_level": 0}, {"missing_imports": "trap"},
    ]  # fmt: skip
    for change in changes:
        keys.add(cache_key(b"wasm", replace(options, **change), "here"))  # type: ignore[arg-type]
    monkeypatch.setattr(cache_module, "__version__", "99")
    keys.add(cache_key(b"wasm", options, "here"))
    monkeypatch.setattr(cache_module, "source_digest", lambda: b"changed")
    keys.add(cache_key(b"wasm", options, "here"))
    assert len(keys) == 3 + len(changes) + 2


def test_source_digest_sees_every_module(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for folder in ("compiler/wasm", "ir", "runtime", "targets", "tests"):
        (package / folder).mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "compiler/wasm/module.py"):
        (package / name).write_text("a = 1")
    seen = {digest_of(package)}
    (package / "tests" / "test_x.py").write_text("")
    (package / "runtime" / "notes.txt").write_text("")
    assert digest_of(package) in seen, "what does not run does not count"
    (package / "compiler/wasm/module.py").write_text("a = 2")
    seen.add(digest_of(package))
    (package / "ir/new.py").write_text("")
    seen.add(digest_of(package))
    (package / "ir/new.py").rename(package / "ir/newer.py")
    seen.add(digest_of(package))
    assert len(seen) == 4
    assert source_digest() == digest_of(Path(cache_module.__file__).parents[1])


def test_default_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xdg, home = {"XDG_CACHE_HOME": "/xdg", "HOME": "/home/me"}, {"HOME": "/home/me"}
    assert default_cache_dir({"SWARMC_CACHE_DIR": "/here", **xdg}) == Path("/here")
    assert default_cache_dir(xdg) == Path("/xdg/swarmc")
    assert default_cache_dir({"XDG_CACHE_HOME": "relative", **home}) == Path(
        "/home/me/.cache/swarmc"
    )
    assert default_cache_dir({}) is None
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(tmp_path / "from-env"))
    opened = open_cache(True)
    assert opened is not None and opened.directory == tmp_path / "from-env"
    assert open_cache(False) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(tmp_path / "file"))
    assert open_cache(True) is None, "the default cache is not worth an error"
    with pytest.raises(CacheError):
        open_cache(tmp_path / "file")
