"""Certified execution: who lies about a shard is named, and what others say can be checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from swarmc import SwarmManager
from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.coordinator import (
    Ed25519Signer,
    ProposalType,
    SwarmCoordinator,
    VoteDecision,
)
from swarmc.runtime.orchestration.coordinator.errors import BadCertificateError
from swarmc.runtime.orchestration.verify import (
    Attestation,
    CertificationError,
    LocalReplica,
    Shard,
    ShardCertificate,
    certify,
    check_certificate,
    merkle_root,
)
from swarmc.runtime.orchestration.verify.merkle import is_under, merkle_path
from swarmc.runtime.results import SwarmResult

CORPUS = Path(__file__).parents[2] / "corpus"
MEMORY = (CORPUS / "memory.wasm").read_bytes()
SLIDE = Shard(MEMORY, agents=64, entry_point="slide", args=[(i, i % 40 - 20) for i in range(64)])


class Liar(LocalReplica):
    """Flips one bit of one agent's memory."""

    agent = 37

    def _ran(self, swarm: SwarmManager, result: SwarmResult) -> None:
        (byte,) = swarm.get_agent_memory(self.agent, 65535, 1)
        swarm.set_agent_memory(self.agent, bytes([byte ^ 4]), 65535)


class Braggart(LocalReplica):
    """Says that its agents executed one instruction more."""

    def execute(self, shard: Shard) -> Attestation:
        said = super().execute(shard)
        statement = replace(said.statement, instructions=said.statement.instructions + 1)
        signature = self._signer.sign(statement.signed_bytes(self.id))
        return replace(said, statement=statement, signature=signature)


class Forger(LocalReplica):
    """Gives a root that its hashes do not have."""

    def execute(self, shard: Shard) -> Attestation:
        said = super().execute(shard)
        statement = replace(said.statement, root="00" * 32)
        return replace(
            said, statement=statement, signature=self._signer.sign(statement.signed_bytes(self.id))
        )


class Dead(LocalReplica):
    """Does not answer."""

    def execute(self, shard: Shard) -> Attestation:
        raise ConnectionError("no route")


def replicas(*kinds: type[LocalReplica]) -> list[LocalReplica]:
    return [kind(f"w{number}", target="cpu") for number, kind in enumerate(kinds)]


def keys_of(workers: list[LocalReplica]) -> dict[str, bytes]:
    return {worker.id: worker.public_key for worker in workers}


def test_one_bit_of_one_agent_is_noticed_and_the_liar_named() -> None:
    workers = replicas(LocalReplica, Liar, LocalReplica)
    certificate = certify(SLIDE, workers, f=1)
    check_certificate(certificate, keys_of(workers), f=1, shard=SLIDE)
    assert set(certificate.signatures) == {"w0", "w2"}
    (accused,) = certificate.accused
    assert accused.replica == "w1" and accused.differences == ((37, "memory"),)
    assert accused.reason == "differs in the memory of agent 37"
    again = ShardCertificate.from_json(certificate.to_json())
    check_certificate(again, keys_of(workers), f=1, shard=SLIDE)
    assert again == certificate


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Braggart, "counts other instructions"),
        (Forger, "the hashes are not those of its root"),
        (Dead, "did not answer: no route"),
    ],
)
def test_other_lies(kind: type[LocalReplica], reason: str) -> None:
    workers = replicas(kind, LocalReplica, LocalReplica)
    certificate = certify(SLIDE, workers, f=1)
    check_certificate(certificate, keys_of(workers), f=1)
    assert [(a.replica, a.reason) for a in certificate.accused] == [("w0", reason)]


def test_too_many_liars_certify_nothing() -> None:
    class Other(Liar):
        agent = 5

    with pytest.raises(CertificationError, match="no 2 of 3 replicas said the same") as caught:
        certify(SLIDE, replicas(Liar, Other, LocalReplica), f=1)
    assert len(caught.value.accusations) == 2
    with pytest.raises(CertificationError, match="it takes 3"):
        certify(SLIDE, replicas(LocalReplica, LocalReplica), f=1)
    near = [LocalReplica("a", domain="m"), LocalReplica("b", domain="m"), LocalReplica("c")]
    with pytest.raises(CertificationError, match="two replicas have one domain"):
        certify(SLIDE, near, f=1)
    one = Ed25519Signer()
    with pytest.raises(CertificationError, match="two replicas have one public key"):
        certify(SLIDE, [LocalReplica(name, one) for name in "abc"], f=1)
    with pytest.raises(CertificationError, match="two replicas have one id"):
        certify(SLIDE, [LocalReplica("a") for _ in range(3)], f=1)


