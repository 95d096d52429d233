"""Nodes as processes of this machine, which live on when whoever started them is gone."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .base import (
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    NodeStatus,
    SubmitError,
    UnknownJobError,
    node_folder,
)
from .node import boot_id, start_time, write_record
from .workspace import (
    SUPERVISOR,
    Records,
    conclude,
    describe,
    job_files,
    job_of,
    new_submission,
)

#: What workers inherit of this process's environment.
INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
#: Resources that nothing keeps a process of this machine from taking.
UNLIMITED = ("cpus", "gpus", "memory_mib")
_ID = re.compile(r"local-[0-9a-f]{12}")
_START_LIMIT = 30.0  # seconds from a submission until all supervisors are there


class LocalProvider:
    """Runs each node's worker as a process group of its own on this machine.

    A small supervisor a node, which belongs to no one's process group, starts the worker, ends it
    and records its exit code. So jobs go on when this process ends, and any later process with the
    same ``root`` finds and judges them. Processes are told by number, start time and boot, so that
    a number that was used again fools nobody.

    Args:
        root: folder of the jobs' folders.
        inherit: names of variables that workers get from this process.
    """

    name = "local"
    settling = 0.0

    def __init__(self, root: str | Path = "runs", *, inherit: Iterable[str] = INHERITED) -> None:
        self.root = Path(root).absolute()
        self._inherit = tuple(inherit)

    def submit(self, spec: JobSpec) -> Job:
        """Start all nodes; the supervisors are there when it returns."""
        for resource in UNLIMITED:
            if getattr(spec.resources, resource) is not None:
                raise InvalidJobError(
                    f"the local provider cannot give or limit {resource}",
                    hint="leave it out, or use a cluster",
                )
        job_id = f"local-{secrets.token_hex(6)}"
        description = describe(spec, self.name, new_submission(), forward_signals=True)
        folder = self.root / job_id
        try:
            self._lay(folder, job_files(description, spec))
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise SubmitError(f"cannot write {folder}: {error.strerror}") from error
        self._start(job_id, spec.nodes)
        return job_of(description, job_id, str(self.root))

    def _lay(self, folder: Path, files: dict[str, bytes]) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        folder.mkdir(0o700)
        for path, data in files.items():
            (folder / path).parent.mkdir(0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with open(os.open(folder / path, flags, 0o600), "wb") as file:
                file.write(data)

    def _start(self, job_id: str, nodes: int) -> None:
        folder = self.root / job_id
        command = [sys.executable, "-I", "-S", str(SUPERVISOR), str(folder)]
        environment = {name: os.environ[name] for name in self._inherit if name in os.environ}
        started: list[subprocess.Popen[bytes]] = []
        problem = ""
        try:
            for node in range(nodes):
                process = subprocess.Popen(
                    [*command, str(node), "--detach"], env=environment, cwd="/",
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
                started.append(process)
        except OSError as error:
            problem = str(error)
        end = time.monotonic() + _START_LIMIT
        for process in started:
            problem = problem or _problem_of(process, end)
            process.kill()  # the part that waited; the supervisor itself has gone its own way
            process.communicate()
        if problem:
            self.cancel(job_id)
            raise SubmitError(f"cannot start the nodes of {job_id}: {problem}")

    def status(self, job_id: str) -> JobStatus:
        """Look at the records of a job, and at its processes."""
        records = self._records(job_id)
        if records is None or records.job is None:
            reason = f"there is no job {job_id} in {self.root}"
            return JobStatus(job_id, JobState.UNKNOWN, reason, Doubt.NOT_FOUND)
        nodes = [self._node(job_id, records, node) for node in range(records.nodes)]
        return conclude(job_id, nodes, cancelled=records.cancelled)

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        """Look at many jobs."""
        return {job_id: self.status(job_id) for job_id in job_ids}

    def _node(self, job_id: str, records: Records, node: int) -> NodeStatus:
        ended = records.ended_node(node)
        if ended is not None:
            return ended
        started = records.started.get(node)
        if started is None:
            return self._not_started(records, node)
        host = started.get("host")
        if _alive(started, "supervisor"):
            return records.running_node(node)
        if _alive(started, "worker"):
            return records.running_node(node, "its supervisor is gone")
        again = self._records(job_id)  # it may have written its record since
        ended = again.ended_node(node) if again else None
        if ended is not None:
            return ended
        reason = "ended without a record of how"
        if started.get("boot") != boot_id():
            reason = "the machine was started again"
        state = JobState.CANCELLED if records.cancelled else JobState.FAILED
        return NodeStatus(node, state, reason, host)

    def _not_started(self, records: Records, node: int) -> NodeStatus:
        assert records.job is not None
        if records.cancelled:
            return NodeStatus(node, JobState.CANCELLED, "cancelled before it began")
        if time.time() < float(records.job["submitted"]) + _START_LIMIT:
            return NodeStatus(node, JobState.PENDING)
        return NodeStatus(node, JobState.FAILED, "was never started: its submission broke off")

    def cancel(self, job_id: str) -> None:
        """Tell the supervisors to end their workers."""
        records = self._records(job_id)
        if records is None or records.job is None:
            raise UnknownJobError(f"there is no job {job_id} in {self.root}")
        if self.status(job_id).state.final:
            return
        write_record(str(self.root / job_id / "cancelled"), {"at": time.time()})
        # What begins from now on sees the mark; what had begun before is in the records now.
        records = self._records(job_id)
        assert records is not None
        for node in sorted(records.started.keys() - records.exits.keys()):
            started = records.started[node]
            if not _send(started, "supervisor", signal.SIGTERM):
                _kill_group(started)
            _send(started, "supervisor", signal.SIGCONT)
        if not records.started:
            shutil.rmtree(self.root / job_id / "secrets", ignore_errors=True)

    def adopt(self, swarm_id: str) -> Job | None:
        """The youngest job of a swarm under this root."""
        found = [job for job in self.jobs() if job.swarm_id == swarm_id]
        return found[-1] if found else None

    def jobs(self) -> list[Job]:
        """All jobs under this root."""
        found = []
        for folder in self.root.glob("local-*"):
            records = self._records(folder.name)
            if records is not None and records.job is not None:
                found.append(job_of(records.job, folder.name, str(self.root)))
        return sorted(found, key=lambda job: (job.submitted, job.id))

    def close(self) -> None:
        """Nothing to free; jobs run on."""

    def _records(self, job_id: str) -> Records | None:
        if not _ID.fullmatch(job_id):
            return None
        folder = self.root / job_id
        files: dict[str, bytes] = {}
        paths = ["job.json", "cancelled"]
        try:
            description = json.loads((folder / "job.json").read_bytes())
            nodes = range(int(description["nodes"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            return None  # its submission broke off while it was written
        paths += [f"{node_folder(n)}/{name}.json" for n in nodes for name in ("started", "exit")]
        for path in paths:
            try:
                files[path] = (folder / path).read_bytes()
            except FileNotFoundError:
                continue
        return Records.of(files)


def _problem_of(process: subprocess.Popen[bytes], end: float) -> str:
    """What kept a supervisor from starting; empty if nothing did."""
    try:
        _, errors = process.communicate(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return f"a supervisor did not start within {_START_LIMIT:g} s"
    if process.returncode == 0:
        return ""
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"a supervisor exited with {process.returncode}"


def _identity(started: dict[str, Any], who: str) -> tuple[int, int] | None:
    """Number and start time of a process of this boot."""
    identity = started.get(who)
    if not isinstance(identity, list) or started.get("boot") != boot_id():
        return None
    pid, began = identity
    return (pid, began) if isinstance(pid, int) and isinstance(began, int) else None


def _alive(started: dict[str, Any], who: str) -> bool:
    identity = _identity(started, who)
    return identity is not None and start_time(identity[0]) == identity[1]


def _send(started: dict[str, Any], who: str, number: signal.Signals) -> bool:
    """Signal a process if it is still the same one; whether it was."""
    identity = _identity(started, who)
    if identity is None:
        return False
    try:
        handle = os.pidfd_open(identity[0])
    except ProcessLookupError:
        return False
    try:
        if start_time(identity[0]) != identity[1]:  # the handle stays with who was looked at
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _kill_group(started: dict[str, Any]) -> None:
    """End a worker whose supervisor is gone: nobody would count its grace."""
    identity = _identity(started, "worker")
    if identity is not None and start_time(identity[0]) == identity[1]:
        try:
            os.killpg(identity[0], signal.SIGKILL)
        except ProcessLookupError:
            return
