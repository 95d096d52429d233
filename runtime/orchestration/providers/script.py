"""The shell's side of a Slurm job: its batch script, and how it comes by its folder.

A submission's files are laid in ``.submit-NAME`` before Slurm says the job's id. Whoever comes
first, the job itself or who submitted it, renames that to ``runs/<job_id>``. A folder of the same
id that another submission left (a cluster that lost its state counts from 1 again) is set aside.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from .base import JobSpec

STAGING = ".submit-"
MARK = "submission-"  #: name of an empty file that tells whose folder it is

#: ``claim JOB_ID`` with ``$root`` and ``$submission`` set; fails if the folder is another's.
CLAIM = f"""
claim() {{
  mine="$root/$1/{MARK}$submission"
  if [ -e "$root/$1" ] && [ ! -e "$mine" ]; then
    mv -T "$root/$1" "$root/$1.before-$submission" 2>/dev/null
  fi
  [ -e "$mine" ] || mv -T "$root/{STAGING}$submission" "$root/$1" 2>/dev/null
  [ -e "$mine" ]
}}
"""
CLAIM_NOW = f'root=$1 submission=$2\n{CLAIM}\nclaim "$3"\n'


def batch_script(
    spec: JobSpec, options: Sequence[str], root: str, submission: str, python: str
) -> str:
    """The script of a job: N tasks on N nodes, each a supervisor with its worker.

    Args:
        options: of sbatch, from the configuration, a line each.
    """
    own = [
        f"--job-name=swarmc-{submission}",
        f"--comment=swarmc:{spec.swarm_id}",
        f"--nodes={spec.nodes}",
        f"--ntasks={spec.nodes}",
        "--ntasks-per-node=1",
        *resource_options(spec),
        "--no-requeue",  # a swarm begins again only if its router says so
        "--no-kill",  # the other nodes go on when one fails
        "--open-mode=append",
        "--output=/dev/null",  # until the folder has its name
        "--export=ALL",
    ]
    lines = [f"#SBATCH {option}" for option in (*own, *options)]
    cpus = spec.resources.cpus
    step = ["srun", f"--nodes={spec.nodes}", f"--ntasks={spec.nodes}", "--ntasks-per-node=1"]
    if cpus is not None:
        step.append(f"--cpus-per-task={cpus}")  # srun no longer asks sbatch
    step += ["--no-kill", "--kill-on-bad-exit=0", "--wait=0", "--input=none", "--export=ALL"]
    return _SCRIPT.format(
        options="\n".join(lines), root=shlex.quote(root), submission=submission, claim=CLAIM,
        step=shlex.join([*step, python, "-I", "-S"]),
    )  # fmt: skip


def resource_options(spec: JobSpec) -> list[str]:
    """What sbatch is asked for, for each node."""
    resources, options = spec.resources, []
    if resources.cpus is not None:
        options.append(f"--cpus-per-task={resources.cpus}")
    if resources.gpus:
        options.append(f"--gres=gpu:{resources.gpus}")
    if resources.memory_mib is not None:
        options.append(f"--mem={resources.memory_mib}M")
    if resources.time_limit is not None:
        # Slurm counts minutes; the supervisor counts seconds, and comes first.
        minutes = int((resources.time_limit + spec.grace) // 60) + 2
        options.append(f"--time={minutes}")
    return options


_SCRIPT = """#!/bin/bash
{options}
umask 077
root={root} submission={submission}
{claim}
claim "$SLURM_JOB_ID" || {{ sleep 1; claim "$SLURM_JOB_ID"; }} || exit 70
job="$root/$SLURM_JOB_ID"
exec >>"$job/slurm.log" 2>&1
asked=false
ended() {{
  printf '{{"code": %d, "asked_to_end": %s, "ended": %d, "submission": "%s"}}\\n' \\
    "$1" "$asked" "$(date +%s)" "$submission" >"$job/.exit.json" &&
    mv -T "$job/.exit.json" "$job/exit.json"
}}
if [ -e "$job/cancelled" ]; then
  echo "cancelled before it began"
  ended 0
  exit 0
fi
trap 'asked=true' TERM  # Slurm tells the workers, too; what they do is to be recorded
{step} "$job/node.py" "$job"
code=$?
rm -rf "$job/secrets"
ended "$code"
exit "$code"
"""
