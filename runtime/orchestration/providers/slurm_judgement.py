"""What follows from squeue's word on a job and from what the job itself wrote down."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from .base import Doubt, JobState, JobStatus, NodeStatus
from .commands import Answer
from .workspace import Records, conclude

COMMENT = "swarmc:"
JOB_NAME = "swarmc-"
FORMAT = "%i|%T|%r|%N|%j|%k"  # the comment last: only there others may have put a '|'
_LINGER = 5.0  # seconds

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
class Row:
    """What squeue says of a job."""

    id: str
    state: str
    reason: str
    hosts: str
    name: str
    comment: str

    @property
    def ours(self) -> bool:
        """Whether we submitted it."""
        return self.comment.startswith(COMMENT) and self.name.startswith(JOB_NAME)

    @property
    def words(self) -> str:
        """State and reason as Slurm has them."""
        plain = self.reason in ("", "None")
        return self.state if plain else f"{self.state} ({self.reason})"


def rows_of(answer: Answer) -> list[Row] | Answer:
    """The rows that squeue printed; an answer with a doubt if it says nothing."""
    if answer.doubt is not None:
        return answer
    if answer.code != 0:
        if "invalid job id" in answer.complaint.lower():
            return []
        return replace(answer, doubt=Doubt.UNREADABLE)
    rows = []
    for line in answer.text.splitlines():
        fields = line.split("|", 5)
        if len(fields) != 6:
            complaint = f"squeue said {line!r}"
            return Answer(0, complaint=complaint, doubt=Doubt.UNREADABLE)
        rows.append(Row(*fields))
    return rows


def row_of(job_id: str, rows: list[Row] | Answer, records: Records) -> Row | Answer:
    """The row of a job of ours, unless its id was given to another one since."""
    if isinstance(rows, Answer):
        return rows
    complaint = f"Slurm knows no job {job_id} of ours"
    for row in rows:
        if row.id == job_id and row.ours:
            if not records.job or row.name == JOB_NAME + str(records.job.get("submission")):
                return row
            complaint = f"the id {job_id} was given to another job since"
    return Answer(0, complaint=complaint, doubt=Doubt.NOT_FOUND)


def judge(job_id: str, row: Row | Answer, records: Records) -> JobStatus:
    """The status of a job."""
    state = _BY_NAME.get(row.state) if isinstance(row, Row) else None
    recorded = records.ended is not None or (
        records.nodes > 0 and len(records.exits) == records.nodes
    )
    if isinstance(row, Row) and state is None and not recorded:
        reason = f"Slurm says {row.words}"
        return JobStatus(job_id, JobState.UNKNOWN, reason, Doubt.UNREADABLE)
    over = recorded or (state is not None and state.final)
    nodes = _nodes(records, over)
    if over:
        # The script's last word is final, but why it was asked to end only Slurm knows.
        told = records.ended is not None and (records.cancelled or not records.asked_to_end)
        if _lingers(records) or (state is not None and not state.final and not told):
            return JobStatus(job_id, JobState.COMPLETING, "", nodes=nodes)
        return _verdict(job_id, row, nodes, records)
    if isinstance(row, Answer):
        return _doubtful(job_id, row, nodes, records)
    assert state is not None
    reason = row.words if row.reason not in ("", "None") else ""
    return JobStatus(job_id, state, reason, nodes=nodes)


def _nodes(records: Records, over: bool) -> tuple[NodeStatus, ...]:
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
            elif started:
                node = records.running_node(number)
            else:
                node = NodeStatus(number, JobState.PENDING)
        nodes.append(node)
    return tuple(nodes)


def _verdict(
    job_id: str, row: Row | Answer, nodes: tuple[NodeStatus, ...], records: Records
) -> JobStatus:
    """The state of a job that is over. What its nodes recorded counts most."""
    words, said = "", None
    if isinstance(row, Row):
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
    job_id: str, answer: Answer, nodes: tuple[NodeStatus, ...], records: Records
) -> JobStatus:
    """The state of a job that Slurm says nothing of."""
    if answer.doubt is Doubt.NOT_FOUND and records.cancelled:
        nodes = _nodes(records, True)
        return JobStatus(job_id, JobState.CANCELLED, "cancelled", nodes=nodes)
    return JobStatus(job_id, JobState.UNKNOWN, answer.complaint, answer.doubt, nodes)


def _lingers(records: Records) -> bool:
    """Whether a node that srun lost sight of may still write the record of its end."""
    if records.ended is None or records.asked_to_end:
        return False
    missing = records.started.keys() - records.exits.keys()
    return bool(missing) and time.time() < float(records.ended.get("ended", 0)) + _LINGER
