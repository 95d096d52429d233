"""Runs one node's worker and writes down what becomes of it.

A program of its own, in plain Python, that is copied to where the node runs:
``python3 -I -S node.py JOB_FOLDER [NODE] [--detach]``. Without NODE, it is the task's number in
Slurm. What is written is written to a new file first and renamed, so that readers see all of it or
nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import traceback
from typing import Any

_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_SIGNALS = {*_ENDING, signal.SIGCHLD}
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells have them
#: After these no other worker is started: it was drained, says that it is of no use, cannot be run.
_FINAL = {0, 78, _NOT_EXECUTABLE, _NOT_FOUND}
_BEGUN = b"begun"


def start_time(pid: int) -> int | None:
    """When a process began, in ticks since boot: tells it from a later one of the same number.

    None: there is none, or it has ended and only its parent has not noticed.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def boot_id() -> str:
    """Tells one start of a machine from the next."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def write_record(path: str, record: dict[str, Any]) -> None:
    """Write JSON that is there as a whole or not at all, even if the machine stops."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


class Node:
    """One node: its folder, its worker's process group, and its end.

    A worker that dies is started again, if the job says so: the supervisor needs nobody for that.
    """

    def __init__(self, folder: str, number: int) -> None:
        self.folder = os.path.abspath(folder)
        with open(os.path.join(self.folder, "job.json"), encoding="utf-8") as file:
            self.job: dict[str, Any] = json.load(file)
        self.number = number
        self.place = os.path.join(self.folder, f"node_{number:02d}")
        self.host = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
        self.pid = 0
        self.why = ""  # it was asked to end
        self.cancelled = False
        self.kill_at = self.end_at = float("inf")
        self.restarts = 0
        self.row = 0  # of them without a steady worker between
        self.reason = ""  # of the last one

    def prepare(self) -> None:
        """Make the folder, and say who supervises."""
        os.makedirs(self.place, 0o700, exist_ok=True)
        os.chdir(self.place)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._write_started()

    def _write_started(self) -> None:
        record = {
            "node": self.number, "host": self.host, "boot": boot_id(), "at": time.time(),
            "submission": self.job["submission"],
            "supervisor": [os.getpid(), start_time(os.getpid())],
            "restarts": self.restarts, "reason": self.reason,
        }  # fmt: skip
        if self.pid:
            record["worker"] = [self.pid, start_time(self.pid)]
        write_record("started.json", record)

    def event(self, kind: str, **data: Any) -> None:
        """Append a line to the node's log of events."""
        line = json.dumps({"at": time.time(), "kind": kind, "node": self.number, **data}) + "\n"
        file = os.open("events.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def run(self) -> int:
        """Start the worker until its end is final, and write the record of that."""
        limit = self.job.get("time_limit")
        self.end_at = time.monotonic() + limit if limit else float("inf")
        while True:
            began = time.time()
            if self._is_cancelled():
                why = "cancelled before it began" if self.restarts == 0 else ""
                return self._ended(began, None, why)
            self.event("node.started", host=self.host)
            try:
                self.pid = self._start()
            except OSError as error:
                code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
                command = self.job["command"][0]
                return self._ended(began, code, f"{command} cannot be run: {error.strerror}")
            self._write_started()
            code = os.waitstatus_to_exitcode(self._wait())
            if not self._may_restart(code, time.time() - began):
                return self._ended(began, code, self.why)
            self._pause(began, code)

    def _may_restart(self, code: int, ran: float) -> bool:
        """Whether another worker follows one that ended so, after so many seconds."""
        policy = self.job.get("restarts") or {}
        if code in _FINAL or self.why or self._is_cancelled():
            return False
        if ran >= policy.get("steady", float("inf")):
            self.row = 0
        return bool(self.row < policy.get("limit", 0))

    def _pause(self, began: float, code: int) -> None:
        """Write down how the worker ended, and wait before the next one."""
        policy = self.job["restarts"]
        delay = min(policy["longest"], policy["first"] * 2 ** min(self.row, 64))
        self.reason = f"exited with {code}" if code >= 0 else f"was killed by signal {-code}"
        self.event("node.restarting", code=code, reason=self.reason, delay=delay)
        write_record(f"exit.{self.restarts}.json", self._record(began, code, ""))
        self.restarts, self.row, self.pid = self.restarts + 1, self.row + 1, 0
        self._write_started()
        until = time.monotonic() + delay
        while (left := min(until, self.end_at) - time.monotonic()) > 0:
            got = signal.sigtimedwait(_SIGNALS, min(left, 60.0))
            if got is not None and got.si_signo != signal.SIGCHLD:
                self.cancelled = True
                return

    def _start(self) -> int:
        job = self.job
        os.environ.update(job["environment"])
        os.environ.update(
            SWARMC_SWARM_ID=job["swarm_id"], SWARMC_JOB_ID=os.path.basename(self.folder),
            SWARMC_NODE=str(self.number), SWARMC_NODES=str(job["nodes"]),
            SWARMC_WORKSPACE=self.place, SWARMC_EVENTS=os.path.join(self.place, "events.jsonl"),
            SWARMC_RESTARTS=str(self.restarts), SWARMC_RESTART_REASON=self.reason,
        )  # fmt: skip
        for name in job["secrets"]:
            os.environ[f"{name}_FILE"] = os.path.join(self.folder, "secrets", name)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawnp(
            job["command"][0], job["command"], os.environ, setpgroup=0, setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "stdout.log", append, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, "stderr.log", append, 0o600),
            ],
        )  # fmt: skip

    def _wait(self) -> int:
        """Serve signals and deadlines until the worker has ended; its status."""
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            now = time.monotonic()
            if now >= self.kill_at:
                self._signal(signal.SIGKILL)
                self.kill_at = float("inf")
            if now >= self.end_at:
                self.end_at = float("inf")
                self._end(f"time limit of {self.job['time_limit']:g} s", signal_it=True)
            left = min(self.end_at, self.kill_at) - now
            got = signal.sigtimedwait(_SIGNALS, min(left, 60.0))
            if got is not None and got.si_signo != signal.SIGCHLD:
                self.cancelled = True
                # Slurm signals every process of a job by itself
                self._end("asked to end", signal_it=self.job["forward_signals"])
        self._signal(signal.SIGKILL)  # what it left; its number is still its own
        return os.waitpid(self.pid, 0)[1]

    def _end(self, why: str, *, signal_it: bool) -> None:
        if self.why:
            return
        self.why = why
        self.event("node.ending", reason=why)
        self.kill_at = time.monotonic() + self.job["grace"]
        if signal_it:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # all of it has ended

    def _is_cancelled(self) -> bool:
        """Whether it was asked to end; a quick worker may have obeyed before we heard of it."""
        waiting = signal.sigpending() & _ENDING
        marked = os.path.exists(os.path.join(self.folder, "cancelled"))
        self.cancelled = self.cancelled or marked or bool(waiting)
        return self.cancelled

    def _ended(self, began: float, code: int | None, reason: str) -> int:
        if self._is_cancelled() and not reason:
            reason = "asked to end"
        self.event("node.ended", code=code, reason=reason)
        write_record("exit.json", self._record(began, code, reason))
        self._forget_secrets()
        return 0 if code is None else code if code >= 0 else 128 - code

    def _record(self, began: float, code: int | None, reason: str) -> dict[str, Any]:
        return {
            "node": self.number, "host": self.host, "code": code, "reason": reason,
            "cancelled": self.cancelled, "started": began, "ended": time.time(),
            "submission": self.job["submission"], "restarts": self.restarts, "row": self.row,
        }  # fmt: skip

    def _forget_secrets(self) -> None:
        """Remove them once no node needs them any more."""
        places = (f"node_{number:02d}" for number in range(self.job["nodes"]))
        if all(os.path.exists(os.path.join(self.folder, p, "exit.json")) for p in places):
            shutil.rmtree(os.path.join(self.folder, "secrets"), ignore_errors=True)


def _detach() -> int:
    """Go on as a child of nobody; gives what to tell the parent by, which exits then."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        said = os.read(reader, 1 << 16)
        if said != _BEGUN:
            os.write(2, said or b"the supervisor ended before it began")
        os._exit(0 if said == _BEGUN else 1)
    os.close(reader)
    os.setsid()
    return writer


def _redirect() -> None:
    """What Python itself may still have to say goes to a file."""
    log = os.open("supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(file, number)
        if file > 2 and number != 1:
            os.close(file)


def main(arguments: list[str]) -> int:
    """Run the node that the arguments name; its worker's exit code, as shells have it."""
    os.umask(0o077)
    detach = "--detach" in arguments
    plain = [argument for argument in arguments if argument != "--detach"]
    number = int(plain[1] if len(plain) > 1 else os.environ["SLURM_PROCID"])
    parent = _detach() if detach else None
    try:
        node = Node(plain[0], number)
        node.prepare()
        if parent is not None:
            _redirect()
    except Exception:
        if parent is not None:
            os.write(parent, traceback.format_exc().encode())
        raise
    if parent is not None:
        os.write(parent, _BEGUN)
        os.close(parent)
    return node.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
