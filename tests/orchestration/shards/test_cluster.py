"""Runs by a router's workers, all of them processes: the same bits, and liars are excluded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swarmc.errors import ArgumentError
from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.cluster import Cluster
from swarmc.runtime.orchestration.router.client import CommandRejectedError, RouterClient
from swarmc.runtime.orchestration.router.protocol import Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import TaskCounts
from swarmc.runtime.orchestration.router.protocol_workers import WorkerExclude
from swarmc.runtime.orchestration.verify import (
    Accusation,
    Shard,
    ShardCertificate,
    check_certificate,
)
from swarmc.runtime.tools.faults import Process

from ..cluster.processes import Grid, grid, until
from .sharding import CORPUS, assert_same, at_once
from .test_bits import command_run
from .test_certified import SLIDE

LIAR = Path(__file__).with_name("lying_worker.py")
OF_RUN = ("argv", "stdin", "env", "seed", "clock", "fuel", "output_size", "args", "entry_point")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("grid")
    with grid(folder, interval=100, timeout=15_000) as made:  # nobody is missed under load
        made.start()
        liar = Process(
            "liar",
            (sys.executable, str(LIAR), "start-worker", "swarm-config.toml", "liar",
             "--router", made.url, "--json", "--domain", "site-c"),
            made.folder, announces=True,
        )  # fmt: skip
        made.workers["liar"] = made._ending.enter_context(liar)
        with ThreadPoolExecutor() as pool:
            for start in [
                pool.submit(liar.start), pool.submit(made.work, "honest", "--domain", "site-a"),
                pool.submit(made.work, "upright", "--domain", "site-b"),
            ]:  # fmt: skip
                start.result()
        yield made


def run_by(cluster: Cluster, run: Any, **options: Any) -> Any:
    given = {name: getattr(run, name) for name in OF_RUN}
    return cluster.run(run.module, agents=run.agents, **given, **options)


def test_the_same_bits_from_processes(processes: Grid) -> None:
    run = command_run([n % 10 for n in range(70)], 11)
    with Cluster(processes.url) as cluster:
        assert {one.domain for one in cluster.workers()} == {"site-a", "site-b", "site-c"}
        found = run_by(cluster, run, shard_size=9)
        assert_same(found, at_once(run), ())
        assert found.targets == ("cpu",)
        with pytest.raises(ArgumentError, match="no option 'shardsize': did you mean"):
            cluster.run(run.module, shardsize=3)
        cluster._place._client.close()  # type: ignore[union-attr]
        again = run_by(cluster, replace(run, seed=12), shard_size=30)  # over another connection
        assert_same(again, at_once(replace(run, seed=12)), ())


def plain(output: str) -> dict[str, Any]:
    found = json.loads(output)
    for name in ("total_time_ms", "load_time_ms"):
        del found[name]
    return dict(found)


def test_the_command_gives_what_it_gives_here(processes: Grid, tmp_path: Path) -> None:
    command = ["run", str(CORPUS / "wasi.wasm"), "-n", "7", "--json", "--seed", "4"]
    program = ["--", "exit", "{id/4}"]
    here = CliRunner().invoke(app, [*command, *program])
    remote = ["--router", processes.url, "--shard-size", "3"]
    there = CliRunner().invoke(app, [*command, *remote, *program])
    assert there.exit_code == here.exit_code == 1, there.output
    assert plain(there.stdout) == plain(here.stdout)
    for wrong in (["--rounds", "2"], ["--at-a-time", "5"], ["--layout", "flat"], ["--no-cache"]):
        refused = CliRunner().invoke(app, [*command, *remote, *wrong])
        assert refused.exit_code == 2 and f"{wrong[0]}: not with --router" in refused.output
    alone = CliRunner().invoke(app, [*command, "--shard-size", "3"])
    assert alone.exit_code == 2 and "--shard-size: only with --router" in alone.output


def test_a_process_that_flips_one_bit_is_named_and_excluded(
    processes: Grid, tmp_path: Path
) -> None:
    told: list[Accusation] = []
    (liar,) = (w for w in processes.listed().values() if w.name == "liar")
    with Cluster(processes.url) as cluster:
        keys = {one.worker_id: one.public_key for one in cluster.workers()}
        found = run_by(
            cluster, SLIDE, shard_size=32, verify="bft", f=1, keys=keys, told=told.append
        )
    assert_same(found, at_once(SLIDE))
    for shard, certificate in zip(found.shards, found.certificates, strict=True):
        check_certificate(certificate, keys, f=1, shard=shard)
    (accused,) = (one for one in told if one.statement is not None)
    assert accused.replica == liar.worker_id
    assert accused.reason == "differs in the memory of agent 5"  # of the shard from agent 32 on
    assert found.shards[1].first + 5 == 37
    assert processes.state("liar") == "excluded"
    evidence = next(one for one in found.certificates if one.accused)
    (honest,) = (w for w in processes.listed().values() if w.name == "honest")
    slander = WorkerExclude(worker_id=honest.worker_id, evidence=json.loads(evidence.to_json()))
    with pytest.raises(CommandRejectedError, match="the evidence shows nothing"):
        processes.client.call("worker_exclude", slander)
    assert processes.state("honest") == "ready"
    save_and_verify(processes, tmp_path)


def save_and_verify(processes: Grid, folder: Path) -> None:
    """Without the liar there are two, which is not enough for one more that may lie."""
    processes.work("third", "--domain", "site-d")
    ran = CliRunner().invoke(app, [
        "run", str(CORPUS / "memory.wasm"), "--invoke", "slide", "--args", "{id} 3", "-n", "8",
        "--router", processes.url, "--verify", "bft", "--f", "1", "--shard-size", "4",
        "--certificates", str(folder / "certificates"),
    ])  # fmt: skip
    assert ran.exit_code == 0, ran.output
    files = sorted((folder / "certificates").glob("shard-*.json"))
    assert len(files) == 2
    assert len(ShardCertificate.from_json(files[0].read_bytes()).signatures) == 3
    keys = folder / "certificates" / "keys.json"
    for file in files:
        checked = CliRunner().invoke(app, ["verify", str(file), "--keys", str(keys), "--f", "1"])
        assert checked.exit_code == 0, checked.output


CLIENT = """
import sys
from swarmc.runtime.orchestration.cluster import Cluster
with Cluster(sys.argv[1], patience=0.5) as cluster:
    cluster.run(sys.argv[2], agents=64, entry_point="escape_time", shard_size=1, verify="bft",
                args=[(-0.5, 0.001 * n, 2_000_000_000) for n in range(64)])
