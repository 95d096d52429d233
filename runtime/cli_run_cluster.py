"""``swarmc run --router``: the same report of agents that a router's workers run."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..targets.executable import Executable
from . import cli_inputs as inputs
from .cli_extras import needs_web
from .cli_module import naming, read_module
from .cli_report import Report, print_report
from .cli_router_options import read_token
from .cli_run import RunCommand, plan_run
from .cli_terminal import spinner

if TYPE_CHECKING:
    from .orchestration.shards import ClusterResult
    from .orchestration.verify import Accusation

_FAILED = 1


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Where a run goes, as it was typed.

    Args:
        router: None: it stays here, and the others must not be given.
        certificates: folder for the certificates of shards.
    """

    router: str | None = None
    token_file: Path | None = None
    router_certificate: Path | None = None
    shard_size: int | None = None
    verify: str | None = None
    f: int | None = None
    certificates: Path | None = None

    def check(self) -> None:
        """Raise :class:`ArgumentError` if some of them mean nothing without others."""
        names = ("router_certificate", "shard_size", "verify", "f", "certificates")
        given = ["--" + name.replace("_", "-") for name in names if getattr(self, name) is not None]
        if self.router is None and given:
            raise ArgumentError(f"{', '.join(given)}: only with --router")
        if self.verify is None and (self.f is not None or self.certificates is not None):
            raise ArgumentError("--f and --certificates: only with --verify bft")
        if self.verify not in (None, "bft"):
            raise ArgumentError(f"--verify takes bft, not {self.verify!r}")


def run_remotely(command: RunCommand, remote: RemoteOptions) -> int:
    """Have a router's workers run agents, and report; returns the exit code.

    Raises:
        SwarmcError: an option is wrong, or says something about this machine; a shard failed.
    """
    with needs_web():
        from .orchestration.cluster.client import Cluster
    _refuse(command)
    program = read_module(command.file)
    if isinstance(program, Executable):
        raise ArgumentError(f"{command.file} is machine code: workers take modules")
    spawning = plan_run(command, program)
    started = time.perf_counter()
    told: list[Accusation] = []
    token = read_token(remote.token_file)
    assert remote.router is not None
    with Cluster(remote.router, token=token, certificate=remote.router_certificate) as cluster:
        given = {
            **_options(command, remote), "entry_point": spawning.name, "args": spawning.args,
            "argv": spawning.argv, "env": spawning.env,
        }  # fmt: skip
        stdin: list[bytes] | bytes | None = spawning.stdin
        if stdin is None:
            stdin = inputs.read_bytes(command.stdin) if command.stdin is not None else b""
        with spinner(f"running {spawning.count:,} agents"), naming(command.file):
            result = cluster.run(
                program, agents=spawning.count, stdin=stdin, told=told.append, notice=_say, **given
            )
        if remote.certificates is not None:
            _save(result, remote.certificates)
    load_ms = (time.perf_counter() - started) * 1000 - result.total_time_ms
    report = Report(
        str(command.file), ", ".join(result.targets), spawning.name, result.program, result,
        max(0.0, load_ms),
    )  # fmt: skip
    print_report(report, command.show, json_=command.json, csv_=command.csv,
                 save_stdout=command.save_stdout)  # fmt: skip
    for accusation in told:
        _say(f"worker {accusation.replica}: {accusation.reason}")
    return _FAILED if report.failed else 0


def _say(text: str) -> None:
    print(f"swarmc: {text}", file=sys.stderr)


def _options(command: RunCommand, remote: RemoteOptions) -> dict[str, Any]:
    def size(text: str | None, option: str) -> int | None:
        return None if text is None else inputs.parse_size(text, option)

    found = {
        "fuel": inputs.parse_count(command.fuel, "--fuel"), "seed": command.seed,
        "clock": inputs.parse_clock(command.clock),
        "max_memory": size(command.max_memory, "--max-memory"),
        "output_size": size(command.output_size, "--output-size"),
        "heap": size(command.heap, "--heap"), "call_depth": command.call_depth,
        "missing_imports": command.missing_imports or "error",
    }  # fmt: skip
    if remote.shard_size is not None:
        found["shard_size"] = remote.shard_size
    if remote.verify is not None:
        found |= {"verify": remote.verify, "f": 1 if remote.f is None else remote.f}
    return found


def _refuse(command: RunCommand) -> None:
    """Refuse what is for agents that run here."""
    target = command.target if command.target != os.environ.get("SWARMC_TARGET") else None
    given: dict[str, object] = {
        "--target": target, "--host-functions": command.host_functions or None,
        "--opt-level": command.opt_level, "--layout": command.layout,
        "--max-registers": command.max_registers, "--at-a-time": command.at_a_time,
        "--mailbox-size": command.mailbox_size, "--no-cache": None if command.cached else True,
        "--rounds": None if command.rounds == "1" else command.rounds,
        "--trace-host-calls": command.trace_host_calls,
    }  # fmt: skip
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ArgumentError(
            f"{', '.join(names)}: not with --router", hint="workers are configured where they are"
        )


def _save(result: ClusterResult, folder: Path) -> None:
    """Write certificates, and the keys that the router says are the workers'."""
    keys: dict[str, str] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, certificate in enumerate(result.certificates):
            (folder / f"shard-{number:05}.json").write_text(certificate.to_json() + "\n")
            keys |= {name: key.hex() for name, key in certificate.keys.items()}
        (folder / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")
    except OSError as error:
        raise ArgumentError(f"cannot write certificates to {folder}: {error.strerror}") from error
