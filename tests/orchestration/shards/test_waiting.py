"""Runs that must wait for workers say so at once, and in the end whom they missed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.cluster import Cluster
from swarmc.runtime.orchestration.config_file import SwarmConfig
from swarmc.runtime.orchestration.dispatcher import Dispatcher
from swarmc.runtime.orchestration.shards.router_place import NoWorkersError
from swarmc.runtime.orchestration.store import Store

from ..router.routing import RunningDispatcher
from .sharding import CORPUS

AGENT = CORPUS / "wasi.wasm"


class Workerless(RunningDispatcher):
    """Its dispatcher runs nothing itself."""

    def open_store(self) -> Store:
        settings = {"dispatcher": {"state_db_path": str(self._store_path)}}
        config = SwarmConfig.model_validate(settings)
        self.dispatcher = Dispatcher(config, local_worker=False).open()
        return self.dispatcher.store


def test_too_few_workers_are_said_at_once_and_counted_in_the_end(tmp_path: Path) -> None:
    with RunningDispatcher(tmp_path) as host:
        command = [sys.executable, "-m", "swarmc", "run", str(AGENT), "--router", host.url,
                   "--verify", "bft", "--f", "1"]  # fmt: skip
        with subprocess.Popen(
            command, cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stderr is not None
            said = run.stderr.readline()
            assert run.poll() is None  # it waits on
            error = run.stderr.read()
    assert said == "swarmc: 0 of the 3 workers that f=1 needs; waiting 10 s for more\n"
    assert run.returncode == 2
    assert "f = 1 takes 3 workers" in error and "and there are 0; `swarmc workers`" in error


def test_nobody_who_runs_agents(tmp_path: Path) -> None:
    said: list[str] = []
    with Workerless(tmp_path) as host, Cluster(host.url, patience=0.3) as cluster:
        with pytest.raises(NoWorkersError) as error:
            cluster.run(AGENT, notice=said.append)
    assert said == ["the router has no worker; waiting 0.3 s for one"]
    assert "`swarmc workers`" in (error.value.hint or "")
