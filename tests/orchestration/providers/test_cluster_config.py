"""Configurations of clusters: what they make, and what is said of their mistakes, and where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.documents.document import DocumentError
from swarmc.runtime.orchestration.providers import (
    LocalProvider,
    Resources,
    Restarts,
    SlurmOptions,
    SlurmProvider,
    load_cluster_config,
    provider_from_config,
)
from swarmc.runtime.orchestration.providers.config import NOT_THERE

from .contract import ended, said

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "clusters"


def written(folder: Path, text: str, name: str = "cluster.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_smallest_one_runs_jobs(tmp_path: Path) -> None:
    path = written(tmp_path, '{"provider": "local"}', "cluster.json")
    provider = provider_from_config(path)
    assert isinstance(provider, LocalProvider)
    config = load_cluster_config(path)
    assert config.module_path is None
    job = provider.submit(config.job_spec("s", 1, ["echo", "hello"]))
    assert ended(provider, job).exit_code == 0
    assert said(job) == "hello\n"
    assert job.workspace.startswith(f"{tmp_path}/runs/")
    tracker = config.make_tracker(provider, job)
    assert tracker.poll().final


def test_the_example_of_this_machine() -> None:
    config = load_cluster_config(EXAMPLES / "local.json")
    assert config.module_path is not None
    assert config.module_path.is_file()


def test_the_example_of_a_cluster(tmp_path: Path) -> None:
    config = load_cluster_config(EXAMPLES / "slurm.toml")
    provider = config.make_provider()
    assert isinstance(provider, SlurmProvider)
    assert provider.root == "/shared/swarmc/runs"
    assert provider.options == SlurmOptions(
        "gpu", "project42", "normal", ("--constraint=a100", "--mail-type=NONE"),
        "me@login.cluster.example", ("-p", "2222"), "ssh", 5.0, "/usr/bin/python3",
    )  # fmt: skip
    spec = config.job_spec("s", 4, ["worker"], environment={"B": "2"}, secrets={"T": "secret"})
    assert spec.resources == Resources(8, 1, 32000, 3600.0)
    assert spec.environment == {"SWARMC_TARGET": "cuda", "B": "2"}
    assert (spec.command, spec.grace, spec.nodes) == (("worker",), 10.0, 4)
    assert spec.restarts == Restarts(5, 0.5, 30.0, 60.0)
    text = '{"provider": "local", "restarts": {"limit": 0, "first": 100}}'
    none = load_cluster_config(written(tmp_path, text, "cluster.json"))
    assert none.job_spec("s", 1, ["worker"]).restarts == Restarts(0, 0.1, 30.0, 60.0)


def test_json_and_toml_say_the_same(tmp_path: Path) -> None:
    toml = 'provider = "slurm"\n[slurm]\npartition = "p"\nextra = ["--exclusive"]\n'
    json = '{"provider": "slurm", "slurm": {"partition": "p", "extra": ["--exclusive"]}}'
    assert load_cluster_config(written(tmp_path, toml)) == load_cluster_config(
        written(tmp_path, json, "cluster.json")
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('workspace = "x"', ":1:1: 'provider' is missing"),
        ('provider = "slrum"', ":1:12: there is no provider 'slrum': did you mean slurm?"),
        ('provider = "moon"', ":1:12: there is no provider 'moon': there are local, slurm"),
        ('provider = "local"\nmodul = "x"', ":2:1: unknown key 'modul': did you mean module?"),
        ('provider = "local"\n[resources]\ngpus = 1',
         ":3:1: the local provider cannot give or limit gpus"),
        ('provider = "slurm"\n[resources]\ncpus = 0', ":3:8: resources.cpus must be at least 1"),
        ('provider = "slurm"\n[slurm]\ntimeout = "5 s"',
         ":3:11: slurm.timeout must be a whole number, not '5 s'"),
        ('provider = "slurm"\n[slurm]\npartition = "a b"',
         ":3:13: slurm.partition: partition cannot be 'a b'"),
        ('provider = "slurm"\n[slurm]\nextra = ["--nodes=3"]',
         ":3:9: slurm.extra: --nodes is set by the provider itself"),
        ('provider = "slurm"\nworkspace = "/x"\n[slurm]\nssh_host = "-x"',
         ":4:12: slurm.ssh_host: the SSH host cannot be '-x'"),
        ('provider = "slurm"\nworkspace = "runs"\n[slurm]\nssh_host = "login"',
         ":2:13: workspace 'runs' on login must be an absolute path"),
        ('provider = "slurm"\n[tracking]\nmisses = 0', ":3:10: tracking.misses must be at least"),
        ('provider = "local"\n[environment]\n"A B" = "x"',
         ":2:1: environment: 'A B' cannot be the name of a variable"),
        ("provider = ", "is no TOML"),
    ],
)  # fmt: skip
def test_mistakes_and_their_places(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        load_cluster_config(written(tmp_path, text))
    assert complaint in str(caught.value)
    assert len(caught.value.problems) == 1


def test_mistakes_in_json(tmp_path: Path) -> None:
    text = '{\n  "provider": "kubernetes",\n  "slurm": {"qos": 7}\n}\n'
    path = written(tmp_path, text, "cluster.json")
    with pytest.raises(DocumentError) as caught:
        load_cluster_config(path)
    assert f"{path}:2:15: there is no provider for 'kubernetes' yet" in str(caught.value)
    assert f"{path}:3:20: slurm.qos must be text" in str(caught.value)
    with pytest.raises(DocumentError, match=r"cluster\.json:1:"):
        load_cluster_config(written(tmp_path, "{", "cluster.json"))


@pytest.mark.parametrize("name", [*NOT_THERE, "Kubernetes"])
def test_what_is_not_there_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DocumentError, match=rf"no provider for '{name}' yet.*providers\.md"):
        provider_from_config(written(tmp_path, f'provider = "{name}"'))


def test_a_name_that_says_no_language(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"must be named \.json or \.toml"):
        provider_from_config(tmp_path / "cluster.ini")


def test_providers_need_no_pydantic() -> None:
    script = (
        "import sys\nfrom swarmc.runtime.orchestration.providers import LocalProvider\n"
        "assert not {'pydantic', 'yaml', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
