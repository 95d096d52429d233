"""The folder of a job, ``runs/<job_id>/``: what is laid there, and what its nodes wrote down.

``job.json``, ``secrets/``, ``node.py``, ``cancelled`` (once it is asked for), ``exit.json`` and
``slurm.log`` (Slurm's jobs); and for each node ``node_XX/`` with ``stdout.log``, ``stderr.log``,
``events.jsonl``, ``started.json`` and ``exit.json``. The records of workers that were followed by
another one are ``exit.0.json``, ``exit.1.json``...
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from .base import (
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    NodeStatus,
    Restarts,
    node_folder,
)

SUPERVISOR = Path(__file__).with_name("node.py")
_RESTARTS = tuple(Restarts.__dataclass_fields__)
_NODE_RECORD = re.compile(r"node_(\d{2,})/(started|exit)\.json")


def new_submission() -> str:
    """A fresh name for a submission."""
    return secrets.token_hex(8)


def describe(
    spec: JobSpec, provider: str, submission: str, *, forward_signals: bool
) -> dict[str, Any]:
    """What goes into ``job.json``; no secrets."""
    return {
        "version": 1, "provider": provider, "swarm_id": spec.swarm_id, "nodes": spec.nodes,
        "command": list(spec.command), "environment": dict(spec.environment),
        "secrets": sorted(spec.secrets), "grace": spec.grace,
        "time_limit": spec.resources.time_limit, "forward_signals": forward_signals,
        "submission": submission, "submitted": time.time(),
        "restarts": {name: getattr(spec.restarts, name) for name in _RESTARTS},
    }  # fmt: skip


def job_files(description: Mapping[str, Any], spec: JobSpec) -> dict[str, bytes]:
    """All files of a new job's folder, by their path in it."""
    files = {"job.json": json.dumps(description).encode()}
    for name, secret in spec.secrets.items():
        files[f"secrets/{name}"] = secret.encode()
    return files


def parse(text: bytes | None) -> dict[str, Any] | None:
    """A record; None if there is none, or it is no JSON object."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def job_of(description: Mapping[str, Any], job_id: str, root: str) -> Job:
    """The job that a ``job.json`` describes.

    Raises:
        InvalidJobError: something in it is missing or of a wrong type.
    """
    try:
        return Job(
            id=job_id, swarm_id=str(description["swarm_id"]), nodes=int(description["nodes"]),
            workspace=str(PurePosixPath(root) / job_id), provider=str(description["provider"]),
            submission=str(description["submission"]), submitted=float(description["submitted"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidJobError(f"job.json of {job_id} is damaged: {error!r}") from error


@dataclass(slots=True)
class Records:
    """What lies in a job's folder.

    Args:
        cancelled: somebody asked for its end.
        ended: the record that a Slurm job's script wrote last.
        started, exits: of nodes, by number.
    """

    job: dict[str, Any] | None = None
    cancelled: bool = False
    ended: dict[str, Any] | None = None
    started: dict[int, dict[str, Any]] = field(default_factory=dict)
    exits: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Records:
        """Sort files, by their path in the folder; other files than records are passed over."""
        records = cls(parse(files.get("job.json")), "cancelled" in files)
        records.ended = parse(files.get("exit.json"))
        for path, text in files.items():
            match = _NODE_RECORD.fullmatch(path)
            record = parse(text) if match else None
            if match and record is not None:
                by_node = records.started if match[2] == "started" else records.exits
                by_node[int(match[1])] = record
        return records

    @property
    def asked_to_end(self) -> bool:
        """Whether a Slurm job's script was told to end while it ran."""
        return self.ended is not None and self.ended.get("asked_to_end") is True

    @property
    def nodes(self) -> int:
        """How many nodes the job has."""
        return int(self.job["nodes"]) if self.job else 0

    def ended_node(self, node: int) -> NodeStatus | None:
        """The status of a node that wrote a record of its end."""
        record = self.exits.get(node)
        if record is None:
            return None
        code, reason = record.get("code"), str(record.get("reason") or "")
        host, restarts = record.get("host"), int(record.get("restarts") or 0)
        if record.get("cancelled"):
            state = JobState.CANCELLED
        elif code == 0 and not reason:
            state = JobState.COMPLETED
        else:
            state = JobState.FAILED
            if not reason:
                reason = "no code" if code is None else ending(code)
                if row := int(record.get("row") or 0):
                    reason += f", after {row} restarts in a row"
        return NodeStatus(node, state, reason, host, code, restarts=restarts)

    def running_node(self, node: int, reason: str = "") -> NodeStatus:
        """The status of a node that runs, or waits for its next start."""
        started = self.started[node]
        restarts = int(started.get("restarts") or 0)
        reason = reason or str(started.get("reason") or "")
        return NodeStatus(
            node, JobState.RUNNING, reason, started.get("host"), restarts=restarts
        )


def ending(code: int) -> str:
    """``exited with 3`` or ``was killed by signal 9``."""
    return f"exited with {code}" if code >= 0 else f"was killed by signal {-code}"


def conclude(job_id: str, nodes: Sequence[NodeStatus], *, cancelled: bool) -> JobStatus:
    """The state of a job from those of all of its nodes."""
    states = {node.state for node in nodes}
    found = tuple(nodes)
    if not all(state.final for state in states):
        if states == {JobState.PENDING}:
            return JobStatus(job_id, JobState.PENDING, nodes=found)
        if cancelled:
            return JobStatus(job_id, JobState.COMPLETING, "being cancelled", nodes=found)
        return JobStatus(job_id, JobState.RUNNING, nodes=found)
    failed = [node for node in nodes if node.state is not JobState.COMPLETED]
    if not failed:
        return JobStatus(job_id, JobState.COMPLETED, nodes=found, exit_code=0)
    if cancelled:
        return JobStatus(job_id, JobState.CANCELLED, "cancelled", nodes=found)
    first = failed[0]
    reason = f"{node_folder(first.node)}: {first.reason}"
    if len(failed) > 1:
        reason += f" (and {len(failed) - 1} more)"
    code = next((node.exit_code for node in failed if node.exit_code), None)
    return JobStatus(job_id, JobState.FAILED, reason, nodes=found, exit_code=code)
