"""Other programs: what they are given, what they may answer, and that none outlives its attempt."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarmc.runtime.orchestration.errors import (
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.executors import (
    ProcessExecutor,
    php_engine,
    powershell_engine,
    rust_injector,
)
from swarmc.runtime.orchestration.executors.reaper import Reaper
from swarmc.runtime.orchestration.tasks import Task, TaskContext

ECHO = "import json, sys; json.dump(json.load(sys.stdin), sys.stdout)"
WAIT_SECONDS = 60.0


def python(code: str, **options: Any) -> ProcessExecutor:
    return ProcessExecutor("stub", [sys.executable, "-S", "-c", code], **options)


def shell(code: str, **options: Any) -> ProcessExecutor:
    return ProcessExecutor("stub", ["/bin/sh", "-c", code], **options)


def run(executor: ProcessExecutor, payload: Any = None, context: TaskContext | None = None) -> Any:
    return executor.run(Task("t", payload, id="task-1"), context or TaskContext())


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def when(path: Path, act: Callable[[], object]) -> threading.Thread:
    """A thread that does something as soon as a file is there."""

    def work() -> None:
        until(path.exists)
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def all_gone(pids: Path) -> None:
    """Wait until none of the processes whose numbers a file has is alive."""
    numbers = [int(word) for word in pids.read_text().split()]
    until(lambda: not any(map(alive, numbers)))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_it_is_given_the_task_and_gives_a_value() -> None:
    payload = {"type": "query", "context": "database", "parameters": {"table": "é", "raw": b"\0"}}
    context = TaskContext(attempt=2, inputs={"before": [1, None]})
    assert run(python(ECHO), payload, context) == {
        "name": "t", "type": "query", "context": "database",
        "parameters": {"table": "é", "raw": b"\0"}, "inputs": {"before": [1, None]},
        "idempotency_key": "task-1", "attempt": 2, "workflow": None,
    }  # fmt: skip


def test_large_values_in_both_directions() -> None:
    text = "x" * 3_000_000
    assert run(python(ECHO), {"text": text})["parameters"] == {"text": text}


def test_it_need_not_read_its_input() -> None:
    assert run(shell("echo 7"), {"text": "x" * 1_000_000}) == 7


def test_environment_and_folder(tmp_path: Path) -> None:
    code = """printf '["%s", "%s"]' "$COLOUR" "$PWD" """
    executor = shell(code, env={"COLOUR": "red"}, cwd=tmp_path)
    assert run(executor) == ["red", str(tmp_path)]


def test_a_relative_program_begins_at_the_folder(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\necho 5\n")
    (tmp_path / "program").chmod(0o755)
    assert run(ProcessExecutor("stub", ["./program"], cwd=tmp_path)) == 5


def test_standard_error_is_told_meanwhile() -> None:
    said: list[tuple[str, str]] = []
    context = TaskContext(emit=lambda kind, data: said.append((kind, data)))
    assert run(shell("echo so far >&2; echo null"), None, context) is None
    assert said == [("stderr", "so far\n")]


@pytest.mark.parametrize(
    ("code", "message", "retry"),
    [
        ("echo lost the file >&2; exit 3",
         "stub exited with 3\nits standard error ends with:\nlost the file", True),
        ("kill -KILL $$", "stub was killed by SIGKILL", True),
        ("true", "stub printed nothing", True),
        ("echo '{\"a\": '", "stub printed no JSON: not a value:", True),
        ("echo one two", "stub printed no JSON: not a value:", True),
        ("echo '{\"error\": \"table is missing\", \"retry\": false}'; exit 1",
         "stub exited with 1: table is missing", False),
        ("echo '{\"error\": \"busy\"}'; exit 1", "stub exited with 1: busy", True),
    ],
)  # fmt: skip
def test_failures_say_why(code: str, message: str, retry: bool) -> None:
    with pytest.raises(TaskError) as raised:
        run(shell(code))
    assert str(raised.value).startswith(message)
    assert raised.value.retry is retry


def test_standard_error_is_bounded() -> None:
    code = "import sys; sys.stderr.write('a' * 300000 + 'the end'); sys.exit(1)"
    with pytest.raises(TaskError) as raised:
        run(python(code, max_errors=1000))
    text = str(raised.value)
    assert text.endswith("aaathe end")
    assert len(text) < 1100


def test_output_is_bounded() -> None:
    with pytest.raises(TaskError, match="stub printed more than 100,000 bytes") as raised:
        run(shell("yes", max_output=100_000))
    assert not raised.value.retry
    with pytest.raises(TaskError, match="stub printed more than 10 bytes"):
        run(shell("echo 12345678901234567890", max_output=10))


def test_a_program_that_must_not_be_executed(tmp_path: Path) -> None:
    (tmp_path / "injector").touch()
    with pytest.raises(TaskError, match="/injector must be executable: chmod \\+x"):
        run(rust_injector(tmp_path / "injector"))


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    for executor, message in (
        (rust_injector(tmp_path / "no"), f"rust_injector cannot run: there is no program {tmp_path}"
         "/no; set backends.rust_injector.binary_path"),
        (php_engine(tmp_path / "x.php", sys.executable), "php_engine cannot run: there is no file"
         f" {tmp_path}/x.php; set backends.php_engine.script_path"),
        (php_engine(__file__, "no-such-php"), "php_engine cannot run: there is no program"
         " no-such-php; set backends.php_engine.php_binary"),
        (powershell_engine(__file__, "no-such-pwsh"), "powershell_engine cannot run: there is no"
         " program no-such-pwsh; set backends.powershell_engine.pwsh_binary"),
    ):  # fmt: skip
        with pytest.raises(TaskError) as raised:
            run(executor)
        assert str(raised.value) == message
        assert not raised.value.retry
        assert str(executor.problem()) == message


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF no")
    program.chmod(0o755)
    with pytest.raises(TaskError, match=r"cannot run: .*Exec format error") as raised:
        run(rust_injector(program))
    assert not raised.value.retry


def stubborn(pid_file: Path) -> ProcessExecutor:
    """A program that ignores SIGTERM and has a child, which does, too."""
    code = f"trap '' TERM; sleep 300 & echo $$ $! > {pid_file}.new; mv {pid_file}.new {pid_file}; "
    return shell(code + "while :; do sleep 0.01; done", grace=0.05)


def test_a_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    now = [0.0]
    context = TaskContext(deadline=10.0, clock=lambda: now[0] + time.monotonic() / 1e6)
    started = when(pids, lambda: now.__setitem__(0, 11.0))
    executor = stubborn(pids)
    executor.grace = 1e-7
    with pytest.raises(TaskTimeoutError, match="stub timed out"):
        run(executor, None, context)
    started.join()
    all_gone(pids)


def test_cancellation_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    context = TaskContext()
    started = when(pids, context.cancelled.set)
    with pytest.raises(TaskCancelledError):
        run(stubborn(pids), None, context)
    started.join()
    all_gone(pids)


def test_a_program_may_clean_up_when_it_is_asked_to_end(tmp_path: Path) -> None:
    ready, log = tmp_path / "ready", tmp_path / "log"
    code = f"trap 'echo cleaned > {log}; exit' TERM; touch {ready}; while :; do sleep 0.01; done"
    context = TaskContext()
    started = when(ready, context.cancelled.set)
    with pytest.raises(TaskCancelledError):
        run(shell(code, grace=WAIT_SECONDS), None, context)
    started.join()
    assert log.read_text() == "cleaned\n"


def test_children_do_not_outlive_a_program_that_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    assert run(shell(f"sleep 300 & echo $! > {pids}; echo 5")) == 5  # its child holds the pipes
    assert time.monotonic() - begun < WAIT_SECONDS
    all_gone(pids)


def test_children_that_never_stop_printing_are_not_waited_for() -> None:
    begun = time.monotonic()
    assert run(shell("yes >&2 & echo 5")) == 5
    assert time.monotonic() - begun < WAIT_SECONDS


def test_the_executors_own_timeout() -> None:
    with pytest.raises(TaskTimeoutError, match="stub timed out"):
        run(shell("echo asked >&2; sleep 300", timeout=0.05))


def test_no_file_stays_open() -> None:
    run(shell("echo 1"))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(shell("echo 1"))
        with pytest.raises(TaskError):
            run(shell("exit 1"))
    assert len(os.listdir("/proc/self/fd")) == before


PHP = """<?php
$task = json_decode(stream_get_contents(STDIN), true);
if ($task["parameters"]["operation"] !== "init") { fwrite(STDERR, "unknown"); exit(4); }
echo json_encode(["done" => $task["name"], "tables" => array_sum($task["parameters"]["sizes"])]);
"""


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php-cli")
def test_php(tmp_path: Path) -> None:
    script = tmp_path / "engine.php"
    script.write_text(PHP)
    executor = php_engine(script)
    assert executor.problem() is None
    assert run(executor, {"operation": "init", "sizes": [1, 2, 3]}) == {"done": "t", "tables": 6}
    with pytest.raises(TaskError, match="php_engine exited with 4"):
        run(executor, {"operation": "other"})


def test_powershell_runs_a_script_file(tmp_path: Path) -> None:
    """A stand-in for pwsh shows what it is called with."""
    pwsh, script = tmp_path / "pwsh", tmp_path / "symbolic.ps1"
    pwsh.write_text('#!/bin/sh\nprintf \'["%s","%s","%s","%s","%s"]\' "$@"\n')
    pwsh.chmod(0o755)
    script.write_text("")
    assert run(powershell_engine(script, pwsh)) == [
        "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(script)
    ]  # fmt: skip


def test_rust(tmp_path: Path) -> None:
    injector = tmp_path / "wp_injector"
    injector.write_text(f"#!{sys.executable} -S\n{ECHO}\n")
    injector.chmod(0o755)
    given = run(rust_injector(injector), {"table": "wp_posts"})
    assert given["parameters"] == {"table": "wp_posts"}


#: A program begins to work when it is given its input, which is after the reaper has heard of it.
KILLED = """
import sys
from swarmc.runtime.orchestration.executors import ProcessExecutor
from swarmc.runtime.orchestration.tasks import Task, TaskContext

