"""Proposals, votes, certificates, and what of them survives in a store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.agents.registry import AgentRegistry
from swarmc.runtime.orchestration.coordinator import (
    CastVote,
    Ed25519Signer,
    ProposalCertificate,
    ProposalState,
    ProposalType,
    Role,
    SwarmCoordinator,
    SwarmProposal,
    VoteDecision,
)
from swarmc.runtime.orchestration.coordinator.errors import (
    BadCertificateError,
    BadSignatureError,
    CoordinationError,
    EquivocationError,
    ProposalClosedError,
    UnknownMemberError,
    UnknownProposalError,
)
from swarmc.runtime.orchestration.events import Event, EventKind
from swarmc.runtime.orchestration.locks import LockOrderError
from swarmc.runtime.orchestration.store import Store, StoreError

from .fakes import FakeAgent, FakeClock, ListLog

APPROVE, REJECT, ABSTAIN = VoteDecision.APPROVE, VoteDecision.REJECT, VoteDecision.ABSTAIN
TASK = ProposalType.TASK_ASSIGNMENT


def named(number: int) -> list[str]:
    return [f"a{i}" for i in range(number)]


def vote(
    coordinator: SwarmCoordinator, proposal: str, decisions: dict[str, VoteDecision]
) -> SwarmProposal:
    for member, decision in decisions.items():
        coordinator.cast_vote(proposal, member, decision)
    return coordinator.proposal(proposal)


@pytest.mark.parametrize(
    ("members", "decisions", "state"),
    [
        (1, "a", ProposalState.APPROVED),
        (2, "a", ProposalState.OPEN),
        (2, "aa", ProposalState.APPROVED),
        (2, "ar", ProposalState.REJECTED),
        (3, "aa", ProposalState.APPROVED),
        (3, "rr", ProposalState.REJECTED),
        (4, "aa", ProposalState.OPEN),
        (4, "aaa", ProposalState.APPROVED),
        (4, "raaa", ProposalState.APPROVED),
        (4, "rr", ProposalState.REJECTED),
        (4, "s-s", ProposalState.REJECTED),
        (5, "aaa", ProposalState.OPEN),
        (5, "aaaa", ProposalState.APPROVED),
        (7, "aaaarr", ProposalState.OPEN),
        (7, "aaaarra", ProposalState.APPROVED),
        (7, "aaaarrs", ProposalState.REJECTED),
    ],
)
def test_how_many_votes_decide(members: int, decisions: str, state: ProposalState) -> None:
    words = {"a": APPROVE, "r": REJECT, "s": ABSTAIN}
    coordinator = SwarmCoordinator(named(members))
    proposal = coordinator.submit_proposal("a0", TASK, {"task": "t"})
    cast = {f"a{i}": words[word] for i, word in enumerate(decisions) if word != "-"}
    assert vote(coordinator, proposal, cast).state is state


def approved(coordinator: SwarmCoordinator) -> SwarmProposal:
    proposal = coordinator.submit_proposal("a0", TASK, {"agent": "a1", "data": b"\0\1"})
    return vote(coordinator, proposal, dict.fromkeys(("a0", "a1", "a2"), APPROVE))


def test_certificates_are_checked_without_the_coordinator() -> None:
    coordinator = SwarmCoordinator(named(4))
    keys = coordinator.public_keys()
    proposal = approved(coordinator)
    assert proposal.certificate is not None
    text = proposal.certificate.to_json()
    del coordinator
    certificate = ProposalCertificate.from_json(text)
    certificate.check(keys)
    assert certificate.motion.data == {"agent": "a1", "data": b"\0\1"}
    assert certificate.decision is APPROVE

    def changed(*path: str | int, to: Any) -> ProposalCertificate:
        data = json.loads(text)
        place = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to
        return ProposalCertificate.from_json(json.dumps(data))

    votes = json.loads(text)["votes"]
    for broken, complaint in [
        (changed("motion", "data", to='{"agent":"a2"}'), "not its own"),
        (changed("motion", "proposer", to="a3"), "not its own"),
        (changed("votes", to=votes[:2]), "no quorum"),
        (changed("votes", to=[*votes[:2], votes[0]]), "voted twice"),
        (changed("votes", 0, "decision", to="reject"), "something else"),
        (changed("votes", 0, "voter", to="a3"), "not its own"),
        (changed("votes", 0, "reason", to="so"), "not its own"),
        (changed("decision", to="abstain"), "decide nothing"),
        (changed("motion", "members", "a0", to="00" * 32), "other keys"),
    ]:
        with pytest.raises(BadCertificateError, match=complaint):
            broken.check(keys)
    for no_certificate in ("", "[]", "{}", '{"format": 1}', text[:-20]):
        with pytest.raises(BadCertificateError, match="not a certificate"):
            ProposalCertificate.from_json(no_certificate)
    with pytest.raises(BadCertificateError, match="other members"):
        certificate.check(SwarmCoordinator(named(4)).public_keys())


def test_a_rejection_is_certified_only_by_a_quorum() -> None:
    coordinator = SwarmCoordinator(named(4))
    proposal = coordinator.submit_proposal("a0", TASK)
    closed = vote(coordinator, proposal, {"a1": REJECT, "a2": ABSTAIN})
    assert closed.state is ProposalState.REJECTED and closed.certificate is None
    assert closed.reason == "3 of 4 would have to approve: no more than 2 can"


def test_a_second_vote_is_evidence_and_does_not_count() -> None:
    log = ListLog()
    coordinator = SwarmCoordinator(named(4), log)
    proposal = coordinator.submit_proposal("a0", TASK)
    coordinator.cast_vote(proposal, "a1", APPROVE, "good")
    with pytest.raises(EquivocationError, match="a1 said approve before: reject does not count"):
        coordinator.cast_vote(proposal, "a1", REJECT)
    assert coordinator.cast_vote(proposal, "a1", APPROVE, "again").count(APPROVE) == 1
    stats = coordinator.coordination_stats()
    assert (stats.votes, stats.equivocations) == (1, 1)
    evidence = [e for e in log.written if e.kind is EventKind.COORDINATION_EQUIVOCATED]
    assert CastVote.from_data(evidence[0].data).decision is REJECT
    # also once the proposal is decided
    vote(coordinator, proposal, {"a2": APPROVE, "a3": APPROVE})
    with pytest.raises(EquivocationError):
        coordinator.cast_vote(proposal, "a2", REJECT)


def test_votes_after_the_decision_are_recorded_and_decide_nothing() -> None:
    coordinator = SwarmCoordinator(named(4))
    proposal = approved(coordinator)
    late = coordinator.cast_vote(proposal.id, "a3", REJECT, "too late")
    assert late.state is ProposalState.APPROVED and len(late.votes) == 4
    assert late.certificate is proposal.certificate


def test_proposals_expire() -> None:
    clock = FakeClock(1000.0)
    coordinator = SwarmCoordinator(named(4), clock=clock, timeout=30)
    closed: list[str] = []
    coordinator.on_closed(lambda proposal: closed.append(proposal.id))
    first = coordinator.submit_proposal("a0", TASK)
    second = coordinator.submit_proposal("a0", TASK, timeout=60)
    coordinator.cast_vote(first, "a0", APPROVE)
    clock.advance(29.9)
    assert len(coordinator.proposals(ProposalState.OPEN)) == 2
    clock.advance(0.1)
    assert coordinator.proposal(first).reason == "1 of 4 voted in time"
    with pytest.raises(ProposalClosedError, match="has expired"):
        coordinator.cast_vote(first, "a1", APPROVE)
    assert [p.id for p in coordinator.proposals(ProposalState.OPEN)] == [second]
    assert closed == [first]


def test_who_may_not() -> None:
    coordinator = SwarmCoordinator(named(4))
    with pytest.raises(UnknownMemberError, match="no member 'b'"):
        coordinator.submit_proposal("b", TASK)
    proposal = coordinator.submit_proposal("a0", TASK)
    with pytest.raises(UnknownMemberError, match="'b' may not vote"):
        coordinator.cast_vote(proposal, "b", APPROVE)
    with pytest.raises(UnknownProposalError, match="no proposal 'x'"):
        coordinator.cast_vote("x", "a0", APPROVE)
    coordinator.assign_role("a3", Role.OBSERVER, "slow")
    assert coordinator.role("a3") is Role.OBSERVER
    coordinator.cast_vote(proposal, "a3", APPROVE)  # it was a voter when this was opened
    later = coordinator.submit_proposal("a3", TASK)
    with pytest.raises(UnknownMemberError, match="'a3' may not vote"):
        coordinator.cast_vote(later, "a3", APPROVE)
    with pytest.raises(CoordinationError, match="a leader is elected"):
        coordinator.assign_role("a0", Role.LEADER)
    for member in named(3):
        coordinator.assign_role(member, Role.OBSERVER)
    with pytest.raises(CoordinationError, match="nobody may vote"):
        coordinator.submit_proposal("a0", TASK)


def test_members_elsewhere_sign_for_themselves() -> None:
    remote = Ed25519Signer()
    coordinator = SwarmCoordinator({"here": None, "there": remote.public_key})
    proposal = coordinator.submit_proposal("here", TASK)
    with pytest.raises(CoordinationError, match="holds its own key; hand its signed vote"):
        coordinator.cast_vote(proposal, "there", APPROVE)
    coordinator.cast_vote(proposal, "here", APPROVE)
    unsigned = CastVote("there", APPROVE, "yes")
    with pytest.raises(BadSignatureError):
        coordinator.cast_signed_vote(proposal, unsigned)
    digest = coordinator.proposal(proposal).motion.digest
    signed = replace(unsigned, signature=remote.sign(unsigned.signed_bytes(digest)))
    with pytest.raises(BadSignatureError):
        coordinator.cast_signed_vote(proposal, replace(signed, reason="no"))
    assert coordinator.cast_signed_vote(proposal, signed).state is ProposalState.APPROVED
    other = coordinator.submit_proposal("here", TASK)
    with pytest.raises(BadSignatureError):  # it is for one proposal only
        coordinator.cast_signed_vote(other, signed)


def test_members_come_and_go_by_proposals() -> None:
    coordinator = SwarmCoordinator(named(3))
    key = Ed25519Signer().public_key
    before = coordinator.submit_proposal("a0", TASK)
    change = coordinator.submit_proposal(
        "a0", ProposalType.MEMBERSHIP_CHANGE, {"add": {"b": key.hex()}, "remove": ["a2"]}
    )
    assert "b" not in coordinator.members
    vote(coordinator, change, {"a0": APPROVE, "a1": APPROVE})
    assert coordinator.members == ("a0", "a1", "b")
    assert coordinator.public_keys()["b"] == key
    coordinator.cast_vote(before, "a2", APPROVE)  # those who could vote when it was opened
    with pytest.raises(CoordinationError, match="c has the key of b"):
        coordinator.submit_proposal(
            "a0", ProposalType.MEMBERSHIP_CHANGE, {"add": {"c": key.hex()}}
        )
    with pytest.raises(CoordinationError, match="y has the key of x"):
        SwarmCoordinator({"x": key, "y": key})
    wrong: list[object] = [{}, [], {"add": ["b"]}, {"add": {"b": "00"}}, {"add": {"a b": None}}]
    for data in wrong:
        with pytest.raises(CoordinationError):
            coordinator.submit_proposal("a0", ProposalType.MEMBERSHIP_CHANGE, data)


def test_agents_of_a_registry_are_members() -> None:
    registry = AgentRegistry()
    coordinator = SwarmCoordinator(registry)
    assert coordinator.coordination_stats().quorum == 0
    for name in named(4):
        registry.register(FakeAgent(name))
    stats = coordinator.coordination_stats()
    assert (stats.members, stats.quorum, stats.tolerated) == (4, 3, 1)
    registry.fail("a3", "test")
    assert coordinator.members == ("a0", "a1", "a2")


def test_who_holds_the_registry_is_refused_rather_than_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = AgentRegistry()
    registry.register(FakeAgent("a0"))
    coordinator = SwarmCoordinator(registry)
    registry.on_change(lambda *_: coordinator.submit_proposal("a0", TASK, {}))
    registry.register(FakeAgent("a1"))  # while another thread votes, this could wait for ever
    assert "the coordinator was asked by who holds the lock of its members' regis" in caplog.text
    assert coordinator.proposals() == []
    with registry.lock, pytest.raises(LockOrderError, match="ask from another thread"):
        coordinator.election.campaign("a0")
    with coordinator._lock, registry.lock:  # in their order
        assert coordinator.members == ("a0", "a1")


def history(coordinator: SwarmCoordinator) -> str:
    """Something of everything; the id of the proposal that is left open."""
    approved(coordinator)
    change = coordinator.submit_proposal(
        "a0", ProposalType.MEMBERSHIP_CHANGE, {"add": {"b": None}}
    )
    vote(coordinator, change, dict.fromkeys(("a0", "a1", "a3"), APPROVE))
    coordinator.assign_role("a3", Role.OBSERVER)
    coordinator.election.elect("a2")
    coordinator.election.elect("a1")
    left_open = coordinator.submit_proposal("a1", ProposalType.RESOURCE_ALLOCATION, [1.5, None])
    coordinator.cast_vote(left_open, "a1", APPROVE, "mine")
    with pytest.raises(EquivocationError):
        coordinator.cast_vote(left_open, "a1", ABSTAIN)
    return left_open


def test_everything_survives_in_a_store(tmp_path: Path) -> None:
    path, keys = tmp_path / "swarm.db", tmp_path / "keys"
    with Store(path) as store:
        coordinator = SwarmCoordinator(named(4), store, keys=keys)
        left_open = history(coordinator)
        before = coordinator.coordination_stats()
        certificate = coordinator.proposals()[0].certificate
        public = coordinator.public_keys()
    assert before.leader == "a1" and before.epoch == 2 and before.rounds == 2
    with Store(path) as store:
        again = SwarmCoordinator(named(4), store, keys=keys)
        assert again.coordination_stats() == before
        assert again.public_keys() == public
        assert again.role("a3") is Role.OBSERVER and again.role("a1") is Role.LEADER
        first = again.proposals()[0]
        assert first.certificate is not None and certificate is not None
        assert first.certificate.to_json() == certificate.to_json()
        with pytest.raises(EquivocationError):
            again.cast_vote(left_open, "a1", REJECT)
        done = vote(again, left_open, dict.fromkeys(("a0", "a2"), APPROVE))
        assert done.state is ProposalState.APPROVED and done.motion.data == [1.5, None]
        assert done.votes[0].reason == "mine"
        assert store.rebuild() == len(list(store.events()))
    assert oct((keys / "a0.key").stat().st_mode)[-3:] == "600"


def test_events_without_a_table_are_stored_beside_the_others(tmp_path: Path) -> None:
    with Store(tmp_path / "swarm.db") as store:
        described = {"name": "a", "kind": "generic", "capabilities": []}
        role = Event(EventKind.COORDINATION_ROLE, "a", {"role": "observer", "reason": ""})
        store.append([Event(EventKind.AGENT_REGISTERED, "a", described), role])
        with pytest.raises(StoreError):  # all or nothing
            store.append([role, Event(EventKind.TASK_STARTED, "none", {"attempt": 1})])
        store.append([role])
        assert [event.kind for event in store.events(kinds=[role.kind])] == [role.kind] * 2
        assert [e.kind for e in store.events(subject="a")] == [EventKind.AGENT_REGISTERED]
        assert [e.kind for e in store.events(subject="a", kinds=[role.kind])] == []
        assert [event.seq for event in store.events(2, kinds=[role.kind])] == [3]


def test_without_their_keys_members_cannot_vote_on_what_was_open(tmp_path: Path) -> None:
    path = tmp_path / "swarm.db"
    with Store(path) as store:
        proposal = SwarmCoordinator(named(4), store).submit_proposal("a0", TASK)
    with Store(path) as store:
        again = SwarmCoordinator(named(4), store)
        with pytest.raises(CoordinationError, match="a0 has had another key since"):
            again.cast_vote(proposal, "a0", APPROVE)


def test_what_is_not_durable_did_not_happen(tmp_path: Path) -> None:
    store = Store(tmp_path / "swarm.db")
    coordinator = SwarmCoordinator(named(4), store)
    proposal = coordinator.submit_proposal("a0", TASK)
    before = coordinator.coordination_stats()
    store.close()
    with pytest.raises(StoreError):
        coordinator.cast_vote(proposal, "a0", APPROVE)
    with pytest.raises(StoreError):
        coordinator.submit_proposal("a0", TASK)
    with pytest.raises(StoreError):
        coordinator.assign_role("a0", Role.OBSERVER)
    assert coordinator.coordination_stats() == before


def test_the_callers_data_are_not_kept() -> None:
    coordinator = SwarmCoordinator(named(1))
    data = {"task": ["t"]}
    proposal = coordinator.submit_proposal("a0", TASK, data)
    data["task"].append("u")
    assert coordinator.proposal(proposal).motion.data == {"task": ["t"]}
