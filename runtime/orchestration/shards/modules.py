"""Where executors get modules from, which tasks name by their SHA-256 digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ..errors import OrchestrationError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".wasm"
_BEGUN = "tmp"  # begins the names of files that are being written
_STALE = 3600.0  # seconds after which whoever wrote one has been killed


class ModuleMissingError(OrchestrationError):
    """Nobody has a module of this digest, or what was given for it is another."""


class ModuleSource(Protocol):
    """Gives modules; called from several threads."""

    def __call__(self, digest: str) -> bytes:
        """The module whose SHA-256 is this. Raises :class:`ModuleMissingError`."""


def digest_of(module: bytes) -> str:
    """What a module is called."""
    return hashlib.sha256(module).hexdigest()


def is_digest(text: object) -> bool:
    """Whether a text is one that :func:`digest_of` could give."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


class ModuleTable:
    """Modules in memory: the source where tasks run in the process that has the modules."""

    def __init__(self, modules: Mapping[str, bytes] | None = None) -> None:
        self._modules = dict(modules or {})

    def put(self, module: bytes) -> str:
        """Keep a module; gives its digest."""
        digest = digest_of(module)
        self._modules[digest] = module
        return digest

    def __call__(self, digest: str) -> bytes:
        """A module that was put here."""
        try:
            return self._modules[digest]
        except KeyError:
            raise ModuleMissingError(f"there is no module {digest}") from None


class ModuleCache:
    """Modules that are fetched once, and kept in memory and in a folder.

    Args:
        fetch: gives a module by its digest; what it raises goes through.
        folder: None: they are kept in memory only.
        limit: bytes in the folder at most; those used longest ago go.
        in_memory: modules in memory at most.
    """

    def __init__(
        self,
        fetch: Callable[[str], bytes],
        folder: str | Path | None = None,
        *,
        limit: int = 1 << 30,
        in_memory: int = 8,
    ) -> None:
        self._fetch = fetch
        self._folder = None if folder is None else Path(folder)
        self._limit, self._in_memory = limit, in_memory
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()  # guards _recent; one module is fetched at a time

    def __call__(self, digest: str) -> bytes:
        """A module, from memory, from the folder, or fetched.

        Raises:
            ModuleMissingError: it is no digest, or what came is another module.
        """
        if not is_digest(digest):  # it becomes the name of a file
            raise ModuleMissingError(f"{digest!r} is no digest of a module")
        with self._lock:
            found = self._recent.get(digest)
            if found is None:
                found = self._read(digest)
            if found is None:
                found = self._fetch(digest)
                if digest_of(found) != digest:
                    raise ModuleMissingError(f"what came for {digest} is another module")
                self._write(digest, found)
            self._recent[digest] = found
            self._recent.move_to_end(digest)
            while len(self._recent) > self._in_memory:
                self._recent.popitem(last=False)
            return found

    def _read(self, digest: str) -> bytes | None:
        if self._folder is None:
            return None
        path = self._folder / (digest + _SUFFIX)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data if digest_of(data) == digest else None  # a damaged one is fetched again

    def _write(self, digest: str, data: bytes) -> None:
        """Keep it, if that works: a full disk makes later starts slower, and nothing wrong."""
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_BEGUN, dir=self._folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(name, self._folder / (digest + _SUFFIX))
            except BaseException:
                os.unlink(name)
                raise
            self._shrink(digest)

    def _shrink(self, kept: str) -> None:
        assert self._folder is not None
        for path in self._folder.glob(f"{_BEGUN}*"):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink(missing_ok=True)
        files = [(path.stat(), path) for path in self._folder.glob("*" + _SUFFIX)]
        files.sort(key=lambda item: item[0].st_mtime)
        size = sum(info.st_size for info, _ in files)
        for info, path in files:
            if size <= self._limit:
                return
            if path.stem != kept:
                path.unlink(missing_ok=True)
                size -= info.st_size
