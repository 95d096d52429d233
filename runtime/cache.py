"""On-disk cache of compiled programs and host functions: one file each.

A file is named after everything that made it.

The directory belongs to one user and is closed to others, because its files hold machine code.
Files are written whole or not at all; one that is damaged or not what its name says is ignored.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import __version__
from ..errors import CacheError
from ..targets.executable import CompileOptions, Executable

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 2 << 30
_PROGRAM = ".swarmc"
_OBJECT = ".o"
_HEAD_SIZE = 64
_PARTIAL = ".partial"
_PARTIAL_LIFE_SECONDS = 3600
_SOURCES = ("compiler", "ir", "runtime", "targets")


def default_cache_dir(environ: Mapping[str, str] | None = None) -> Path | None:
    """``SWARMC_CACHE_DIR``, else ``swarmc`` in the XDG cache home; None: there is no home."""
    environ = os.environ if environ is None else environ
    if chosen := environ.get("SWARMC_CACHE_DIR"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative ones ignored
        return Path(base) / "swarmc"
    home = environ.get("HOME", "")
    return Path(home) / ".cache" / "swarmc" if os.path.isabs(home) else None


@functools.cache
def source_digest() -> bytes:
    """SHA-256 of swarmc's own source, so that no change of it meets code that it did not make."""
    return digest_of(Path(__file__).resolve().parent.parent)


def digest_of(root: Path) -> bytes:
    """SHA-256 over names and contents of the modules of the package at ``root``."""
    digest = hashlib.sha256()
    files = [root / "errors.py", root / "__init__.py"]
    for folder in _SOURCES:
        files += (root / folder).rglob("*.py")
    for path in sorted(files):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.digest()


def cache_key(wasm: bytes, options: CompileOptions, fingerprint: str) -> str:
    """Name of a program's entry: SHA-256 over all that its code depends on."""
    settings = json.dumps(
        [__version__, options.to_json(), fingerprint], sort_keys=True, separators=(",", ":")
    )
    digest = hashlib.sha256(source_digest())
    digest.update(hashlib.sha256(settings.encode()).digest())
    digest.update(hashlib.sha256(wasm).digest())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One file of the cache; ``used`` is the time of its last use, in seconds since the epoch.

    Its path ends in ``.swarmc`` for a program, ``.o`` for host functions.
    """

    key: str
    path: Path
    size: int
    used: float


class Cache:
    """Compiled programs in one directory.

    Args:
        directory: made (for its owner alone) if it is missing.
        limit: bytes it may hold; what was used longest ago goes first.

    Raises:
        CacheError: the directory cannot be made, or is not this user's alone to write to.
    """

    def __init__(self, directory: Path | str, limit: int = DEFAULT_LIMIT) -> None:
        self.directory = Path(directory)
        self.limit = limit
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            info = self.directory.stat()
        except OSError as error:
            raise CacheError(f"cannot use the cache directory {self.directory}: {error}") from None
        if info.st_uid != os.geteuid():
            raise CacheError(f"the cache directory {self.directory} belongs to another user")
        if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CacheError(
                f"others may write to the cache directory {self.directory}",
                hint=f"chmod 700 {self.directory}",
            )

    def get(self, key: str) -> Executable | None:
        """The program stored under a key; None if there is none that is sound."""
        data = self._read(key, _PROGRAM)
        if data is None:
            return None
        try:
            return Executable.from_bytes(data)
        except CacheError as error:
            log.warning("ignoring cache entry %s: %s", self._path(key, _PROGRAM), error)
            return None

    def put(self, key: str, executable: Executable) -> None:
        """Store a program; a disk that is full or read-only only costs the entry."""
        self._write(key, _PROGRAM, executable.to_bytes())

    def get_object(self, key: str) -> bytes | None:
        """Object code of a host function; None if there is none that is sound."""
        return self._read(key, _OBJECT)

    def put_object(self, key: str, data: bytes) -> None:
        """Store object code of a host function, as :meth:`put` does a program."""
        self._write(key, _OBJECT, data)

    def _read(self, key: str, suffix: str) -> bytes | None:
        path = self._path(key, suffix)
        try:
            with open(path, "rb", opener=_open_without_following) as file:
                info = os.fstat(file.fileno())
                if info.st_uid != os.geteuid() or not stat.S_ISREG(info.st_mode):
                    log.warning("ignoring cache entry %s: not a file of this user", path)
                    return None
                head, data = file.read(_HEAD_SIZE), file.read()
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("cannot read cache entry %s: %s", path, error)
            return None
        if head != _head(key, data):
            log.warning("ignoring cache entry %s: damaged, or not what its name says", path)
            return None
        return data

    def _write(self, key: str, suffix: str, data: bytes) -> None:
        path, partial = self._path(key, suffix), None
        try:
            handle, partial = tempfile.mkstemp(suffix=_PARTIAL, dir=self.directory)
            with open(handle, "wb") as file:
                file.write(_head(key, data))
                file.write(data)
            os.replace(partial, path)
        except OSError as error:
            log.warning("cannot write cache entry %s: %s", path, error)
            if partial is not None:
                Path(partial).unlink(missing_ok=True)
            return
        self._evict(path)

    def _evict(self, keep: Path) -> None:
        entries = sorted(self.entries(), key=lambda entry: entry.used)
        total = sum(entry.size for entry in entries)
        for entry in entries:
            if total <= self.limit:
                break
            if entry.path != keep:
                entry.path.unlink(missing_ok=True)
                total -= entry.size
        for path in self.directory.glob("*" + _PARTIAL):
            try:
                if time.time() - path.stat().st_mtime > _PARTIAL_LIFE_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                continue

    def entries(self) -> list[CacheEntry]:
        """What is stored, by key."""
        found = []
        for path in sorted(self.directory.iterdir()):
            if path.suffix not in (_PROGRAM, _OBJECT):
                continue
            try:
                info = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(info.st_mode):
                found.append(CacheEntry(path.stem, path, info.st_size, info.st_mtime))
        return found

    def clear(self) -> int:
        """Remove every entry; returns how many there were."""
        entries = self.entries()
        for path in [*(entry.path for entry in entries), *self.directory.glob("*" + _PARTIAL)]:
            path.unlink(missing_ok=True)
        return len(entries)

    def _path(self, key: str, suffix: str) -> Path:
        return self.directory / (key + suffix)


def _head(key: str, data: bytes) -> bytes:
    """What a file starts with: its name, so that it is not taken for another, and a checksum."""
    return bytes.fromhex(key) + hashlib.sha256(data).digest()


def _open_without_following(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def open_cache(cache: bool | str | os.PathLike[str]) -> Cache | None:
    """The cache that a user asked for: True is the default one, False none.

    Raises:
        CacheError: a directory that was named cannot be used; without the default one, programs
            are only compiled every time.
    """
    if cache is False:
        return None
    if cache is not True:
        return Cache(os.fspath(cache))
    directory = default_cache_dir()
    try:
        return None if directory is None else Cache(directory)
    except CacheError as error:
        log.warning("compiling without a cache: %s", error)
        return None
