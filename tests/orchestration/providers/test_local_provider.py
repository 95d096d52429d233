"""Processes as nodes: they outlive who started them, and nobody is mistaken for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.providers import (
    ClusterProvider,
    InvalidJobError,
    JobState,
    LocalProvider,
    Resources,
    SubmitError,
)
from swarmc.runtime.orchestration.providers.node import start_time

from .contract import DRAINS, STUBBORN, ProviderContract, ended, said, shell, there, until


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[LocalProvider]:
    made = LocalProvider(tmp_path / "runs")
    yield made
    for job in made.jobs():
        made.cancel(job.id)
        ended(made, job)


class TestLocalProvider(ProviderContract):
    @pytest.fixture
    def again(self, tmp_path: Path) -> Callable[[], ClusterProvider]:
        return lambda: LocalProvider(tmp_path / "runs")


def record(path: str) -> dict[str, object]:
    found = json.loads(Path(path).read_text())
    assert isinstance(found, dict)
    return found


def pid_of(job_folder: str, who: str) -> int:
    found = record(f"{job_folder}/started.json")[who]
    assert isinstance(found, list)
    return int(found[0])


def test_a_job_outlives_a_router_that_is_killed(provider: LocalProvider, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from swarmc.runtime.orchestration.providers import JobSpec, LocalProvider\n"
        "command = ('/bin/sh', '-c', 'while [ ! -e go ]; do sleep 0.02; done; exit 5')\n"
        "LocalProvider(sys.argv[1]).submit(JobSpec('orphan', 2, command))\n"
        "os.killpg(0, signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "runs")]
    assert subprocess.run(command, start_new_session=True).returncode == -signal.SIGKILL
    job = provider.adopt("orphan")
    assert job is not None
    assert provider.status(job.id).state is JobState.RUNNING
    for node in (0, 1):
        Path(job.node_workspace(node), "go").touch()
    assert (ended(provider, job).exit_code, ended(provider, job).state) == (5, JobState.FAILED)


def test_another_process_can_cancel(provider: LocalProvider, tmp_path: Path) -> None:
    job = provider.submit(shell(DRAINS, swarm="far"))
    there(job)
    script = (
        "import sys\n"
        "from swarmc.runtime.orchestration.providers import LocalProvider\n"
        "provider = LocalProvider(sys.argv[1])\n"
        "provider.cancel(provider.adopt('far').id)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "runs")], check=True)
    assert ended(provider, job).state is JobState.CANCELLED
    assert said(job) == "there\ndrained\n"


def test_a_worker_goes_on_without_its_supervisor(provider: LocalProvider) -> None:
    job = provider.submit(shell(STUBBORN))
    there(job)
    folder = job.node_workspace(0)
    until(lambda: "worker" in record(f"{folder}/started.json"), "the worker is on record")
    os.kill(pid_of(folder, "supervisor"), signal.SIGKILL)
    until(lambda: bool(provider.status(job.id).nodes[0].reason), "the supervisor is missed")
    status = provider.status(job.id)
    assert (status.state, status.nodes[0].reason) == (JobState.RUNNING, "its supervisor is gone")
    provider.cancel(job.id)
    assert ended(provider, job).state is JobState.CANCELLED
    assert start_time(pid_of(folder, "worker")) is None


def test_an_end_without_a_record_is_a_failure(provider: LocalProvider) -> None:
    job = provider.submit(shell(STUBBORN))
    there(job)
    folder = job.node_workspace(0)
    until(lambda: "worker" in record(f"{folder}/started.json"), "the worker is on record")
    for who in ("supervisor", "worker"):
        os.kill(pid_of(folder, who), signal.SIGKILL)
    status = ended(provider, job)
    assert status.state is JobState.FAILED
    assert status.reason == "node_00: ended without a record of how"


def test_a_frozen_supervisor_is_woken_to_end_its_worker(provider: LocalProvider) -> None:
    job = provider.submit(shell(DRAINS))
    there(job)
    os.kill(pid_of(job.node_workspace(0), "supervisor"), signal.SIGSTOP)
    provider.cancel(job.id)
    assert ended(provider, job).state is JobState.CANCELLED


@pytest.mark.parametrize("changed", ["start", "boot"])
def test_a_number_that_was_used_again_fools_nobody(
    provider: LocalProvider, changed: str
) -> None:
    """The record names a process that lives, but is another one."""
    job = provider.submit(shell("exit 0"))
    ended(provider, job)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        folder = Path(job.node_workspace(0))
        (folder / "exit.json").unlink()
        started = record(f"{folder}/started.json")
        began = start_time(bystander.pid)
        assert began is not None
        identity = [bystander.pid, began - 1 if changed == "start" else began]
        started |= {"supervisor": identity, "worker": identity}
        if changed == "boot":
            started["boot"] = "another"
        (folder / "started.json").write_text(json.dumps(started))
        reason = "ended without a record of how"
        if changed == "boot":
            reason = "the machine was started again"
        status = provider.status(job.id)
        assert (status.state, status.nodes[0].reason) == (JobState.FAILED, reason)
        provider.cancel(job.id)
        time.sleep(0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_submission_that_broke_off(provider: LocalProvider) -> None:
    job = provider.submit(shell("exit 0", nodes=2))
    ended(provider, job)
    for name in ("started", "exit"):
        Path(job.node_workspace(1), f"{name}.json").unlink()
    assert provider.status(job.id).state is JobState.RUNNING  # node 1 may begin any moment
    path = Path(job.workspace, "job.json")
    description = record(str(path))
    path.write_text(json.dumps({**description, "submitted": time.time() - 60}))
    status = provider.status(job.id)
    assert status.state is JobState.FAILED
    assert status.reason == "node_01: was never started: its submission broke off"


def test_what_is_cancelled_before_it_begins_never_does(provider: LocalProvider) -> None:
    job = provider.submit(shell("exit 0"))
    ended(provider, job)
    folder = Path(job.node_workspace(0))
    for path in ("started.json", "exit.json", "stdout.log"):
        (folder / path).unlink()
    Path(job.workspace, "cancelled").touch()
    supervisor = Path(sys.modules[LocalProvider.__module__].__file__ or "").with_name("node.py")
    subprocess.run([sys.executable, supervisor, job.workspace, "0"], check=True)
    assert not (folder / "stdout.log").exists()
    assert provider.status(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize("resource", ["cpus", "gpus", "memory_mib"])
def test_what_it_cannot_limit_is_refused(provider: LocalProvider, resource: str) -> None:
    with pytest.raises(InvalidJobError, match=f"cannot give or limit {resource}"):
        provider.submit(shell("exit 0", resources=Resources(**{resource: 1})))
    assert provider.jobs() == []


def test_a_root_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SubmitError, match="cannot write"):
        LocalProvider(tmp_path / "file" / "runs").submit(shell("exit 0"))


def test_only_named_variables_are_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTER_TOKEN", "hidden")
    monkeypatch.setenv("WANTED", "seen")
    provider = LocalProvider(tmp_path, inherit=("PATH", "WANTED"))
    job = provider.submit(shell("env"))
    ended(provider, job)
    names = {line.partition("=")[0] for line in said(job).splitlines()}
    assert "WANTED" in names
    assert not names & {"ROUTER_TOKEN", "HOME"}
