"""Files that cannot be opened, are in use, full, damaged, or of another version."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.store import (
    Store,
    StoreAccessError,
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreVersionError,
    schema,
    writer,
)
from swarmc.runtime.orchestration.store.schema import APPLICATION_ID, STEPS, prepare
from swarmc.runtime.orchestration.tasks import Task


def accept(store: Store, count: int = 1, size: int = 0) -> list[Task]:
    """Have tasks accepted, each in an append of its own, and wait for the last one."""
    tasks = [Task(f"t{number}", "x" * size) for number in range(count)]
    for task in tasks[:-1]:
        store.append_soon([Event(EventKind.TASK_ACCEPTED, task.id, task.to_data())])
    store.append([Event(EventKind.TASK_ACCEPTED, tasks[-1].id, tasks[-1].to_data())])
    return tasks


def run(code: str, *arguments: object) -> str:
    """What a Python program prints."""
    program = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- one writer ------------------------------------------------------------------------------


def test_a_second_writer_hears_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        (task,) = accept(store)
        with pytest.raises(StoreLockedError, match=f"in this process \\({os.getpid()}\\)") as mine:
            Store(path)
        assert mine.value.pid == os.getpid()
        said = run(
            """
            import sys
            from swarmc.runtime.orchestration.store import Store, StoreLockedError
            try:
                Store(sys.argv[1])
            except StoreLockedError as error:
                print(error.pid, error)
            with Store.open_readonly(sys.argv[1]) as reader:
                print(*(record.task.id for record in reader.tasks()))
            """,
            path,
        ).splitlines()
        assert said[0].startswith(f"{os.getpid()} {path} is open for writing in process ")
        assert said[0].endswith("; close it there, or read it with Store.open_readonly")
        assert said[1] == task.id
    Store(path).close()


def test_another_program_that_locks_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmc.runtime.orchestration.store.connect.BUSY_TIMEOUT", 0.01)
    path = tmp_path / "s.db"
    with Store(path) as store:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLockedError, match="in use by another program"):
            accept(store)
        with pytest.raises(StoreLockedError, match="in use by another program"):
            store.set_state("k", 1)
        stranger.execute("ROLLBACK")
        stranger.close()
        tasks = accept(store, 3)
        assert [record.task for record in store.tasks()] == tasks


# -- reading only ----------------------------------------------------------------------------


def test_reading_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store, Store.open_readonly(path) as reader:
        for count in (1, 2, 3):
            accept(store)
            assert reader.record_counts()["tasks"] == count
        assert not hasattr(reader, "append")
    with Store.open_readonly(path) as reader:
        assert reader.record_counts()["tasks"] == 3
    with pytest.raises(StoreClosedError):
        reader.record_counts()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        os.chmod(name, 0o755)


def test_reading_where_nothing_can_be_written(folder: Path) -> None:
    with Store(folder / "s.db") as store:
        accept(store, 3)
    os.chmod(folder / "s.db", 0o444)
    os.chmod(folder, 0o555)
    said = run_as_nobody(
        """
        with Store.open_readonly(path) as reader:
            print(reader.record_counts()["tasks"])
        try:
            Store(path)
        except StoreError as error:
            print(type(error).__name__, error)
        """,
        folder / "s.db",
    ).splitlines()
    assert said[0] == "3"
    assert said[1] == (
        f"StoreAccessError {folder}/s.db cannot be opened for writing: Permission denied"
        f" ({folder}/s.db.lock); its folder must exist and be writable"
    )


def run_as_nobody(code: str, path: Path) -> str:
    """Run code on ``path``, by a user who may not write where we may; root is allowed all."""
    head = """
    import os, sys
    from swarmc.runtime.orchestration.store import Store, StoreError
    path = sys.argv[1]
    if os.getuid() == 0:
        os.chdir("/")
        os.setegid(65534)
        os.seteuid(65534)
    """
    return run(textwrap.dedent(head) + textwrap.dedent(code), path)


def test_a_folder_that_must_not_be_entered(folder: Path) -> None:
    Store(folder / "s.db").close()
    os.chmod(folder, 0o000)
    said = run_as_nobody(
        """
        for way in (Store, Store.open_readonly):
            try:
                way(path)
            except StoreError as error:
                print(type(error).__name__)
        """,
        folder / "s.db",
    )
    assert said.split() == ["StoreAccessError", "StoreAccessError"]


def test_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError, match=r"there is no store .*/no\.db"):
        Store.open_readonly(tmp_path / "no.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreVersionError, match=r"version 0 .* open it for writing once"):
        Store.open_readonly(tmp_path / "empty.db")


@pytest.mark.parametrize("path", ["no/s.db", "file/s.db", "."])
def test_no_place_for_a_file(path: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreAccessError, match=r"must exist and be writable|cannot be opened"):
        Store(tmp_path / path)


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
        thread.join(30)
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


# -- the write-ahead log ---------------------------------------------------------------------


def test_the_log_is_moved_while_it_grows_and_in_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LOG_SIZE", 1 << 20)
    monkeypatch.setattr(writer, "_IDLE_LOG_SIZE", 1 << 16)
    monkeypatch.setattr(writer, "_IDLE_SECONDS", 0.01)
    log = tmp_path / "s.db-wal"
    with Store(tmp_path / "s.db") as store:
        largest = 0
        for _ in range(100):
            accept(store, 10, 10_000)
            largest = max(largest, log.stat().st_size)
        assert largest < 3 << 20  # of 10 MB
        stop = time.monotonic() + 10
        while log.stat().st_size and time.monotonic() < stop:
            time.sleep(0.005)
        assert log.stat().st_size == 0
        with sqlite3.connect(tmp_path / "s.db") as stranger:
            stranger.execute("BEGIN")
            stranger.execute("SELECT count(*) FROM events").fetchone()
            accept(store, 300, 10_000)  # a reader keeps the log from being emptied
            assert log.stat().st_size > 1 << 20
            accept(store, 300, 10_000)
        stranger.close()
        assert store.record_counts()["tasks"] == 1600


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


# -- versions --------------------------------------------------------------------------------


def test_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()
    for way in (Store, Store.open_readonly):
        with pytest.raises(StoreVersionError, match=f"has version {len(STEPS) + 1} .* newer one"):
            way(path)


def test_steps_to_a_newer_version() -> None:
    """Steps run in order from where the file is, all or none; data survives."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    first = "CREATE TABLE a (x); INSERT INTO a VALUES (1)"
    assert prepare(db, "it", (first,)) == 0
    assert prepare(db, "it", (first,)) == 1
    steps = (first, "ALTER TABLE a ADD COLUMN y", "UPDATE a SET y = x + 1")
    with pytest.raises(StoreVersionError, match=r"version 1 .* reads 3; open it for writing once"):
        prepare(db, "it", steps, change=False)
    with pytest.raises(sqlite3.OperationalError):
        prepare(db, "it", (*steps, "UPDATE nothing SET x = 1"))
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT * FROM a").fetchall() == [(1,)]
    assert prepare(db, "it", steps) == 1
    assert db.execute("SELECT * FROM a").fetchall() == [(1, 2)]
    assert db.execute("PRAGMA user_version").fetchone() == (3,)
    assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    with pytest.raises(StoreVersionError, match=r"has version 3 .* knows 1"):
        prepare(db, "it", (first,))
    db.close()