def test_certificates_that_prove_nothing() -> None:
    workers = replicas(LocalReplica, Liar, LocalReplica)
    keys = keys_of(workers)
    good = certify(SLIDE, workers, f=1)
    statement = replace(good.statement, root="00" * 32)
    (accused,) = good.accused
    for bad, complaint in [
        (replace(good, statement=statement), "not its own"),
        (replace(good, signatures={"w0": good.signatures["w0"]}), "it takes 2"),
        (replace(good, signatures={"w0": good.signatures["w2"]}), "not its own"),
        (replace(good, accused=(replace(accused, signature=b""),)), "has not signed"),
        (replace(good, accused=(replace(accused, statement=good.statement),)), "not contradict"),
    ]:
        with pytest.raises(BadCertificateError, match=complaint):
            check_certificate(bad, keys, f=1)
    with pytest.raises(BadCertificateError, match="0 known replicas"):
        check_certificate(good, {}, f=1)
    with pytest.raises(BadCertificateError, match="it takes 3"):
        check_certificate(good, keys, f=2)
    with pytest.raises(BadCertificateError, match="two replicas have one key"):
        check_certificate(good, {**keys, "w9": keys["w0"]}, f=1)
    with pytest.raises(BadCertificateError, match="another module"):
        check_certificate(good, keys, f=1, shard=replace(SLIDE, module=b""))
    for other in (replace(SLIDE, seed=1), replace(SLIDE, args=[(1, 1)] * 64)):
        with pytest.raises(BadCertificateError, match="other inputs"):
            check_certificate(good, keys, f=1, shard=other)
    for text in ("", "[]", "{}", good.to_json().replace("swarmc shard 1", "swarmc shard 2")):
        with pytest.raises(BadCertificateError, match="not a certificate"):
            ShardCertificate.from_json(text)


@pytest.mark.parametrize(
    "shard",
    [
        Shard((CORPUS / "hello.wasm").read_bytes(), agents=3),
        Shard((CORPUS / "traps.wasm").read_bytes(), 4, "divide", [(7, 1), (7, 0), (1, 1), (0, 0)]),
        Shard(MEMORY, 2, "grow", [(1,), (3,)]),
        Shard(MEMORY, 1, "size"),
    ],
    ids=["wasi", "traps", "grows", "one"],
)
def test_all_kinds_of_endings_are_hashed(shard: Shard) -> None:
    first, second = (worker.execute(shard) for worker in replicas(LocalReplica, LocalReplica))
    assert first.statement == second.statement and first.consistent
    assert len(first.hashes) == shard.agents
    other = LocalReplica("w", target="cpu").execute(replace(shard, fuel=1))
    assert other.statement.root != first.statement.root


def test_what_an_agent_does_depends_on_nobody_beside_it() -> None:
    several = LocalReplica("w", target="cpu").execute(SLIDE)
    alone = Shard(MEMORY, 1, "slide", [(5, 5 % 40 - 20)])
    assert LocalReplica("w", target="cpu").execute(alone).hashes[0] == several.hashes[5]


def test_merkle_trees() -> None:
    for count in range(1, 20):
        leaves = [bytes([number]) * number for number in range(count)]
        root = merkle_root(leaves)
        for index, leaf in enumerate(leaves):
            path = merkle_path(leaves, index)
            assert is_under(root, leaf, index, path)
            assert not is_under(root, leaf + b"x", index, path)
            assert not is_under(root, leaf, index + 1, path)
        assert merkle_root([*leaves, leaves[-1]]) != root
    assert merkle_root([b"a", b"b"]) != merkle_root([b"b", b"a"])
    with pytest.raises(IndexError, match="no leaf 2 of 2"):
        merkle_path([b"a", b"b"], 2)


def verify(*arguments: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    return done.exit_code, done.output


def test_command_line(tmp_path: Path) -> None:
    workers = replicas(LocalReplica, Liar, LocalReplica)
    certificate = certify(SLIDE, workers, f=1)
    path, keys, module = tmp_path / "cert.json", tmp_path / "keys.json", tmp_path / "m.wasm"
    path.write_text(certificate.to_json())
    keys.write_text(json.dumps({name: key.hex() for name, key in keys_of(workers).items()}))
    module.write_bytes(MEMORY)
    code, output = verify(path, "--keys", keys, "--module", module)
    assert code == 0 and "valid" in output
    assert "accused: w1: differs in the memory of agent 37" in output
    code, output = verify(path)
    assert code == 0 and "The keys are those in the certificate itself" in output
    code, output = verify(path, "--json", "--keys", keys)
    assert code == 0 and json.loads(output)["signed by"] == ["w0", "w2"]
    code, output = verify(path, "--f", 2)
    assert code == 1 and "it takes 3" in output
    module.write_bytes(MEMORY[:-1])
    code, output = verify(path, "--module", module, "--json")
    assert code == 1 and json.loads(output)["valid"] is False
    path.write_text(path.read_text().replace("1", "2"))
    assert verify(path)[0] == 1
    assert verify(tmp_path / "none")[0] == 2
    keys.write_text("[]")
    path.write_text(certificate.to_json())
    assert verify(path, "--keys", keys)[0] == 2


def test_command_line_knows_proposals(tmp_path: Path) -> None:
    coordinator = SwarmCoordinator(["a", "b", "c", "d"])
    proposal = coordinator.submit_proposal("a", ProposalType.TASK_ASSIGNMENT, {"task": "t"})
    for member in "abc":
        coordinator.cast_vote(proposal, member, VoteDecision.APPROVE)
    certificate = coordinator.proposal(proposal).certificate
    assert certificate is not None
    path, keys = tmp_path / "cert.json", tmp_path / "keys.json"
    path.write_text(certificate.to_json())
    keys.write_text(json.dumps({n: key.hex() for n, key in coordinator.public_keys().items()}))
    code, output = verify(path, "--keys", keys)
    assert code == 0 and "decision: approve" in output
    keys.write_text(json.dumps({n: "00" * 32 for n in "abcd"}))
    assert verify(path, "--keys", keys)[0] == 1
    assert verify(path, "--f", 1)[0] == 2
