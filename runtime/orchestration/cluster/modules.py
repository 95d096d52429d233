"""Modules by the SHA-256 of their bytes: kept by the dispatcher, fetched by workers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from ..config_file import SwarmConfig
from .errors import ModuleError

_KEPT = 64 << 20  # bytes of modules that a worker keeps in memory


def module_path(config: SwarmConfig) -> Path | None:
    """Where a dispatcher keeps modules: beside its state; None: in memory, as that is."""
    path = config.dispatcher.state_db_path
    return None if path == ":memory:" else config.path(path).parent / "swarm-modules"


class ModuleFolder:
    """Where a dispatcher keeps modules.

    Args:
        path: made when it is needed; None: in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._memory: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        """Keep a module, durably; gives its digest. Raises OSError."""
        digest = hashlib.sha256(data).hexdigest()
        if self._path is None:
            self._memory[digest] = data
            return digest
        path = self._path / f"{digest}.wasm"
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == data:  # else it is damaged, and kept anew
                return digest
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_name(f".{digest}.{os.getpid()}.{threading.get_ident()}")
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a module. Raises ModuleError: it was never put here, or is damaged."""
        data = self._memory.get(digest)
        if data is None and self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                data = (self._path / f"{digest}.wasm").read_bytes()
        if data is None:
            raise ModuleError(f"no module {digest} is kept here", hint="module_put gives it")
        return check(data, digest)


class ModuleCache:
    """Modules that a worker has fetched.

    Args:
        fetch: gets one from the dispatcher.
    """

    def __init__(self, fetch: Callable[[str], bytes], kept: int = _KEPT) -> None:
        self._fetch = fetch
        self._room = kept
        self._lock = threading.Lock()  # guards what follows
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def get(self, digest: str) -> bytes:
        """The bytes of a module, fetched if they are not here.

        Raises:
            ModuleError: the dispatcher does not have it, or gave another one.
        """
        with self._lock:
            data = self._kept.get(digest)
            if data is not None:
                self._kept.move_to_end(digest)
                return data
        data = check(self._fetch(digest), digest)
        with self._lock:
            self._kept[digest] = data
            while sum(map(len, self._kept.values())) > self._room and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return data


def check(data: bytes, digest: str) -> bytes:
    """The bytes, if they are those of the digest. Raises ModuleError."""
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModuleError(f"what was kept as module {digest} is something else")
    return data
