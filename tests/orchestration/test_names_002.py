"""Everything that the document on the router shows is there and behaves so.

The document's program is called ``codeswarm``; here it is ``swarmc``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.providers import (
    ClusterProvider,
    JobSpec,
    LocalProvider,
    SlurmProvider,
    load_cluster_config,
)
from swarmc.runtime.orchestration.providers.base import node_folder
from swarmc.runtime.orchestration.providers.script import batch_script
from swarmc.runtime.orchestration.router.protocol import METHODS, PROTOCOL, EventType, Swarm
from swarmc.runtime.orchestration.router.swarms import RouterConfig

TURN = (
    "turn_started", "reasoning_delta", "assistant_delta", "command_started", "command_completed",
    "usage", "turn_complete",
)  # fmt: skip
#: Commands that it shows, with the options and arguments that it gives them.
COMMANDS = {
    "web": ["--config"],
    "launch": ["--nodes", "--prompt", "--config"],
    "inject": ["swarm", "--prompt", "--config"],
    "list": ["--config"],
    "terminate": ["swarm", "--config"],
}


def swarmc(*args: str) -> Result:
    return CliRunner().invoke(app, args)


@pytest.mark.parametrize(("name", "wanted"), COMMANDS.items())
def test_commands(name: str, wanted: list[str]) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(wanted) <= known


def test_protocol() -> None:
    assert PROTOCOL == "codeswarm.router.v1"
    assert set(TURN) <= set(get_args(EventType))
    assert "command_rejected" in get_args(EventType)
    assert "swarm_list" in METHODS


def test_a_swarm_has_the_fields() -> None:
    assert {"swarm_id", "job_id", "node_count", "status"} <= set(Swarm.__struct_fields__)


def test_terminated_swarms_are_kept_for_fifteen_minutes() -> None:
    assert RouterConfig().retention == 15 * 60


def test_providers(tmp_path: Path) -> None:
    config = tmp_path / "hpcfund.json"
    config.write_text(json.dumps({"provider": "slurm", "router": "ws://127.0.0.1:1"}))
    local: ClusterProvider = LocalProvider()
    slurm: ClusterProvider = load_cluster_config(config).make_provider()
    assert isinstance(slurm, SlurmProvider)
    assert {local.name, slurm.name} == {"local", "slurm"}
    script = batch_script(JobSpec("s", 4, ("worker",)), (), "runs", "1", "python3")
    assert {"#SBATCH --nodes=4", "#SBATCH --ntasks=4"} <= set(script.splitlines())
    assert node_folder(3) == "node_03"
    result = swarmc("list", "--config", str(config))
    assert result.exit_code == 2
    assert "no router answers at ws://127.0.0.1:1" in result.output
