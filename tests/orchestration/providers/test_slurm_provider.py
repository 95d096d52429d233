"""Jobs of a real Slurm cluster, which this module starts for itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.providers import (
    ClusterProvider,
    Doubt,
    Job,
    JobState,
    Resources,
    SlurmOptions,
    SlurmProvider,
    SubmitError,
    UnknownJobError,
)

from .contract import DRAINS, ProviderContract, ended, said, shell, there, until
from .slurm_cluster import SlurmCluster, slurm_cluster

#: Jobs that wait until somebody cancels them.
LATER = SlurmOptions(extra=("--begin=now+1hour",))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with slurm_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def runs(cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the jobs' folders, with a cluster that has none of them left afterwards."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    yield tmp_path / "runs"
    cluster.heal()


@pytest.fixture
def provider(runs: Path) -> SlurmProvider:
    return SlurmProvider(str(runs))


class TestSlurmProvider(ProviderContract):
    @pytest.fixture
    def again(self, runs: Path) -> Callable[[], ClusterProvider]:
        return lambda: SlurmProvider(str(runs))


def staged(runs: Path) -> list[str]:
    return [path.name for path in runs.glob(".submit-*")]


def test_one_script_asks_for_all_nodes(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    resources = Resources(cpus=2, gpus=1, memory_mib=100, time_limit=90)
    job = provider.submit(shell(DRAINS, nodes=4, swarm="all", resources=resources))
    script = Path(job.workspace, "batch.sh").read_text()
    for option in ("--nodes=4", "--ntasks=4", "--comment=swarmc:all"):
        assert f"\n#SBATCH {option}\n" in script
    there(job)
    shown = cluster.ask("scontrol", "show", "job", job.id)
    assert "NumNodes=4 NumCPUs=8 NumTasks=4 CPUs/Task=2" in shown
    assert "Comment=swarmc:all" in shown
    assert "TresPerNode=gres:gpu:1" in shown
    assert "MinMemoryNode=100M" in shown
    assert "TimeLimit=00:03:00" in shown
    status = provider.status(job.id)
    assert [node.host for node in status.nodes] == ["n1", "n2", "n3", "n4"]
    assert {node.machine for node in status.nodes} == {"allocated"}


def test_what_slurm_refuses(runs: Path) -> None:
    provider = SlurmProvider(str(runs), SlurmOptions(partition="nowhere"))
    with pytest.raises(SubmitError, match="invalid partition specified: nowhere"):
        provider.submit(shell("exit 0", secrets={"TOKEN": "secret"}))
    assert list(runs.iterdir()) == []


def test_cancel_is_seen_soon(provider: SlurmProvider) -> None:
    """Slurm says CANCELLED within 0.14 s on a quiet machine."""
    job = provider.submit(shell(DRAINS, nodes=4))
    there(job)
    provider.cancel(job.id)
    assert ended(provider, job).state is JobState.CANCELLED


def test_a_cancelled_job_that_waits_never_begins(runs: Path) -> None:
    provider = SlurmProvider(str(runs), LATER)
    job = provider.submit(shell("exit 0", secrets={"TOKEN": "secret"}))
    status = provider.status(job.id)
    assert status.state is JobState.PENDING
    provider.cancel(job.id)
    assert provider.status(job.id).state is JobState.CANCELLED
    assert not Path(job.workspace, "secrets").exists()


def test_somebody_else_cancels(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    job = provider.submit(shell(DRAINS, nodes=2))
    there(job)
    cluster.ask("scancel", job.id)
    assert ended(provider, job).state is JobState.CANCELLED


def test_jobs_of_others_are_none_of_ours(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    job_id = re.sub(r"\D", "", cluster.ask("sbatch", "--wrap=sleep 100", "-o", "/dev/null"))
    assert provider.status(job_id).doubt is Doubt.NOT_FOUND
    with pytest.raises(UnknownJobError):
        provider.cancel(job_id)
    assert provider.jobs() == []
    assert job_id in cluster.ask("squeue", "-h", "-o", "%i")


def test_a_router_that_dies_before_it_claims_the_folder(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = SlurmProvider(str(runs), LATER)
    with monkeypatch.context() as patched:
        patched.setattr(SlurmProvider, "_claim", lambda *arguments: False)
        job = provider.submit(shell("exit 0", swarm="early"))
    assert len(staged(runs)) == 1
    assert SlurmProvider(str(runs)).adopt("early") == job
    assert staged(runs) == []
    assert Path(job.workspace, "job.json").exists()
    provider.cancel(job.id)


def test_a_job_claims_its_folder_itself(
    provider: SlurmProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(SlurmProvider, "_claim", lambda *arguments: False)
        job = provider.submit(shell("echo here"))
    assert ended(provider, job).state is JobState.COMPLETED
    assert said(job) == "here\n"


def test_ids_that_a_cluster_uses_again(provider: SlurmProvider, runs: Path) -> None:
    """A cluster that lost its state counts from 1; what lies there is not taken for the job's."""
    first = provider.submit(shell("exit 3", swarm="old"))
    ended(provider, first)
    following = runs / str(int(first.id) + 1)
    Path(first.workspace).rename(following)
    job = provider.submit(shell("sleep 0.3; exit 4", swarm="new"))
    assert job.workspace == str(following)
    assert ended(provider, job).exit_code == 4
    aside = runs / f"{job.id}.before-{job.submission}"
    assert f'"{first.submission}"' in (aside / "job.json").read_text()
    assert provider.adopt("old") is None
    assert provider.adopt("new") == job