def test_an_older_store_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        (task,) = accept(store)
    now = len(STEPS)
    with monkeypatch.context() as later:
        step = "ALTER TABLE state ADD COLUMN note TEXT; UPDATE state SET note = key"
        later.setattr(schema, "STEPS", (*STEPS, step))
        with pytest.raises(StoreVersionError, match=f"version {now} .* reads {now + 1}; open it"):
            Store.open_readonly(path)
        with Store(path) as store:
            assert [record.task for record in store.tasks()] == [task]
            store.set_state("k", 1)
            assert store.rebuild() == 1
        with Store.open_readonly(path) as reader:
            assert reader.record_counts()["tasks"] == 1
    with pytest.raises(StoreVersionError, match=f"version {now + 1} .* knows {now}; install"):
        Store(path)


def test_a_link_is_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "s.db")
    with Store(tmp_path / "link.db") as store:
        accept(store)
        with pytest.raises(StoreLockedError, match=r"s\.db is open for writing in this process"):
            Store(tmp_path / "s.db")
        with Store.open_readonly(tmp_path / "s.db") as reader:
            assert reader.record_counts()["tasks"] == 1


# -- forks and threads -----------------------------------------------------------------------


def _in_child(store: Store, answers: Any) -> None:
    heard: list[BaseException | None] = []
    store.append_soon([], heard.append)
    try:
        store.append([])
    except StoreError as error:
        heard.append(error)
    try:
        store.record_counts()
    except StoreError as error:
        heard.append(error)
    store.close()
    answers.send([str(error) for error in heard])


def test_a_forked_child_refuses(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    with Store(path) as store:
        accept(store)
        child = fork.Process(target=_in_child, args=(store, there))
        child.start()
        assert here.poll(30)
        refusal = "the store belongs to the process that this one was forked from; open a store"
        assert [error.startswith(refusal) for error in here.recv()[:2]] == [True, True]
        child.join(30)
        assert child.exitcode == 0
        accept(store)
        assert store.record_counts()["tasks"] == 2


def test_a_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The store of a process that is killed is free, though a child that it forked lives on."""
    said = run(
        """
        import os, signal, sys, time
        from swarmc.runtime.orchestration.store import Store
        read, write = os.pipe()
        parent = os.fork()
        if parent == 0:
            store = Store(sys.argv[1])
            child = os.fork()
            if child == 0:
                os.write(write, str(os.getpid()).encode())
                time.sleep(60)
            time.sleep(60)
        child = int(os.read(read, 20))
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        Store(sys.argv[1]).close()
        print("free")
        os.kill(child, signal.SIGKILL)
        """,
        tmp_path / "s.db",
    )
    assert said == "free\n"


def test_threads_that_read_while_one_writes(tmp_path: Path) -> None:
    wrong: list[str] = []
    with Store(tmp_path / "s.db") as store:
        acknowledged = [0]
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                least = acknowledged[0]
                found = len(list(store.tasks()))
                if found < least:
                    wrong.append(f"{found} of {least}")

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            accept(store, 10)
            acknowledged[0] += 10
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
