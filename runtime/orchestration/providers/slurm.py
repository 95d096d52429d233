"""Nodes as the tasks of one job in a Slurm cluster, which may be away, slow or forgetful."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from .base import (
    Doubt,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    NodeStatus,
    ProviderUnavailableError,
    SubmitError,
    SubmitUncertainError,
    UnknownJobError,
)
from .commands import Answer, Commands
from .script import CLAIM_NOW, MARK, STAGING, batch_script
from .slurm_options import SlurmOptions
from .workspace import (
    SUPERVISOR,
    Records,
    conclude,
    describe,
    job_files,
    job_of,
    new_submission,
    parse,
)

_ID = re.compile(r"[1-9][0-9]{0,9}")
_COMMENT = "swarmc:"
_JOB_NAME = "swarmc-"
_FORMAT = "%i|%T|%r|%N|%j|%k"  # the comment last: only there others may have put a '|'
_RECORDS = r"(job|exit)\.json|cancelled|node_[0-9]+/(started|exit)\.json"
#: Of a job that has begun, the workers may still need their secrets.
_MARK_CANCELLED = """
[ -d "$1" ] || exit 3
umask 077
: >"$1/cancelled" || exit 1
[ -n "$2" ] || rm -rf "$1/secrets"
"""
_LINGER = 5.0  # seconds
_STALE = 600.0  # seconds after which a submission that Slurm does not know is cleared away

_STATES = {
    JobState.PENDING: "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD"
    " SPECIAL_EXIT",
    JobState.RUNNING: "RUNNING SUSPENDED STOPPED SIGNALING RESIZING",
    JobState.COMPLETING: "COMPLETING STAGE_OUT",
    JobState.COMPLETED: "COMPLETED",
    JobState.FAILED: "FAILED TIMEOUT NODE_FAIL OUT_OF_MEMORY BOOT_FAIL DEADLINE PREEMPTED REVOKED"
    " LAUNCH_FAILED RECONFIG_FAIL",
    JobState.CANCELLED: "CANCELLED",
}
_BY_NAME = {name: state for state, names in _STATES.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class _Row:
    """What squeue says of a job."""

    id: str
    state: str
    reason: str
    hosts: str
    name: str
    comment: str

    @property
    def ours(self) -> bool:
        return self.comment.startswith(_COMMENT) and self.name.startswith(_JOB_NAME)

    @property
    def words(self) -> str:
        """State and reason as Slurm has them."""
        plain = self.reason in ("", "None")
        return self.state if plain else f"{self.state} ({self.reason})"


class SlurmProvider:
    """Runs a swarm as one job of a Slurm cluster: one sbatch, one task a node.

    Every command gets ``options.timeout`` seconds; what does not answer says nothing about the
    job. What jobs wrote into their folders counts before what Slurm has forgotten.

    Args:
        root: folder of the jobs' folders, on a file system that all nodes share. On another
            machine (``options.ssh_host``) it must be absolute.
    """

    name = "slurm"
    settling = 10.0  # slurmctld writes its state down every 5 s

    def __init__(self, root: str = "runs", options: SlurmOptions | None = None) -> None:
        self.options = options or SlurmOptions()
        self.root = self.options.absolute(root)
        self._commands = Commands(
            self.options.timeout, self.options.ssh_command(),
            environment=self.options.environment(),
        )  # fmt: skip

    def submit(self, spec: JobSpec) -> Job:
        """Lay the job's files where the nodes see them, and give Slurm its script."""
        submission = new_submission()
        description = describe(spec, self.name, submission, forward_signals=False)
        python = self.options.python or ("python3" if self.options.ssh_host else sys.executable)
        script = batch_script(spec, self.options.lines(), self.root, submission, python).encode()
        files = job_files(description, spec)
        files |= {f"{MARK}{submission}": b"", "node.py": SUPERVISOR.read_bytes()}
        files["batch.sh"] = script
        answer = self._commands.lay(f"{self.root}/{STAGING}{submission}", files)
        if answer.code != 0:
            raise SubmitError(f"cannot write in {self.root}: {answer.complaint}")
        job_id = self._sbatch(script, submission, spec.swarm_id)
        self._claim(job_id, submission)  # else the job does it itself
        return job_of(description, job_id, self.root)

    def _sbatch(self, script: bytes, submission: str, swarm_id: str) -> str:
        answer = self._commands.run(["sbatch", "--parsable"], script)
        job_id = answer.text.strip().partition(";")[0]
        if answer.code == 0 and _ID.fullmatch(job_id):
            return job_id
        if answer.began and (answer.code == 0 or answer.doubt is not None):
            rows = self._ask("--me")
            for row in rows if not isinstance(rows, Answer) else []:
                if row.name == _JOB_NAME + submission:
                    return row.id
            said = answer.complaint or f"sbatch said {job_id!r}"
            raise SubmitUncertainError(
                f"whether Slurm took the job of swarm {swarm_id} is not known: {said}",
                hint="look for it with adopt() before it is submitted again",
            )
        self._remove_staging(submission)
        why = "Slurm refused the job" if answer.began else "Slurm's commands are not here"
        raise SubmitError(f"{why}: {answer.complaint}")

    def _remove_staging(self, submission: str) -> None:
        self._commands.run(["rm", "-rf", f"{self.root}/{STAGING}{submission}"])

    def _claim(self, job_id: str, submission: str) -> bool:
        return self._commands.shell(CLAIM_NOW, self.root, submission, job_id).code == 0

    def _ask(self, *which: str) -> list[_Row] | Answer:
        """What squeue says; an answer with a doubt if it says nothing."""
        command = ["squeue", "--noheader", "--states=all", f"--format={_FORMAT}", *which]
        answer = self._commands.run(command)
        if answer.doubt is not None:
            return answer
        if answer.code != 0:
            known = "invalid job id" in answer.complaint.lower()
            doubt = Doubt.NOT_FOUND if known else Doubt.UNREADABLE
            return replace(answer, doubt=doubt)
        rows = []
        for line in answer.text.splitlines():
            fields = line.split("|", 5)
            if len(fields) != 6:
                complaint = f"squeue said {line!r}"
                return Answer(0, complaint=complaint, doubt=Doubt.UNREADABLE)
            rows.append(_Row(*fields))
        return rows

    def _row(self, job_id: str) -> _Row | Answer:
        rows = self._ask(f"--jobs={job_id}")
        if isinstance(rows, Answer):
            return rows
        for row in rows:
            if row.id == job_id and row.ours:
                return row
        complaint = f"Slurm knows no job {job_id} of ours"
        return Answer(0, complaint=complaint, doubt=Doubt.NOT_FOUND)

    def _records(self, job_id: str) -> Records:
        return Records.of(self._commands.read(f"{self.root}/{job_id}", _RECORDS))

    def status(self, job_id: str) -> JobStatus:
        """Ask squeue, and read what the job wrote down."""
        if not _ID.fullmatch(job_id):
            reason = f"{job_id!r} is no id of a Slurm job"
            return JobStatus(job_id, JobState.UNKNOWN, reason, Doubt.NOT_FOUND)
        row = self._row(job_id)
        try:
            records = self._records(job_id)
        except ProviderUnavailableError as error:
            if isinstance(row, Answer):
                doubt = row.doubt if row.doubt is not Doubt.NOT_FOUND else Doubt.UNREACHABLE
                return JobStatus(job_id, JobState.UNKNOWN, str(error), doubt)
            records = Records()
        if isinstance(row, _Row) and records.job:
            if row.name != _JOB_NAME + str(records.job.get("submission")):
                complaint = f"the id {job_id} was given to another job since"
                row = Answer(0, complaint=complaint, doubt=Doubt.NOT_FOUND)
        return self._judge(job_id, row, records)

    def _judge(self, job_id: str, row: _Row | Answer, records: Records) -> JobStatus:
        state = _BY_NAME.get(row.state) if isinstance(row, _Row) else None
        recorded = records.ended is not None or (
            records.nodes > 0 and len(records.exits) == records.nodes
        )
        if isinstance(row, _Row) and state is None and not recorded:
            reason = f"Slurm says {row.words}"
            return JobStatus(job_id, JobState.UNKNOWN, reason, Doubt.UNREADABLE)
        over = recorded or (state is not None and state.final)
        nodes = self._nodes(records, over)
        if over:
            # The script's last word is final, but why it was asked to end only Slurm knows.
            told = records.ended is not None and (records.cancelled or not records.asked_to_end)
            if _lingers(records) or (state is not None and not state.final and not told):
                return JobStatus(job_id, JobState.COMPLETING, "", nodes=nodes)
            return self._verdict(job_id, row, nodes, records)
        if isinstance(row, Answer):
            return self._doubtful(job_id, row, nodes, records)
        assert state is not None
        if state is JobState.RUNNING:
            nodes = self._with_machines(nodes, row.hosts)
        reason = row.words if row.reason not in ("", "None") else ""
        return JobStatus(job_id, state, reason, nodes=nodes)

    def _nodes(self, records: Records, over: bool) -> tuple[NodeStatus, ...]:
        nodes = []
        for number in range(records.nodes):
            node = records.ended_node(number)
            if node is None:
                started = records.started.get(number)
                host = started.get("host") if started else None
                if over:
                    state = JobState.CANCELLED if records.cancelled else JobState.FAILED
                    reason = "ended without a record of how" if started else "never began"
                    node = NodeStatus(number, state, reason, host)
                else:
                    state = JobState.RUNNING if started else JobState.PENDING
                    node = NodeStatus(number, state, host=host)
            nodes.append(node)
        return tuple(nodes)

    def _with_machines(self, nodes: tuple[NodeStatus, ...], hosts: str) -> tuple[NodeStatus, ...]:
        """The nodes with what Slurm says of their machines, if it says anything."""
        known = ",".join({node.host for node in nodes if node.host} | ({hosts} - {""}))
        if not known:
            return nodes
        answer = self._commands.run(["sinfo", "-h", "-N", "-n", known, "-o", "%N|%T"])
        if answer.code != 0:
            return nodes
        lines = (line.partition("|") for line in answer.text.splitlines())
        machines = {host: state for host, _, state in lines}
        return tuple(replace(node, machine=machines.get(node.host or "")) for node in nodes)

    def _verdict(
        self, job_id: str, row: _Row | Answer, nodes: tuple[NodeStatus, ...], records: Records
    ) -> JobStatus:
        """The state of a job that is over. What its nodes recorded counts most."""
        words, said = "", None
        if isinstance(row, _Row):
            said = _BY_NAME.get(row.state)
            if said is JobState.FAILED and row.state != "FAILED":  # it says more than a code
                words = row.words
        if said is JobState.CANCELLED or (records.asked_to_end and said is not JobState.FAILED):
            return JobStatus(job_id, JobState.CANCELLED, "cancelled", nodes=nodes)
        if not nodes:  # its folder is gone
            return JobStatus(job_id, said or JobState.FAILED, words)
        status = conclude(job_id, nodes, cancelled=records.cancelled)
        if status.state is not JobState.FAILED or not words:
            return status
        return replace(status, reason=f"{words}; {status.reason}")

    def _doubtful(
        self, job_id: str, answer: Answer, nodes: tuple[NodeStatus, ...], records: Records
    ) -> JobStatus:
        """The state of a job that Slurm says nothing of."""
        doubt, reason = answer.doubt, answer.complaint
        if doubt is Doubt.NOT_FOUND and records.cancelled:
            nodes = self._nodes(records, True)
            return JobStatus(job_id, JobState.CANCELLED, "cancelled", nodes=nodes)
        if doubt is Doubt.NOT_FOUND and records.job and not records.started:
            name = _JOB_NAME + str(records.job["submission"])
            rows = self._ask("--me")
            if isinstance(rows, Answer):
                doubt, reason = rows.doubt, rows.complaint
            elif not any(row.name == name for row in rows):
                comment = f"{_COMMENT}{records.job['swarm_id']}"
                doubt = Doubt.FORGOTTEN
                reason = f"Slurm knows neither job {job_id} nor {comment}, and it never began"
        return JobStatus(job_id, JobState.UNKNOWN, reason, doubt, nodes)

    def cancel(self, job_id: str) -> None:
        """Mark the job, so that it ends at once should it begin later, and scancel it."""
        status = self.status(job_id)
        if status.state.final:
            return
        begun = "begun" if any(node.host for node in status.nodes) else ""
        answer = self._commands.shell(_MARK_CANCELLED, f"{self.root}/{job_id}", begun)
        unmarked = answer.code == 3 and answer.doubt is None
        if unmarked and status.doubt is Doubt.NOT_FOUND:
            raise UnknownJobError(f"there is no job {job_id} of ours")
        if answer.code != 0 and not unmarked:
            raise ProviderUnavailableError(f"cannot mark job {job_id}: {answer.complaint}")
        if status.doubt in (Doubt.NOT_FOUND, Doubt.FORGOTTEN):
            return  # the number may be another's by now
        answer = self._commands.run(["scancel", job_id])
        if answer.doubt is not None:
            raise ProviderUnavailableError(f"cannot cancel job {job_id}: {answer.complaint}")

    def adopt(self, swarm_id: str) -> Job | None:
        """The youngest job of a swarm, by its comment and by what lies under the root."""
        rows = self._ask("--me")
        found = [job for job in self._known(rows) if job.swarm_id == swarm_id]
        if isinstance(rows, Answer):
            waiting = [d for d in self._staged().values() if d.get("swarm_id") == swarm_id]
            if waiting or not found:
                raise ProviderUnavailableError(
                    f"Slurm cannot be asked for swarm {swarm_id}: {rows.complaint}"
                )
        return found[-1] if found else None

    def jobs(self) -> list[Job]:
        """All jobs under the root, and those that Slurm knows by our comment."""
        rows = self._ask("--me")
        if isinstance(rows, Answer):
            raise ProviderUnavailableError(f"Slurm cannot be asked: {rows.complaint}")
        known = self._known(rows)
        names = {row.name for row in rows}
        for submission, description in self._staged().items():
            old = time.time() - float(description.get("submitted", 0)) > _STALE
            if old and _JOB_NAME + submission not in names:
                self._remove_staging(submission)
        return known

    def _known(self, rows: Iterable[_Row] | Answer) -> list[Job]:
        """Jobs that have a folder, which those get first that Slurm has taken without one."""
        if not isinstance(rows, Answer):
            staged = self._staged()
            for row in rows:
                submission = row.name.removeprefix(_JOB_NAME)
                if row.ours and submission in staged:
                    self._claim(row.id, submission)
        jobs = []
        for path, text in self._commands.read(self.root, r"[0-9]+/job\.json").items():
            description = parse(text)
            if description is not None:
                jobs.append(job_of(description, PurePosixPath(path).parts[0], self.root))
        return sorted(jobs, key=lambda job: (job.submitted, job.id))

    def _staged(self) -> dict[str, dict[str, Any]]:
        """What ``job.json`` says of submissions that have no job id yet."""
        found = {}
        pattern = re.escape(STAGING) + r"[0-9a-f]+/job\.json"
        for path, text in self._commands.read(self.root, pattern).items():
            description = parse(text)
            if description is not None:
                found[PurePosixPath(path).parts[0].removeprefix(STAGING)] = description
        return found

    def close(self) -> None:
        """Nothing to free; jobs run on."""


def _lingers(records: Records) -> bool:
    """Whether a node that srun lost sight of may still write the record of its end."""
    if records.ended is None or records.asked_to_end:
        return False
    missing = records.started.keys() - records.exits.keys()
    return bool(missing) and time.time() < float(records.ended.get("ended", 0)) + _LINGER
