"""Certified runs: every shard by workers that fail apart; who lies is named, shown and left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.coordinator.errors import BadCertificateError
from swarmc.runtime.orchestration.errors import TaskError
from swarmc.runtime.orchestration.shards import (
    Certification,
    ModuleMissingError,
    RunOptions,
    SchedulerPlace,
    Shard,
    certify_run,
    run_shards,
    split,
)
from swarmc.runtime.orchestration.shards.modules import digest_of
from swarmc.runtime.orchestration.tasks import Task, TaskContext
from swarmc.runtime.orchestration.verify import (
    Accusation,
    CertificationError,
    ShardCertificate,
    check_certificate,
)
from swarmc.runtime.orchestration.verify.evidence import check_evidence

from .sharding import Cheat, Travelling, assert_same, at_once, program, workers

SLIDE = Shard(program("memory"), 96, "slide", [(i, i % 40 - 20) for i in range(96)], seed=3)
SIZE = RunOptions(shard_size=16)


@pytest.mark.parametrize("certified", [False, True])
def test_a_module_that_was_forgotten_is_given_again(certified: bool) -> None:
    """As by a router, which keeps so many, and is asked by others in the meantime."""
    puts: list[bytes] = []
    run = Shard(SLIDE.module, 4, "slide", [(1, 2)] * 4)
    three = (Travelling, Travelling, Travelling)
    with workers(*three) as place, pytest.MonkeyPatch.context() as patch:
        puts_it, submits = place.put_module, place.submit

        def put(module: bytes) -> str:
            puts.append(module)
            return digest_of(module) if len(puts) == 1 else puts_it(module)

        def submit(tasks: Sequence[Task]) -> list[str]:
            if len(puts) == 1:
                raise ModuleMissingError("it is kept here no more")
            return submits(tasks)

        patch.setattr(place, "put_module", put)
        patch.setattr(place, "submit", submit)
        if certified:
            found = certify_run(place, split(run, 2), SIZE, Certification(1))
        else:
            found = run_shards(place, run, SIZE)
    assert len(puts) >= 2
    assert_same(found, at_once(run))


def keys_of(place: SchedulerPlace) -> dict[str, bytes]:
    return {one.worker_id: one.public_key for one in place._workers}


def test_every_shard_has_a_certificate_that_anybody_can_check(tmp_path: Path) -> None:
    with workers(Travelling, Travelling, Travelling) as place:
        found = certify_run(place, SLIDE, SIZE)
        keys = keys_of(place)
    assert_same(found, at_once(SLIDE))
    assert len(found.certificates) == len(found.shards) == 6
    for shard, certificate in zip(found.shards, found.certificates, strict=True):
        check_certificate(certificate, keys, f=1, shard=shard)
        assert not certificate.accused and len(certificate.signatures) == 3
    with pytest.raises(BadCertificateError, match="other inputs"):
        check_certificate(found.certificates[1], keys, f=1, shard=found.shards[2])
    file, known = tmp_path / "shard.json", tmp_path / "keys.json"
    file.write_text(found.certificates[2].to_json())
    known.write_text(json.dumps({name: key.hex() for name, key in keys.items()}))
    checked = CliRunner().invoke(app, ["verify", str(file), "--keys", str(known)])
    assert checked.exit_code == 0 and "valid" in checked.output


def test_one_bit_of_one_agent_names_the_worker_and_excludes_it() -> None:
    told: list[Accusation] = []
    with workers(Travelling, Cheat, Travelling) as place:
        excluded: list[tuple[str, str, str]] = []
        place._told = lambda *what: excluded.append(what)
        found = certify_run(place, SLIDE, SIZE, Certification(at_once=2, told=told.append))
        keys = keys_of(place)
        assert [one.worker_id for one in place.workers()] == ["w0", "w2"]
    assert_same(found, at_once(SLIDE))
    ((worker, reason, evidence),) = excluded
    assert worker == "w1" and reason == "differs in the memory of agent 5"
    shown = check_evidence(evidence, "w1", keys, domains={name: name for name in keys})
    assert shown.differences == ((5, "memory"),)  # of the shard that begins with agent 32
    assert found.shards[2].first + 5 == 37
    assert [a.replica for a in told] == ["w1"]
    for shard, certificate in zip(found.shards, found.certificates, strict=True):
        check_certificate(certificate, keys, f=1, shard=shard)
    assert len(found.certificates[-1].signatures) == 2  # one of the f that may lie is known


class Silent(Travelling):
    """Fails every task."""

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        raise TaskError("out of order", retry=False)


def test_others_run_what_too_few_have_answered() -> None:
    told: list[Accusation] = []
    with workers(Silent, Silent, Travelling, Travelling, Travelling) as place:
        found = certify_run(place, SLIDE, SIZE, Certification(at_once=1, told=told.append))
    assert_same(found, at_once(SLIDE))
    assert {a.replica for a in told} <= {"w0", "w1"}
    assert all(len(one.signatures) >= 2 for one in found.certificates)


class TwoFaced(Travelling):
    """Signs what came of the shard, and says that other things did."""

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        found = super().run(task, context)
        return {**found, "results": found["results"] ^ 1}


def test_results_are_those_that_were_signed() -> None:
    told: list[Accusation] = []
    with workers(TwoFaced, Travelling, Travelling) as place:
        found = certify_run(
            place, SLIDE, RunOptions(shard_size=96), Certification(told=told.append)
        )
    assert_same(found, at_once(SLIDE))
    assert [(a.replica, a.reason) for a in told] == [
        ("w0", "gave other results than it has signed")
    ]


class Forger(Travelling):
    """Signs what came of the shard, and gives other memories."""

    def run(self, task: Task, context: TaskContext) -> dict[str, Any]:
        found = super().run(task, context)
        return {**found, "memories": found["memories"] ^ 1}


def test_memories_are_what_f_and_one_more_gave() -> None:
    told: list[Accusation] = []
    options = RunOptions(shard_size=96, memories=(65528, 8))
    with workers(Travelling) as place:
        wanted = run_shards(place, SLIDE, options).memories
    with workers(Forger, Travelling, Travelling) as place:
        found = certify_run(place, SLIDE, options, Certification(told=told.append))
    assert found.memories is not None and wanted is not None
    assert found.memories.tobytes() == wanted.tobytes()
    assert [(a.replica, a.reason) for a in told] == [("w0", "gave other memories than others")]


def test_what_an_earlier_run_of_the_name_did_not_do_is_done() -> None:
    options = RunOptions(shard_size=96, key="nightly")
    with workers(Travelling, Travelling, Travelling) as place:
        done = place.submit
        place.submit = lambda tasks: given_up(place, done(tasks))  # type: ignore[method-assign]
        with pytest.raises(CertificationError):
            certify_run(place, SLIDE, options, Certification(patience=0.1))
        place.submit = done  # type: ignore[method-assign]
        found = certify_run(place, SLIDE, options)
    assert_same(found, at_once(SLIDE))


def given_up(place: SchedulerPlace, ids: list[str]) -> list[str]:
    place.cancel(ids, "the run was given up")
    return ids


def test_numbers_that_are_none_make_no_certificate() -> None:
    accused = {"replica": "w", "reason": "", "statement": None, "signature": "",
               "differences": [[float("inf"), "memory"]]}  # fmt: skip
    with workers(Travelling) as place:
        one = certify_run(place, SLIDE, RunOptions(shard_size=96), Certification(f=0))
    data = {**json.loads(one.certificates[0].to_json()), "accused": [accused]}
    with pytest.raises(BadCertificateError, match="not a certificate"):
        ShardCertificate.from_json(json.dumps(data))


def test_too_few_workers_are_refused_by_number() -> None:
    soon = Certification(patience=0.1)
    said: list[str] = []
    with workers(Travelling, Travelling) as place:
        with pytest.raises(CertificationError, match=r"takes 3 workers .* there are 2") as error:
            certify_run(place, SLIDE, replace(SIZE, notice=said.append), soon)
    assert said == ["2 of the 3 workers that f=1 needs; waiting 0.1 s for more"]
    assert "`swarmc workers`" in (error.value.hint or "")
    with workers(Travelling, Travelling, Travelling) as place:
        place._workers = [replace(one, domain="one host") for one in place._workers]
        with pytest.raises(CertificationError, match=r"takes 3 workers .* there are 1"):
            certify_run(place, SLIDE, SIZE, soon)
    with workers(Travelling, Travelling, Travelling) as place:
        known = dict(list(keys_of(place).items())[:2])
        with pytest.raises(CertificationError, match=r"takes 3 workers .* there are 2"):
            certify_run(place, SLIDE, SIZE, replace(soon, keys=known))


def test_two_liars_of_three_certify_nothing() -> None:
    class Other(Cheat):
        def _ran(self, swarm: Any, result: Any) -> None:
            swarm.set_agent_memory(int(result.ids[3]), b"!", 7)

    with workers(Cheat, Other, Travelling) as place, pytest.raises(CertificationError):
        certify_run(place, SLIDE, RunOptions(shard_size=96), Certification(patience=0.1))


@pytest.fixture(scope="module")
def evidence() -> tuple[ShardCertificate, Mapping[str, bytes]]:
    with workers(Travelling, Cheat, Travelling) as place:
        found = certify_run(place, SLIDE, RunOptions(shard_size=96))
        return found.certificates[0], keys_of(place)


Evidence = tuple[ShardCertificate, Mapping[str, bytes]]


def test_evidence_is_checked_with_keys_that_are_known(evidence: Evidence) -> None:
    certificate, keys = evidence
    text = certificate.to_json()
    assert check_evidence(text, "w1", keys).replica == "w1"
    assert len(certificate.accused) == 1

    def refused(message: str, text: str, replica: str, keys: Any = keys, **more: Any) -> None:
        with pytest.raises(BadCertificateError, match=message):
            check_evidence(text, replica, keys, **more)

    refused("no key of w7", text, "w7")
    refused("has signed what it is accused of", text, "w0")
    refused("1 known replicas", text, "w1", {n: k for n, k in keys.items() if n != "w2"})
    refused("1 domains", text, "w1", domains=dict.fromkeys(keys, "here"))
    refused("is not its own", text, "w1", {**keys, "w0": keys["w2"], "w2": keys["w0"]})
    (accused,) = certificate.accused
    silent = replace(certificate, accused=(replace(accused, statement=None),))
    refused("nothing that w1 has signed", silent.to_json(), "w1")
    slander = replace(accused, replica="w1", signature=b"\0" * 64)
    refused("has not signed", replace(certificate, accused=(slander,)).to_json(), "w1")
    # One that lies cannot accuse the others by asking that nobody agree with it.
    assert accused.statement is not None
    right = replace(accused, replica="w0", statement=certificate.statement,
                    signature=certificate.signatures["w0"])  # fmt: skip
    alone = ShardCertificate(
        accused.statement, 0, {"w1": accused.signature}, keys, (right,)
    )
    refused("1 known replicas have signed it: it takes 2", alone.to_json(), "w0")
