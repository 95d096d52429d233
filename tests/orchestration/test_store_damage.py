"""Disks that are full, and files that are damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import (
    Store,
    StoreDamagedError,
    StoreFullError,
)
from swarmc.runtime.orchestration.tasks import Task

from .storing import accept, run

# -- full ------------------------------------------------------------------------------------


def test_it_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db", max_size=256 << 10) as store:
        kept: list[Task] = []
        with pytest.raises(StoreFullError, match="cannot grow") as full:
            while True:
                kept += accept(store, size=20_000)
        assert full.value.hint is not None
        assert len(kept) > 5
        with pytest.raises(StoreFullError):
            accept(store, size=20_000)
        assert [record.task for record in store.tasks()] == kept
        events = [Event(EventKind.TASK_CANCELLED, task.id, {}, 1.0) for task in kept[:5]]
        store.append(events)
        assert store.cleanup(1.0).tasks == 5
        kept = kept[5:] + accept(store, size=20_000)
        assert [record.task for record in store.tasks()] == kept
        assert store.stats().refused == 2


FILL = """
    import resource, sys, threading
    from swarmc.runtime.orchestration.events import Event, EventKind
    from swarmc.runtime.orchestration.store import Store
    path, limit = sys.argv[1], int(sys.argv[2])
    store = Store(path)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    errors, kept = [], []
    def fill(thread):
        for number in range(400):
            id = f"{thread}-{number}"
            data = {"id": id, "name": "n", "payload": "x" * 5000}
            try:
                store.append([Event(EventKind.TASK_ACCEPTED, id, data)])
                kept.append(id)
            except Exception as error:
                errors.append(error)
    threads = [threading.Thread(target=fill, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    print(*sorted({type(error).__name__ for error in errors}))
    print(errors[0])
    print(len(kept), len(errors))
    store.close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2) if not limit else 0
    print(*kept)
"""


def test_a_limit_on_files_is_said_to_all_who_wait(tmp_path: Path) -> None:
    """The system's own refusal, through the real path: a write that fails in the middle."""
    path = tmp_path / "s.db"
    names, error, counts, *kept = run(FILL, path, 1 << 20).splitlines()
    assert names == "StoreAccessError"
    assert error.startswith(f"{path} cannot be read or written: disk I/O error; SQLITE_IOERR")
    done, refused = map(int, counts.split())
    assert done + refused == 1600
    assert min(done, refused) > 0
    with Store(path) as store:
        assert {record.task.id for record in store.tasks()} >= set(kept[0].split())
        assert store.rebuild() == len(list(store.events()))


def test_a_full_disk(tmp_path: Path) -> None:
    """A file system of 2 MiB, where we may mount one."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)]
    if os.getuid() != 0 or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("mounting takes rights that we do not have")
    try:
        path = mounted / "s.db"
        names, error, counts, kept = run(FILL, path, 0).splitlines()
        assert names == "StoreFullError"
        assert error.startswith(f"{path} cannot grow: the disk or the store's limit is full")
        done, refused = map(int, counts.split())
        assert done + refused == 1600
        assert min(done, refused) > 0
        with Store.open_readonly(path) as reader:
            assert {record.task.id for record in reader.tasks()} == set(kept.split())
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


# -- damaged ---------------------------------------------------------------------------------


def test_no_database_at_all(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"This is a letter to my aunt. " * 500)
    before = path.read_bytes()
    for way in (Store, Store.open_readonly):
        with pytest.raises(StoreDamagedError, match=f"{path} is damaged or is no store"):
            way(path)
    assert path.read_bytes() == before


def test_a_database_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()
    for way in (Store, Store.open_readonly):
        with pytest.raises(StoreDamagedError, match="is a database, but not a store of swarmc"):
            way(path)


def damaged(tmp_path: Path) -> tuple[Path, bytearray]:
    """A store of many pages, and what its file holds."""
    path = tmp_path / "s.db"
    with Store(path) as store:
        accept(store, 500, 100)
    return path, bytearray(path.read_bytes())


def test_pages_that_were_overwritten(tmp_path: Path) -> None:
    path, data = damaged(tmp_path)
    for page in range(3, len(data) // 4096):
        data[page * 4096 : page * 4096 + 2048] = b"\xa5" * 2048
    path.write_bytes(data)
    with pytest.raises(StoreDamagedError, match=f"{path} is damaged.*restore it from a copy"):
        with Store(path) as store:
            list(store.tasks())
    with pytest.raises(StoreDamagedError, match="is damaged"):
        with Store.open_readonly(path) as reader:
            list(reader.events())


def test_a_file_that_lost_its_end(tmp_path: Path) -> None:
    path, data = damaged(tmp_path)
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(StoreDamagedError, match="is damaged"):
        with Store(path) as store:
            accept(store, 100)


def test_damage_that_a_writer_meets_ends_it(tmp_path: Path) -> None:
    path, data = damaged(tmp_path)
    with Store(path) as store:
        data[4096:] = b"\xa5" * (len(data) - 4096)
        with open(path, "r+b") as file:
            file.write(data)
        heard: list[BaseException | None] = []
        for _ in range(20):
            store.append_soon(
                [Event(EventKind.TASK_ACCEPTED, "x", {"id": "x", "name": "n"})], heard.append
            )
        with pytest.raises(StoreDamagedError):
            store.append([])
        with pytest.raises(StoreDamagedError):
            store.set_state("k", 1)
        assert [type(error) for error in heard] == [StoreDamagedError] * 20


def test_text_that_is_no_value(tmp_path: Path) -> None:
    path, _data = damaged(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE events SET data = '{' WHERE seq = 7")
    db.close()
    with Store(path) as store:
        with pytest.raises(StoreDamagedError, match="not a value"):
            list(store.tasks())
        with pytest.raises(StoreDamagedError, match="event 7 cannot be: not a value"):
            store.rebuild()
        assert store.record_counts()["tasks"] == 500


def test_a_history_that_cannot_be(tmp_path: Path) -> None:
    path, _data = damaged(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM events WHERE seq = 3")
        db.execute("INSERT INTO events SELECT 1000, 3, 'task.failed', id, 1, '{}' FROM tasks"
                   " WHERE number = 3")  # fmt: skip
    db.close()
    with Store(path) as store:
        with pytest.raises(StoreDamagedError, match=r"event 1000 cannot be: .* never accepted"):
            store.rebuild()
        assert store.record_counts()["tasks"] == 500
