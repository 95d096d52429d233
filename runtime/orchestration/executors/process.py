"""Executors that are other programs: JSON on standard input, JSON on standard output."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ..codec import ValueEncodingError, dumps, loads
from ..errors import TaskCancelledError, TaskError, TaskTimeoutError
from ..tasks import Task, TaskContext
from .calls import Call
from .reaper import REAPER

_STEP = 0.02  # seconds between looks whether the attempt should stop
_DRAIN = 0.2  # for output that a child's children may still hold, once it has ended
_LONGEST_DRAIN = 2.0  # if it never ends
_CHUNK = 1 << 16
_SHOWN_ERRORS = 2000  # characters of standard error in messages


class ProcessExecutor:
    """Runs a program for each attempt at a task.

    It reads one JSON object: ``name``, ``type``, ``context``, ``parameters``, ``inputs``,
    ``idempotency_key``, ``attempt``, ``workflow``, and for compensations ``rollback_of``. It
    prints one JSON value, the result, and exits with 0. Another exit code is a failure, which is
    tried again; unless what it printed is ``{"error": "...", "retry": false}``.

    The program gets a process group of its own. When the attempt is cancelled or times out, the
    whole group is asked to end by SIGTERM, and killed ``grace`` seconds later; what its children
    left running when it ended is killed, too, and so is all of it if this process is killed.

    Args:
        name: as tasks name it.
        command: the program and its first arguments; a name without ``/`` is looked up in PATH.
        files: files that must be there, such as a script.
        settings: of the program and of the files, what to set in a configuration; for hints.
        env: added to this process's environment.
        cwd: where it runs, and where a relative path of it begins; None: where this process is.
        timeout: seconds that an attempt may take, if that is less than what its task allows.
        max_output: bytes that it may print.
        max_errors: bytes kept of what it writes to standard error, the last ones.
        grace: seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        files: Mapping[str, Path] | None = None,
        setting: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = float("inf"),
        max_output: int = 16 << 20,
        max_errors: int = 64 << 10,
        grace: float = 2.0,
    ) -> None:
        if not command:
            raise ValueError("a process executor needs a command")
        self.name = name
        program = str(command[0])
        if cwd is not None and "/" in program:
            program = str(cwd.absolute() / program)
        self.command = (program, *map(str, command[1:]))
        self.timeout, self.grace = timeout, grace
        self.max_output, self.max_errors = max_output, max_errors
        self._files, self._setting = dict(files or {}), setting
        self._env = dict(env or {})
        self._cwd = cwd

    def problem(self) -> TaskError | None:
        """What keeps the program from being started, if that can be seen beforehand."""
        if shutil.which(self.command[0]) is None:
            program = self.command[0]
            if "/" in program and Path(program).is_file():
                return self._cannot(f"{program} must be executable: chmod +x")
            return self._cannot(f"there is no program {program}", self._setting)
        for setting, path in self._files.items():
            if not path.is_file():
                return self._cannot(f"there is no file {path}", setting)
        return None

    def _cannot(self, why: str, setting: str | None = None) -> TaskError:
        hint = f"set {setting}" if setting else None
        return TaskError(f"{self.name} cannot run: {why}", retry=False, hint=hint)

    def run(self, task: Task, context: TaskContext) -> Any:
        """Run the program and give what it printed.

        Raises:
            TaskError: it cannot be started, failed, or printed what is no JSON.
            TaskTimeoutError: it was killed because it took too long.
            TaskCancelledError: it was killed because the task was cancelled.
        """
        try:
            request = dumps(Call.of(task, context).to_data()).encode()
        except ValueEncodingError as error:
            message = f"{self.name} cannot be given its input: {error}"
            raise TaskError(message, retry=False) from None
        context.check()
        problem = self.problem()
        if problem is not None:
            raise problem
        REAPER.ready()
        with self._start() as process, REAPER.watching(process.pid):
            running = _Running(process, self, context)
            try:
                running.exchange(request)
            finally:
                running.end()
        return self._result(process.returncode, running.output, running.errors)

    def close(self) -> None:
        """Nothing to free: programs end with the attempts that they were started for."""

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True, cwd=self._cwd,
                env={**os.environ, **self._env},
            )  # fmt: skip
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
                raise TaskError(f"{self.name} cannot be started now: {error.strerror}") from error
            raise self._cannot(f"{self.command[0]}: {error.strerror}", self._setting) from error

    def _result(self, code: int, output: bytes, errors: bytes) -> Any:
        value: Any = None
        complaint = None
        try:
            value = loads(output)
        except ValueEncodingError as error:
            complaint = f"printed no JSON: {error}" if output.strip() else "printed nothing"
        if code != 0:
            said = value.get("error") if isinstance(value, dict) else None
            retry = not (said and value.get("retry") is False)
            message = f"{self.name} {_ending(code)}" + (f": {said}" if said else "")
            raise TaskError(message + _shown(errors), retry=retry)
        if complaint is not None:
            raise TaskError(f"{self.name} {complaint}{_shown(errors)}")
        return value


