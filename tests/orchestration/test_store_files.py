"""Files that cannot be opened, are in use, or of another version; who may use them."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.store import (
    Store,
    StoreAccessError,
    StoreClosedError,
    StoreError,
    StoreLockedError,
    StoreVersionError,
    schema,
    writer,
)
from swarmc.runtime.orchestration.store.schema import APPLICATION_ID, STEPS, prepare

from .storing import accept, run

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
        assert said[0].endswith("only read it, with `swarmc status` or Store.open_readonly")
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
        stop = time.monotonic() + 60
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


# -- versions --------------------------------------------------------------------------------


def test_a_store_that_was_read_leaves_no_log_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Store(path) as store:
        (task,) = accept(store)
        assert store.task(task.id) is not None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["s.db", "s.db.lock"]
    with Store.open_readonly(path) as reader:
        assert reader.task(task.id) is not None


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
        assert here.poll(60)
        refusal = "the store belongs to the process that this one was forked from; open a store"
        assert [error.startswith(refusal) for error in here.recv()[:2]] == [True, True]
        child.join(60)
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
