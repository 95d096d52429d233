"""Leaders, their epochs, and how former leaders are kept from acting."""

from __future__ import annotations

import threading

import pytest

from swarmc.runtime.orchestration.agents.registry import AgentRegistry
from swarmc.runtime.orchestration.coordinator import (
    Ed25519Signer,
    Fence,
    ProposalState,
    ProposalType,
    Role,
    SwarmCoordinator,
    VoteDecision,
)
from swarmc.runtime.orchestration.coordinator.errors import (
    CoordinationError,
    EquivocationError,
    StaleEpochError,
)
from swarmc.runtime.orchestration.hub.topology import SwarmTopology, Topology

from .fakes import FakeAgent

APPROVE = VoteDecision.APPROVE


def members(number: int = 4) -> SwarmCoordinator:
    return SwarmCoordinator([f"a{i}" for i in range(number)])


def test_a_leader_and_its_successor() -> None:
    coordinator = members()
    election = coordinator.election
    assert (election.leader(), election.epoch()) == (None, 0)
    with pytest.raises(StaleEpochError, match="the leader of epoch 0 is gone"):
        election.fence(0)
    assert election.elect() == "a0"
    assert coordinator.role("a0") is Role.LEADER and coordinator.role("a1") is Role.FOLLOWER
    election.fence(1)
    assert election.elect("a2") == "a2"
    with pytest.raises(StaleEpochError, match="epoch 1 is over: it is 2"):
        election.fence(1)
    with pytest.raises(StaleEpochError, match="epoch 3 has not begun: it is 2"):
        election.fence(3)
    election.fence(2)
    election.step_down()
    assert election.leader() is None and coordinator.role("a2") is Role.FOLLOWER
    with pytest.raises(StaleEpochError):
        election.fence(2)


def test_no_epoch_has_two_leaders() -> None:
    coordinator = members()
    election = coordinator.election
    first = election.campaign("a0")
    data = {"candidate": "a1", "epoch": 1}
    rival = coordinator.submit_proposal("a1", ProposalType.LEADER_ELECTION, data)
    coordinator.cast_vote(first, "a2", APPROVE)
    with pytest.raises(EquivocationError, match="a2 backs a0 in this epoch"):
        coordinator.cast_vote(rival, "a2", APPROVE)
    coordinator.cast_vote(first, "a0", APPROVE)
    coordinator.cast_vote(first, "a3", APPROVE)
    assert election.leader() == "a0"
    assert coordinator.proposal(rival).state is ProposalState.REJECTED
    assert coordinator.proposal(rival).reason == "another leads in that epoch"
    late = coordinator.cast_vote(rival, "a1", APPROVE)
    assert late.state is ProposalState.REJECTED and election.leader() == "a0"
    wrong: list[object] = [{"candidate": "a1", "epoch": 1}, {"candidate": "b", "epoch": 2}, 2]
    for impossible in wrong:
        with pytest.raises(CoordinationError):
            coordinator.submit_proposal("a1", ProposalType.LEADER_ELECTION, impossible)


def test_too_few_elect_nobody() -> None:
    coordinator = members()
    first = coordinator.election.campaign("a0")
    for member in ("a1", "a2"):
        coordinator.cast_vote(first, member, VoteDecision.REJECT)
    assert coordinator.election.leader() is None
    assert coordinator.election.elect("a1") == "a1"  # in an epoch of its own
    assert coordinator.election.epoch() == 2
    assert coordinator.coordination_stats().rounds == 2


def test_who_fails_leads_no_more() -> None:
    registry = AgentRegistry()
    for number in range(5):
        registry.register(FakeAgent(f"a{number}"))
    coordinator = SwarmCoordinator(
        registry, topology=Topology(SwarmTopology.STAR, ["a2", "a0", "a1", "a3", "a4"])
    )
    election = coordinator.election
    assert election.elect() == "a2"  # the hub
    registry.fail("a2", "test")
    assert election.leader() is None
    with pytest.raises(StaleEpochError, match="the leader of epoch 1 is gone"):
        election.fence(1)
    with pytest.raises(CoordinationError, match="a2 cannot lead"):
        election.campaign("a2")
    assert election.elect() == "a0" and election.epoch() == 2


def test_observers_neither_lead_nor_elect() -> None:
    coordinator = members(3)
    coordinator.election.elect("a0")
    coordinator.assign_role("a0", Role.OBSERVER)
    assert coordinator.election.leader() is None
    with pytest.raises(CoordinationError, match="a0 cannot lead"):
        coordinator.election.elect("a0")
    assert coordinator.election.elect() == "a1"


def test_members_elsewhere_are_waited_for() -> None:
    coordinator = SwarmCoordinator({
        "a": None, "b": Ed25519Signer().public_key, "c": Ed25519Signer().public_key,
    })  # fmt: skip
    with pytest.raises(CoordinationError, match="1 of 3 members are for a: it takes 2"):
        coordinator.election.elect("a")


def test_a_fence_lets_nobody_back() -> None:
    fence = Fence()
    passed: list[int] = []
    refused: list[int] = []

    def act(epoch: int) -> None:
        for _ in range(200):
            try:
                fence.check(epoch)
            except StaleEpochError:
                refused.append(epoch)
            else:
                passed.append(epoch)

    threads = [threading.Thread(target=act, args=(epoch,)) for epoch in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert fence.epoch == 3 and passed.count(3) == 200
    with pytest.raises(StaleEpochError, match="epoch 2 is over: it is 3"):
        fence.check(2)
