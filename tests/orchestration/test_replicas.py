"""Replicas as real processes: killed, stopped and cut off from each other, they agree."""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.coordinator.elected import election_value

from .replica_processes import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="sw"))  # short: it is in the names of sockets
    made = Cluster(folder)
    try:
        yield made
    finally:
        codes = made.close()
        text = (folder / "errors").read_text()
        shutil.rmtree(folder)
    assert set(codes) == {0}, text
    assert "Traceback" not in text and "contradict" not in text, text


def test_processes_agree_through_kills_pauses_and_partitions(cluster: Cluster) -> None:
    chance = random.Random(8)
    values = [b"first"]
    assert cluster.wait(cluster.have(cluster.names, values), 60)
    for number in range(24):
        name = chance.choice(cluster.names)
        values.append(b"value %d" % number)
        others = [other for other in cluster.names if other != name]
        cluster.submit(chance.choice(others), values[-1])
        fault = ("kill", "pause", "cut off")[number % 3]
        time.sleep(chance.uniform(0.0, 0.1))  # somewhere in the middle of it
        if fault == "kill":
            cluster.kill(name)
        elif fault == "pause":
            cluster.signal(name, signal.SIGSTOP)
        else:
            cluster.split([name])
        assert cluster.wait(cluster.have(others, values), 60), f"{number}: {fault} {name}"
        if fault == "kill":
            cluster.start(name)
        elif fault == "pause":
            cluster.signal(name, signal.SIGCONT)
        else:
            cluster.heal()
    assert cluster.wait(cluster.have(cluster.names, values), 60)
    cluster.check()


def test_no_half_decides_and_all_do_once_it_heals(cluster: Cluster) -> None:
    assert cluster.wait(cluster.have(cluster.names, [b"before"]), 60)
    cluster.split(cluster.names[:2])
    time.sleep(0.3)
    heights = cluster.heights()
    for name in cluster.names:
        assert cluster.submit(name, name.encode())
    time.sleep(1.2)
    assert cluster.heights() == heights
    cluster.heal()
    values = [name.encode() for name in cluster.names]
    assert cluster.wait(cluster.have(cluster.names, values), 60)
    cluster.check()


def test_all_killed_at_once_lose_nothing(cluster: Cluster) -> None:
    values = [b"value %d" % number for number in range(20)]
    for value in values:
        cluster.submit("r1", value)
    assert cluster.wait(cluster.have(["r0"], values[:5]), 60)
    for name in cluster.names:
        cluster.kill(name)
    for name in cluster.names:
        cluster.start(name)
    assert cluster.wait(cluster.have(cluster.names, values), 60)
    cluster.check()


def test_processes_elect_a_leader_and_its_successor(cluster: Cluster) -> None:
    first = election_value("r0", 0)
    assert cluster.wait(cluster.have(cluster.names, [first]), 60)
    answer = cluster.ask("r1", {"client": "leader"})
    assert answer is not None and answer["leader"] == "r0"
    cluster.kill("r0")
    others = cluster.names[1:]
    rivals = [election_value(name, answer["epoch"]) for name in others]  # all want to succeed it
    assert cluster.wait(cluster.have(others, rivals), 60)
    found = [cluster.ask(name, {"client": "leader"}) for name in others]
    assert found[0] is not None and found == [found[0]] * 3
    assert found[0]["leader"] in others and found[0]["epoch"] > answer["epoch"]
    cluster.start("r0")
    assert cluster.wait(lambda: cluster.ask("r0", {"client": "leader"}) == found[0], 60)
    cluster.check()