def test_what_was_never_taken_is_cleared_away(provider: SlurmProvider, runs: Path) -> None:
    for name, age in (("0123456789abcdef", 3600), ("fedcba9876543210", 0)):
        folder = runs / f".submit-{name}"
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(f'{{"swarm_id": "x", "submitted": {time.time() - age}}}')
    assert provider.jobs() == []
    assert staged(runs) == [".submit-fedcba9876543210"]


def test_slurm_by_ssh(runs: Path, tmp_path: Path, cluster: SlurmCluster) -> None:
    """A stub that does what ssh does: the words become one line for a shell elsewhere."""
    stub = tmp_path / "ssh"
    stub.write_text(
        f'#!/bin/bash\necho "$@" >>{tmp_path}/log\n'
        'while [ "$1" != -- ]; do shift; done\nshift 2\n'
        f'cd /; exec env -i SLURM_CONF={cluster.conf} PATH="$PATH" sh -c "$*"\n'
    )
    stub.chmod(0o755)
    options = SlurmOptions(ssh_host="me@login", ssh_options=("-p", "22"), ssh_program=str(stub))
    provider = SlurmProvider(str(runs), options)
    secrets = {"TOKEN": "correct-horse"}
    spec = shell("echo \"it's $A\"; " + DRAINS, swarm="ssh", nodes=2,
                 environment={"A": "'\"$B\\"}, secrets=secrets)  # fmt: skip
    job = provider.submit(spec)
    there(job)
    assert said(job).startswith("it's '\"$B\\\n")
    assert provider.status(job.id).state is JobState.RUNNING
    assert provider.adopt("ssh") == job
    provider.cancel(job.id)
    assert ended(provider, job).state is JobState.CANCELLED
    log = (tmp_path / "log").read_text()
    assert "-o BatchMode=yes -o ConnectTimeout=5 -p 22 -- me@login sbatch --parsable" in log
    assert "correct-horse" not in log


@pytest.mark.parametrize("program", ["ssh", "missing"])
def test_an_ssh_that_fails_says_nothing_of_the_job(
    provider: SlurmProvider, runs: Path, program: str, tmp_path: Path
) -> None:
    job = provider.submit(shell(DRAINS))
    there(job)
    stub = tmp_path / "ssh"
    stub.write_text("#!/bin/sh\necho 'connect to host login: Connection refused' >&2; exit 255\n")
    stub.chmod(0o755)
    options = SlurmOptions(ssh_host="login", ssh_program=str(tmp_path / program))
    away = SlurmProvider(str(runs), options)
    status = away.status(job.id)
    assert (status.state, status.doubt) == (JobState.UNKNOWN, Doubt.UNREACHABLE)
    assert provider.status(job.id).state is JobState.RUNNING


def test_environment_of_the_router_stays_with_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_TOKEN", "hidden")
    monkeypatch.setenv("SBATCH_COMMENT", "mine")
    provider = SlurmProvider(str(runs))
    job = provider.submit(shell("env"))
    ended(provider, job)
    names = {line.partition("=")[0] for line in said(job).splitlines()}
    assert {"PATH", "SLURM_PROCID", "SWARMC_NODE"} <= names
    assert "ROUTER_TOKEN" not in names
    assert os.environ["ROUTER_TOKEN"] == "hidden"


def test_a_job_whose_folder_is_gone(provider: SlurmProvider) -> None:
    """Slurm's word is all that there is."""
    job: Job = provider.submit(shell(DRAINS))
    there(job)
    Path(job.workspace).rename(Path(job.workspace).with_name("elsewhere"))
    status = provider.status(job.id)
    assert (status.state, status.nodes) == (JobState.RUNNING, ())
    provider.cancel(job.id)
    until(lambda: provider.status(job.id).state is JobState.CANCELLED, "Slurm says so")
