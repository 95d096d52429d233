"""Commands that hang, fail and lie, by stubs in the place of Slurm's; and jobs that cannot be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.providers import (
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    ProviderUnavailableError,
    Resources,
    SlurmOptions,
    SlurmProvider,
    SubmitError,
    SubmitUncertainError,
)
from swarmc.runtime.orchestration.providers.commands import Commands

from .contract import living, shell, until


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is looked at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    stub(folder, "squeue", "exit 0")
    stub(folder, "sbatch", "echo 7")
    return folder


def stub(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def runs(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


def provider(runs: str, timeout: float = 5.0) -> SlurmProvider:
    """One that finds the stubs: it takes PATH when it is made."""
    return SlurmProvider(runs, SlurmOptions(timeout=timeout))


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    left = f"97{time.monotonic_ns() % 10**9}"
    began = time.monotonic()
    answer = Commands(0.3).shell(f"sleep {left} & echo partial; sleep {left}")
    assert 0.3 <= time.monotonic() - began < 60
    assert (answer.code, answer.doubt) == (None, Doubt.TIMEOUT)
    assert answer.complaint == "/bin/sh did not answer within 0.3 s"
    until(lambda: not living(left), "all of it is killed")


def test_files_there_and_back(tmp_path: Path) -> None:
    commands = Commands()
    files = {"job.json": b"{}", "secrets/A": bytes(range(256)), "node_00/exit.json": b"x" * 5000}
    folder = tmp_path / "a b" / "it's"
    assert commands.lay(str(folder), files).code == 0
    assert commands.read(str(folder), ".*") == files
    assert commands.read(str(folder), r"job\.json") == {"job.json": b"{}"}
    assert commands.read(str(tmp_path / "nowhere"), ".*") == {}
    assert {p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()} == {0o600}
    assert commands.lay(str(folder), files).code == 1  # never into what is there
    (tmp_path / "file").touch()
    assert commands.lay(str(tmp_path / "file" / "x"), files).code == 1


@pytest.mark.parametrize(
    ("script", "doubt"),
    [
        ("sleep 60", Doubt.TIMEOUT),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2;"
         "exit 1", Doubt.UNREACHABLE),
        ("echo 'slurm_load_jobs error: Socket timed out on send/recv operation' >&2; exit 1",
         Doubt.UNREACHABLE),
        ("echo 'error: Munge encode failed: Failed to access \"x\"' >&2; exit 1",
         Doubt.UNREACHABLE),
        ("kill -9 $$", Doubt.UNREACHABLE),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", Doubt.NOT_FOUND),
        ("exit 0", Doubt.NOT_FOUND),
        ("echo 'squeue: something new' >&2; exit 1", Doubt.UNREADABLE),
        ("echo nonsense", Doubt.UNREADABLE),
        ("echo '7|UPSIDE_DOWN|None|n1|swarmc-x|swarmc:s'", Doubt.UNREADABLE),
        ("echo '7|FAILED|None|n1|another|job'", Doubt.NOT_FOUND),
        ("echo '8|FAILED|None|n1|swarmc-x|swarmc:s'", Doubt.NOT_FOUND),
    ],
)  # fmt: skip
def test_what_squeue_may_say(stubs: Path, runs: str, script: str, doubt: Doubt) -> None:
    stub(stubs, "squeue", script)
    status = provider(runs, 1.0).status("7")
    assert (status.state, status.doubt) == (JobState.UNKNOWN, doubt)
    assert status.reason


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", JobState.PENDING), ("CONFIGURING", JobState.PENDING),
        ("RUNNING", JobState.RUNNING), ("SUSPENDED", JobState.RUNNING),
        ("COMPLETING", JobState.COMPLETING), ("TIMEOUT", JobState.FAILED),
        ("OUT_OF_MEMORY", JobState.FAILED), ("NODE_FAIL", JobState.FAILED),
        ("CANCELLED", JobState.CANCELLED), ("COMPLETED", JobState.COMPLETED),
    ],
)  # fmt: skip
def test_slurms_words(stubs: Path, runs: str, word: str, state: JobState) -> None:
    stub(stubs, "squeue", f"echo '7|{word}|Because|n1|swarmc-x|swarmc:a|b'")
    assert provider(runs).status("7").state is state


def test_a_state_that_has_no_record_yet_is_slurms(stubs: Path, runs: str) -> None:
    made = provider(runs)
    job = made.submit(shell("exit 0"))
    row = f"{job.id}|NODE_FAIL|NodeDown|n1|swarmc-{job.submission}|swarmc:s"
    stub(stubs, "squeue", f"echo '{row}'")
    status = made.status(job.id)
    assert status.state is JobState.FAILED
    assert status.reason == "NODE_FAIL (NodeDown); node_00: never began"


def test_of_a_job_whose_id_is_anothers_now_the_row_says_nothing(stubs: Path, runs: str) -> None:
    made = provider(runs)
    job = made.submit(shell("exit 0"))
    stub(stubs, "squeue", "echo '7|RUNNING|None|n1|swarmc-0123|swarmc:other'")
    status = made.status(job.id)
    assert (status.state, status.doubt) == (JobState.UNKNOWN, Doubt.FORGOTTEN)


def test_records_that_cannot_be_read_are_no_verdict(stubs: Path, runs: str) -> None:
    """The shared file system hangs just when Slurm has forgotten the job."""
    made = provider(runs, 1.0)
    job = made.submit(shell("exit 0"))
    stub(stubs, "find", "sleep 60")
    status = made.status(job.id)
    assert (status.state, status.doubt) == (JobState.UNKNOWN, Doubt.UNREACHABLE)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("sleep 60", SubmitUncertainError),
        ("echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1",
         SubmitUncertainError),
        ("echo 'what is this'", SubmitUncertainError),
        ("echo 'Batch job submission failed: Invalid qos specification' >&2; exit 1", SubmitError),
    ],
)  # fmt: skip
def test_what_sbatch_may_say(
    stubs: Path, runs: str, script: str, error: type[Exception]
) -> None:
    stub(stubs, "sbatch", script)
    made = provider(runs, 1.0)
    with pytest.raises(error):
        made.submit(shell("exit 0", swarm="s", secrets={"TOKEN": "secret"}))
    # What may yet begin needs its files; what was refused leaves none.
    assert bool(list(Path(runs).iterdir())) == (error is SubmitUncertainError)


def test_a_submission_in_doubt_is_not_said_to_be_none(stubs: Path, runs: str) -> None:
    made = provider(runs)
    old = made.submit(shell("exit 0", swarm="s"))
    stub(stubs, "squeue", "exit 1")
    assert made.adopt("s") == old
    stub(stubs, "sbatch", "echo 'Socket timed out' >&2; exit 1")
    with pytest.raises(SubmitUncertainError):
        made.submit(shell("exit 0", swarm="s"))
    with pytest.raises(ProviderUnavailableError, match="cannot be asked"):
        made.adopt("s")
    with pytest.raises(ProviderUnavailableError, match="cannot be asked"):
        made.adopt("other")
    with pytest.raises(ProviderUnavailableError, match="cannot be asked"):
        made.jobs()


def test_a_cancel_that_slurm_did_not_hear(stubs: Path, runs: str) -> None:
    made = provider(runs, 1.0)
    job = made.submit(shell("exit 0"))
    stub(stubs, "squeue", f"echo '7|PENDING|None||swarmc-{job.submission}|swarmc:s'")
    stub(stubs, "scancel", "sleep 60")
    with pytest.raises(ProviderUnavailableError, match="cannot cancel job 7: scancel did not"):
        made.cancel(job.id)
    assert Path(job.workspace, "cancelled").exists()  # the job would end at once


def test_slurm_is_not_installed(runs: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("sh", "mkdir", "tar", "rm"):
        for folder in ("/bin", "/usr/bin"):
            if Path(folder, name).exists() and not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(Path(folder, name))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmitError, match="are not here: sbatch: No such file or directory"):
        provider(runs).submit(shell("exit 0"))
    assert list(Path(runs).iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"swarm_id": ""}, "cannot be the id of a swarm"),
        ({"swarm_id": "a b"}, "cannot be the id of a swarm"),
        ({"swarm_id": "x\n#SBATCH --wrap"}, "cannot be the id of a swarm"),
        ({"swarm_id": "../x"}, "cannot be the id of a swarm"),
        ({"nodes": 0}, "1 to 4096 nodes"),
        ({"nodes": 5000}, "1 to 4096 nodes"),
        ({"command": ()}, "needs a command"),
        ({"command": ("a\0b",)}, "NUL"),
        ({"environment": {"A B": "1"}}, "cannot be the name of a variable"),
        ({"environment": {"SWARMC_NODE": "1"}}, "set by the provider itself"),
        ({"secrets": {"../X": "1"}}, "cannot be the name of a variable"),
        ({"environment": {"T_FILE": "1"}, "secrets": {"T": "x"}}, "set by the provider itself"),
        ({"command": ("a", "--token=hunter2")}, "secret T stands in the command"),
        ({"environment": {"A": "hunter2"}}, "secret T stands in the environment"),
        ({"grace": -1.0}, "grace must be finite"),
    ],
)
def test_jobs_that_cannot_be(changes: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"swarm_id": "s", "nodes": 1, "command": ("w",)}
    fields["secrets"] = {"T": "hunter2"}
    with pytest.raises(InvalidJobError, match=message):
        JobSpec(**{**fields, **changes})  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(JobSpec("s", 1, ("w",), secrets={"T": "hunter2"}))


@pytest.mark.parametrize(
    "changes", [{"cpus": 0}, {"gpus": -1}, {"memory_mib": 0}, {"time_limit": float("nan")}]
)
def test_resources_that_cannot_be(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidJobError):
        Resources(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"partition": "a b"}, "partition cannot be"),
        ({"account": "-x"}, "account cannot be"),
        ({"extra": ("constraint=x",)}, "is no option of sbatch"),
        ({"extra": ("--constraint=a\n#SBATCH --wrap=x",)}, "is no option of sbatch"),
        ({"extra": ("--nodes=9",)}, "--nodes is set by the provider itself"),
        ({"ssh_host": "-oProxyCommand=x"}, "SSH host cannot be"),
        ({"timeout": 0.0}, "timeout must be positive"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidJobError, match=message):
        SlurmOptions(**options)  # type: ignore[arg-type]


def test_a_workspace_on_another_machine_is_absolute() -> None:
    with pytest.raises(InvalidJobError, match="must be an absolute path"):
        SlurmProvider("runs", SlurmOptions(ssh_host="login"))


def test_nodes_of_a_job() -> None:
    job = Job("7", "s", 120, "/runs/7", "slurm", "x", 0.0)
    assert job.node_workspace(3) == "/runs/7/node_03"
    assert job.node_workspace(119) == "/runs/7/node_119"
    with pytest.raises(InvalidJobError, match="has no node 120"):
        job.node_workspace(120)