def _ending(code: int) -> str:
    if code > 0:
        return f"exited with {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _shown(errors: bytes) -> str:
    text = errors.decode("utf-8", "replace").strip()
    if len(text) > _SHOWN_ERRORS:
        text = "..." + text[-_SHOWN_ERRORS:]
    return f"\nits standard error ends with:\n{text}" if text else ""


class _Running:
    """One started program: feeds it, reads it, and ends it with all that it started."""

    def __init__(
        self, process: subprocess.Popen[bytes], executor: ProcessExecutor, context: TaskContext
    ) -> None:
        self._process, self._executor, self._context = process, executor, context
        self._selector = selectors.DefaultSelector()
        self._output, self._errors = bytearray(), bytearray()
        self._input: memoryview = memoryview(b"")
        self._deadline = min(context.deadline, context.clock() + executor.timeout)

    @property
    def output(self) -> bytes:
        return bytes(self._output)

    @property
    def errors(self) -> bytes:
        return bytes(self._errors)

    def exchange(self, request: bytes) -> None:
        """Feed and read until the program has ended."""
        self._input = memoryview(request)
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr
        for pipe, event, act in (
            (stdin, selectors.EVENT_WRITE, self._feed),
            (stdout, selectors.EVENT_READ, self._read_output),
            (stderr, selectors.EVENT_READ, self._read_errors),
        ):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event, (pipe, act))
        while not self._ended():
            self._check()
            self._serve(_STEP)
        self._drain()
        self._refuse_too_much()

    def _drain(self) -> None:
        """Read what is left in the pipes; what a child's children hold open is not waited for."""
        begun = self._context.clock()
        while self._reading():
            served = self._serve(_STEP)
            took = self._context.clock() - begun
            if took > _LONGEST_DRAIN or (took > _DRAIN and not served):
                return

    def end(self) -> None:
        """Kill what still runs of the group, and wait for the program."""
        if not self._ended():
            self._kill(signal.SIGTERM)
            end = self._context.clock() + self._executor.grace
            while not self._ended() and self._context.clock() < end:
                self._serve(_STEP)
        self._kill(signal.SIGKILL)  # before the program is waited for: its number is still its own
        self._process.wait()
        self._selector.close()

    def _check(self) -> None:
        if self._context.cancelled.is_set():
            raise TaskCancelledError
        if self._context.clock() >= self._deadline:
            raise TaskTimeoutError(f"{self._executor.name} timed out{_shown(self.errors)}")
        self._refuse_too_much()

    def _refuse_too_much(self) -> None:
        limit = self._executor.max_output
        if len(self._output) > limit:
            raise TaskError(f"{self._executor.name} printed more than {limit:,} bytes", retry=False)

    def _ended(self) -> bool:
        """Whether the program has ended; it is not waited for yet."""
        if self._process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _kill(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _reading(self) -> bool:
        return any(key.events & selectors.EVENT_READ for key in self._selector.get_map().values())

    def _serve(self, timeout: float) -> bool:
        """Do what pipes are ready for, or wait so long; whether one was."""
        if not self._selector.get_map():
            self._context.cancelled.wait(min(timeout, 0.005))
            return False
        ready = self._selector.select(timeout)
        for key, _ in ready:
            act: Callable[[IO[bytes]], bool]
            pipe, act = key.data
            if not act(pipe):
                self._selector.unregister(pipe)
                pipe.close()
        return bool(ready)

    def _feed(self, pipe: IO[bytes]) -> bool:
        try:
            self._input = self._input[os.write(pipe.fileno(), self._input[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # it has read enough
            return False
        return bool(self._input)

    def _read_output(self, pipe: IO[bytes]) -> bool:
        data = os.read(pipe.fileno(), _CHUNK)
        if len(self._output) <= self._executor.max_output:
            self._output += data
        return bool(data)

    def _read_errors(self, pipe: IO[bytes]) -> bool:
        data = os.read(pipe.fileno(), _CHUNK)
        if data:
            self._context.emit("stderr", data.decode("utf-8", "replace"))
            self._errors += data
            del self._errors[: max(0, len(self._errors) - self._executor.max_errors)]
        return bool(data)
