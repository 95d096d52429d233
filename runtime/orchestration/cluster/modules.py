"""Modules by the SHA-256 of their bytes: kept by the dispatcher, fetched by workers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

from ..config_file import SwarmConfig
from ..executors.shard import NAME
from ..shards.modules import is_digest
from ..tasks import Task
from .errors import ModuleError

_KEPT = 64 << 20  # bytes of modules that a worker keeps in memory
#: Bytes of modules that a dispatcher keeps.
LIMIT = 1 << 30
_LEAST = 4096  # bytes that a file takes, however small: else there would be many
_BEGUN = 3600.0  # seconds after which nobody writes a file any more
_SUFFIX = ".wasm"


def module_path(config: SwarmConfig) -> Path | None:
    """Where a dispatcher keeps modules: beside its state; None: in memory, as that is."""
    path = config.dispatcher.state_db_path
    return None if path == ":memory:" else config.path(path).parent / "swarm-modules"


class ModuleFolder:
    """Where a dispatcher keeps modules. May be used from several threads.

    Args:
        path: made when it is needed; None: in memory.
        limit: bytes at most. Modules that nothing holds go, those used longest ago first.
    """

    def __init__(self, path: Path | None, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._memory: dict[str, bytes] = {}
        self._lock = threading.Lock()  # guards what follows, and what is removed
        #: What each takes of the limit, those used longest ago first; None: not looked at yet.
        self._sizes: OrderedDict[str, int] | None = None
        self._size = 0  # of all
        self._held: dict[str, str] = {}  # digests, by the ids of the tasks that need them
        self._counts: Counter[str] = Counter()  # of tasks, by digest

    def put(self, data: bytes) -> str:
        """Keep a module, durably; gives its digest.

        Raises:
            ModuleError: there is no room, and tasks that have not ended need all that is kept.
            OSError: it cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        taken = max(_LEAST, len(data))
        with self._lock:
            fresh = digest not in self._known()
            if fresh:
                self._make_room(taken)
                self._known()[digest] = taken
                self._size += taken
            self._counts[digest] += 1  # nobody removes it while it is written
        try:
            self._write(digest, data)
        except BaseException:
            with self._lock:
                if fresh:
                    self._remove(digest)
            raise
        finally:
            with self._lock:
                self._needed_no_more(digest)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a module. Raises ModuleError: it is not here any more, or is damaged."""
        with self._lock:
            sizes = self._known()
            if digest in sizes:
                sizes.move_to_end(digest)
        data = self._memory.get(digest)
        if data is None and self._path is not None:
            path = self._file(digest)
            with contextlib.suppress(FileNotFoundError):
                data = path.read_bytes()
                os.utime(path)  # for the order after a restart
        if data is None:
            raise missing(digest)
        return check(data, digest)

    def require(self, task_id: str, digest: str) -> bool:
        """Keep a module until :meth:`release` for a task; False: it is kept for that already.

        Raises:
            ModuleError: it is not here.
        """
        with self._lock:
            there = digest in self._known()
            if not there or (self._path is not None and not self._file(digest).exists()):
                raise missing(digest)
            return self._hold(task_id, digest)

    def hold(self, task_id: str, digest: str) -> None:
        """Keep a module, if it is here, until :meth:`release` for a task."""
        with self._lock:
            self._hold(task_id, digest)

    def release(self, task_id: str) -> None:
        """A task needs its module no more, if it needed one."""
        if task_id not in self._held:  # as nearly all tasks
            return
        with self._lock:
            digest = self._held.pop(task_id, None)
            if digest is not None:
                self._needed_no_more(digest)

    def load(self) -> None:
        """Look what is there: else the first one who asks for something does."""
        with self._lock:
            self._known()

    def _needed_no_more(self, digest: str) -> None:
        self._counts[digest] -= 1
        if not self._counts[digest]:
            del self._counts[digest]
        if digest in self._known():
            self._known().move_to_end(digest)

    def _hold(self, task_id: str, digest: str) -> bool:
        if task_id in self._held:
            return False
        self._held[task_id] = digest
        self._counts[digest] += 1
        return True

    def _known(self) -> OrderedDict[str, int]:
        """Of each module what it takes; of an earlier process, in the order in which it used them.

        What a process that was killed had begun to write is removed.
        """
        if self._sizes is None:
            found = []
            for path in self._path.iterdir() if self._path and self._path.is_dir() else ():
                info = path.stat()
                if path.suffix == _SUFFIX:
                    found.append((info.st_mtime, path.stem, max(_LEAST, info.st_size)))
                elif path.name.startswith(".") and time.time() - info.st_mtime > _BEGUN:
                    path.unlink(missing_ok=True)
            self._sizes = OrderedDict((digest, size) for _, digest, size in sorted(found))
            self._size = sum(self._sizes.values())
        return self._sizes

    def _make_room(self, size: int) -> None:
        for digest in list(self._known()):
            if self._size + size <= self._limit:
                return
            if digest not in self._counts:
                self._remove(digest)
        if self._size + size > self._limit:
            raise ModuleError(
                f"there is no room for a module: tasks that have not ended need {self._size:,} of"
                f" the {self._limit:,} bytes that there are for modules",
                hint="wait until some have ended, or raise module_storage_mib of [dispatcher]",
            )

    def _remove(self, digest: str) -> None:
        self._size -= self._known().pop(digest, 0)
        self._memory.pop(digest, None)
        if self._path is not None:
            self._file(digest).unlink(missing_ok=True)

    def _file(self, digest: str) -> Path:
        assert self._path is not None
        return self._path / f"{digest}{_SUFFIX}"

    def _write(self, digest: str, data: bytes) -> None:
        if self._path is None:
            self._memory[digest] = data
            return
        path = self._file(digest)
        with contextlib.suppress(FileNotFoundError):
            if path.read_bytes() == data:  # else it is damaged, and kept anew
                os.utime(path)
                return
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


def module_of(task: Task) -> str | None:
    """The digest of the module that a task needs of the dispatcher."""
    if task.executor != NAME or not isinstance(task.payload, dict):
        return None
    inner = task.payload.get("parameters")
    found = (inner if isinstance(inner, dict) else task.payload).get("module")
    return found if is_digest(found) else None


def missing(digest: str) -> ModuleError:
    """That a module is not here."""
    return ModuleError(f"no module {digest} is kept here", hint="module_put gives it")


def check(data: bytes, digest: str) -> bytes:
    """The bytes, if they are those of the digest. Raises ModuleError."""
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModuleError(f"what was kept as module {digest} is something else")
    return data