code = 'cat >/dev/null; sleep 300 & echo $! >child; echo $$ >own; mv own program; wait'
ProcessExecutor("stub", ["/bin/sh", "-c", code]).run(Task("t", None, id="t"), TaskContext())
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_programs_of_a_killed_process_end_with_all_that_they_started(tmp_path: Path) -> None:
    dispatcher = subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path)
    try:
        until((tmp_path / "program").exists)
        pids = [int((tmp_path / name).read_text()) for name in ("program", "child")]
        assert all(map(lives, pids))
    finally:
        dispatcher.kill()
        dispatcher.wait()
    until(lambda: not any(map(lives, pids)))


def test_a_reaper_that_was_ended_is_started_again() -> None:
    """And told of all that is to be watched; what ended is forgotten."""
    reaper = Reaper()
    bystander, ours, later = (subprocess.Popen(["sleep", "300"], process_group=0) for _ in "abc")
    try:
        with reaper.watching(bystander.pid):
            first = reaper._process
            assert first is not None
        with reaper.watching(ours.pid):
            first.kill()
            first.wait()
            with reaper.watching(later.pid):
                second = reaper._process
                assert second is not None and second is not first
                reaper._forget()  # as the end of this process would
                assert (ours.wait(WAIT_SECONDS), later.wait(WAIT_SECONDS)) == (-9, -9)
        assert bystander.poll() is None
    finally:
        reaper.close()
        for process in (bystander, ours, later):
            process.kill()
            process.wait()
