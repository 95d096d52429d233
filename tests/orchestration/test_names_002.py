"""Everything that the document on the router shows is there and behaves so.

The document's program is called ``codeswarm``; here it is ``swarmc``.
"""

from __future__ import annotations

import json
import shlex
from inspect import signature
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
from swarmc.runtime.orchestration.providers.base import Doubt, JobState, node_folder
from swarmc.runtime.orchestration.providers.script import batch_script
from swarmc.runtime.orchestration.providers.tracker import JobTracker
from swarmc.runtime.orchestration.router.protocol import METHODS, PROTOCOL, EventType, Swarm
from swarmc.runtime.orchestration.router.server import Listen
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


#: The document's command lines.
LINES = """\
codeswarm web --config configs/hpcfund.json
codeswarm launch --nodes 4 --prompt "You are a focused autonomous agent." \
  --config configs/hpcfund.json
codeswarm inject <swarm_id> --prompt "Optimize GEMM tiling." --config configs/hpcfund.json
codeswarm list --config configs/hpcfund.json
codeswarm terminate <swarm_id> --config configs/hpcfund.json
""".replace("\\\n", "")


def swarmc(*args: str) -> Result:
    return CliRunner().invoke(app, args)


@pytest.mark.parametrize(("name", "wanted"), COMMANDS.items())
def test_commands(name: str, wanted: list[str]) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(wanted) <= known


@pytest.mark.parametrize("line", LINES.splitlines())
def test_command_lines_are_understood(line: str) -> None:
    _, name, *args = shlex.split(line)
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, list(args))
    assert {key for key, value in context.params.items() if str(value) in args} == {
        "web": {"config"}, "launch": {"nodes", "prompt", "config"},
        "inject": {"swarm", "prompt", "config"}, "list": {"config"},
        "terminate": {"swarm", "config"},
    }[name]  # fmt: skip


def test_protocol() -> None:
    assert PROTOCOL == "codeswarm.router.v1"
    assert set(TURN) <= set(get_args(EventType))
    assert "command_rejected" in get_args(EventType)
    assert "swarm_list" in METHODS


def test_a_swarm_has_the_fields() -> None:
    assert {"swarm_id", "job_id", "node_count", "status"} <= set(Swarm.__struct_fields__)


def test_terminated_swarms_are_kept_for_fifteen_minutes() -> None:
    assert RouterConfig().retention == 15 * 60


def test_failures_are_treated_carefully() -> None:
    parameters = signature(JobTracker).parameters
    assert parameters["misses"].default == 3  # a single NOT_FOUND is not deletion
    assert parameters["ttl"].default == 15 * 60
    assert not JobState.UNKNOWN.final and Doubt.TIMEOUT.value == "timeout"  # nor is a timeout


def test_clients_come_by_tcp_and_by_websocket() -> None:
    listen = Listen(port=0, tcp_port=0)
    assert (listen.host, listen.port, listen.tcp_port) == ("127.0.0.1", 0, 0)


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