"""


def test_nothing_is_run_for_a_client_that_was_killed(processes: Grid) -> None:
    with processes.connect() as watching:
        watching.subscribe()
        command = [sys.executable, "-c", CLIENT, processes.url, str(CORPUS / "mandelbrot.wasm")]
        with subprocess.Popen(command) as client:
            until(lambda: (now := counted(watching)).running == 6 and now.queued == 3)
            client.kill()
        until(lambda: not (left := counted(watching)).running and not left.queued)
        tasks = [
            event.data["task"] for event in watching.events(timeout=1)
            if event.type == "task_changed"
        ]  # fmt: skip
    ended = [task for task in tasks if task["state"] == "cancelled"]
    assert {task["error"] for task in ended} == {"its client has been away for 0.5 s"}
    # Some ran, and some waited for the worker that they are pinned to.
    assert {task.get("attempts", 0) for task in ended} == {0, 1}


def counted(client: RouterClient) -> TaskCounts:
    found: TaskCounts = client.call("status", Nothing()).tasks
    return found


def test_shards_of_a_worker_that_is_killed_run_elsewhere(processes: Grid) -> None:
    run = Shard(
        (CORPUS / "mandelbrot.wasm").read_bytes(), 12, "escape_time",
        [(-0.5, 0.001 * n, 8_000_000) for n in range(12)],
    )  # fmt: skip
    with Cluster(processes.url) as cluster, ThreadPoolExecutor() as pool:
        running = pool.submit(run_by, cluster, run, shard_size=1)
        until(lambda: processes.running_on("upright") > 0)
        processes.workers["upright"].kill()
        assert_same(running.result(), at_once(run))
    assert processes.state("upright") == "lost"
