"""Nodes as the tasks of one job in a Slurm cluster, which may be away, slow or forgetful."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from .base import (
    Doubt,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    ProviderUnavailableError,
    SubmitError,
    SubmitUncertainError,
    UnknownJobError,
)
from .commands import Answer, Commands
from .script import CLAIM_NOW, MARK, STAGING, batch_script
from .slurm_judgement import COMMENT, FORMAT, JOB_NAME, Row, judge, row_of, rows_of
from .slurm_options import SlurmOptions
from .workspace import (
    SUPERVISOR,
    Records,
    describe,
    job_files,
    job_of,
    new_submission,
    parse,
)

_ID = re.compile(r"[1-9][0-9]{0,9}")
_RECORDS = r"[0-9]+/((job|exit)\.json|cancelled|node_[0-9]+/(started|exit)\.json)"
#: Of a job that has begun, the workers may still need their secrets.
_MARK_CANCELLED = """
[ -d "$1" ] || exit 3
umask 077
: >"$1/cancelled" || exit 1
[ -n "$2" ] || rm -rf "$1/secrets"
"""
_STALE = 600.0  # seconds after which a submission that Slurm does not know is cleared away


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
                if row.name == JOB_NAME + submission:
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

    def _ask(self, *which: str) -> list[Row] | Answer:
        """What squeue says; an answer with a doubt if it says nothing."""
        command = ["squeue", "--noheader", "--states=all", f"--format={FORMAT}", *which]
        return rows_of(self._commands.run(command))

    def status(self, job_id: str) -> JobStatus:
        """Ask squeue, and read what the job wrote down."""
        return self.statuses([job_id])[job_id]

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        """Look at many jobs with one squeue, one reading of records and one sinfo."""
        found = {}
        for job_id in job_ids:
            reason = f"{job_id!r} is no id of a Slurm job"
            found[job_id] = JobStatus(job_id, JobState.UNKNOWN, reason, Doubt.NOT_FOUND)
        wanted = [job_id for job_id in found if _ID.fullmatch(job_id)]
        if not wanted:
            return found
        rows = self._ask(f"--jobs={','.join(wanted)}")
        unread = None
        try:
            records = self._records(wanted)
        except ProviderUnavailableError as error:
            records, unread = {}, str(error)
        running = {}
        for job_id in wanted:
            own = records.get(job_id) or Records()
            row = row_of(job_id, rows, own)
            found[job_id] = judge(job_id, row, own)
            if unread and isinstance(row, Answer):
                doubt = row.doubt if row.doubt is not Doubt.NOT_FOUND else Doubt.UNREACHABLE
                found[job_id] = JobStatus(job_id, JobState.UNKNOWN, unread, doubt)
            if isinstance(row, Row) and found[job_id].state is JobState.RUNNING:
                running[job_id] = row.hosts
        never = [
            job_id for job_id in wanted if found[job_id].doubt is Doubt.NOT_FOUND
            and job_id in records and records[job_id].job and not records[job_id].started
        ]  # fmt: skip
        found |= self._forgotten({job_id: found[job_id] for job_id in never}, records)
        return found | self._with_machines({i: found[i] for i in running}, running)

    def _records(self, job_ids: Iterable[str]) -> dict[str, Records]:
        files: dict[str, dict[str, bytes]] = {}
        for path, text in self._commands.read(self.root, _RECORDS, *job_ids).items():
            job_id, _, name = path.partition("/")
            files.setdefault(job_id, {})[name] = text
        return {job_id: Records.of(found) for job_id, found in files.items()}

    def _forgotten(
        self, never: dict[str, JobStatus], records: dict[str, Records]
    ) -> dict[str, JobStatus]:
        """Of jobs that Slurm does not know and that never began: it has none of ours instead."""
        rows = self._ask("--me") if never else []
        found = {}
        for job_id, status in never.items():
            if isinstance(rows, Answer):
                found[job_id] = replace(status, reason=rows.complaint, doubt=rows.doubt)
                continue
            job = records[job_id].job or {}
            if not any(row.name == f"{JOB_NAME}{job.get('submission')}" for row in rows):
                comment = f"{COMMENT}{job.get('swarm_id')}"
                reason = f"Slurm knows neither job {job_id} nor {comment}, and it never began"
                found[job_id] = replace(status, reason=reason, doubt=Doubt.FORGOTTEN)
        return found

    def _with_machines(
        self, statuses: dict[str, JobStatus], hosts: dict[str, str]
    ) -> dict[str, JobStatus]:
        """Statuses with what Slurm says of the nodes' machines, if it says anything."""
        known = {node.host for status in statuses.values() for node in status.nodes if node.host}
        known |= {some for some in hosts.values() if some}
        if not known:
            return statuses
        names = ",".join(sorted(known))
        answer = self._commands.run(["sinfo", "-h", "-N", "-n", names, "-o", "%N|%T"])
        if answer.code != 0:
            return statuses
        lines = (line.partition("|") for line in answer.text.splitlines())
        machines = {host: state for host, _, state in lines}
        return {
            job_id: replace(status, nodes=tuple(
                replace(node, machine=machines.get(node.host or "")) for node in status.nodes
            ))
            for job_id, status in statuses.items()
        }  # fmt: skip

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
            if old and JOB_NAME + submission not in names:
                self._remove_staging(submission)
        return known

    def _known(self, rows: list[Row] | Answer) -> list[Job]:
        """Jobs that have a folder, which those get first that Slurm has taken without one."""
        if not isinstance(rows, Answer):
            staged = self._staged()
            for row in rows:
                submission = row.name.removeprefix(JOB_NAME)
                if row.ours and submission in staged:
                    self._claim(row.id, submission)
        jobs = []
        for path, text in self._commands.read(self.root, r"[0-9]+/job\.json", depth=2).items():
            description = parse(text)
            if description is not None:
                jobs.append(job_of(description, PurePosixPath(path).parts[0], self.root))
        return sorted(jobs, key=lambda job: (job.submitted, job.id))

    def _staged(self) -> dict[str, dict[str, Any]]:
        """What ``job.json`` says of submissions that have no job id yet."""
        found = {}
        pattern = re.escape(STAGING) + r"[0-9a-f]+/job\.json"
        for path, text in self._commands.read(self.root, pattern, depth=2).items():
            description = parse(text)
            if description is not None:
                found[PurePosixPath(path).parts[0].removeprefix(STAGING)] = description
        return found

    def close(self) -> None:
        """Nothing to free; jobs run on."""

