"""Agreement without a network: rules, certificates, evidence, and what survives a crash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmc.runtime.orchestration.coordinator.agreement import MAX_VALUE, Agreement
from swarmc.runtime.orchestration.coordinator.errors import (
    BadCertificateError,
    CoordinationError,
    GroupError,
)
from swarmc.runtime.orchestration.coordinator.messages import (
    Certificate,
    Decision,
    Evidence,
    Gossip,
    Message,
    Proposal,
    Record,
    Request,
    Step,
    Vote,
    check_decision,
    check_evidence,
    value_id,
)
from swarmc.runtime.orchestration.coordinator.outputs import (
    Accuse,
    Decide,
    Output,
    Persist,
    Send,
    SetTimer,
    Timeouts,
    Timer,
    TimerKind,
)
from swarmc.runtime.orchestration.coordinator.quorum import Group, faults, quorum
from swarmc.runtime.orchestration.coordinator.signing import Ed25519Signer, Ed25519Verifier

SIGNERS = {f"r{number}": Ed25519Signer(bytes([number + 1]) * 32) for number in range(4)}
GROUP = Group("four", {name: signer.public_key for name, signer in SIGNERS.items()})
VERIFIER = Ed25519Verifier(GROUP.keys)


def replica(name: str, records: list[Record] | None = None) -> Agreement:
    return Agreement(name, GROUP, SIGNERS[name], VERIFIER, records=records or ())


def signed_vote(name: str, round: int, step: Step, value: str | None, height: int = 1) -> Vote:
    vote = Vote(name, height, round, step, value)
    return replace(vote, signature=SIGNERS[name].sign(vote.signed_bytes(GROUP)))


def signed_proposal(name: str, round: int, value: bytes) -> Proposal:
    proposal = Proposal(name, 1, round, value)
    return replace(proposal, signature=SIGNERS[name].sign(proposal.signed_bytes(GROUP)))


def votes_of(outputs: list[Output]) -> list[tuple[int, Step, str | None]]:
    """What was voted, in which round."""
    sent = [output.message for output in outputs if isinstance(output, Send)]
    return [(vote.round, vote.step, vote.value) for vote in sent if isinstance(vote, Vote)]


def settle(replicas: dict[str, Agreement], outputs: dict[str, list[Output]]) -> list[Decision]:
    """Deliver everything until nothing is under way."""
    decisions: list[Decision] = []
    while any(outputs.values()):
        name, out = next((name, out) for name, out in outputs.items() if out)
        outputs[name] = []
        for output in out:
            if isinstance(output, Decide):
                decisions.append(output.decision)
            elif isinstance(output, Send):
                for other in replicas if output.to is None else [output.to]:
                    if other != name and other in replicas:
                        outputs[other] += replicas[other].receive(output.message)
    return decisions


@pytest.mark.parametrize(
    ("members", "bears", "takes"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (10, 3, 7)],
)
def test_quorums(members: int, bears: int, takes: int) -> None:
    assert (faults(members), quorum(members)) == (bears, takes)
    assert 2 * takes - members > bears  # any two share a member that is not faulty
    assert takes <= members - bears  # those that are not faulty suffice


def test_a_third_of_the_members_is_too_much() -> None:
    with pytest.raises(GroupError, match=r"3 members cannot bear 1 faulty ones; 4 members can"):
        quorum(3, 1)
    with pytest.raises(GroupError, match="needs a member"):
        Group("none", {})
    with pytest.raises(GroupError, match="two members have one key"):
        Group("g", {"a": b"k", "b": b"k"})
    with pytest.raises(GroupError, match="not a name"):
        Group("g", {"a|b": b""})


def test_four_replicas_decide_and_anyone_can_check() -> None:
    replicas = {name: replica(name) for name in SIGNERS}
    outputs = {name: r.start() for name, r in replicas.items()}
    settle(replicas, outputs)
    outputs["r0"] = replicas["r0"].submit(b"first")
    outputs["r3"] = replicas["r3"].submit(b"second")
    decisions = settle(replicas, outputs)
    assert sorted(d.height for d in decisions) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert {replicas[name].decisions[0].value for name in SIGNERS} == {b"first"}
    assert {replicas[name].decisions[1].value for name in SIGNERS} == {b"second"}
    for decision in decisions:
        check_decision(decision, GROUP, VERIFIER)
        assert len(decision.certificate.votes) == 3


def test_one_of_four_may_be_dead() -> None:
    replicas = {name: replica(name) for name in ("r0", "r1", "r2")}
    outputs = {name: r.start() for name, r in replicas.items()}
    outputs["r0"] += replicas["r0"].submit(b"value")
    assert len(settle(replicas, outputs)) == 3
    # and two of four are too few: nothing is decided, whatever times out
    replicas = {name: replica(name) for name in ("r0", "r1")}
    outputs = {name: r.start() for name, r in replicas.items()}
    outputs["r0"] += replicas["r0"].submit(b"value")
    assert settle(replicas, outputs) == []
    for kind in (TimerKind.PROPOSE, TimerKind.PREVOTE, TimerKind.PRECOMMIT):
        for name, r in replicas.items():
            outputs[name] += r.fire(Timer(kind, 1, 0))
        assert settle(replicas, outputs) == []


def decided() -> Decision:
    replicas = {name: replica(name) for name in SIGNERS}
    outputs = {name: r.start() for name, r in replicas.items()}
    outputs["r0"] += replicas["r0"].submit(b"value")
    return settle(replicas, outputs)[0]


def test_certificates_that_prove_nothing() -> None:
    good = decided()
    votes = good.certificate.votes
    bad = {
        "no quorum": replace(good.certificate, votes=votes[:2]),
        "voted twice": replace(good.certificate, votes=(*votes[:2], votes[0])),
        "not its own": replace(
            good.certificate, votes=(*votes[:2], replace(votes[2], signature=bytes(64)))
        ),
        "something else": replace(good.certificate, round=1),
        "no members": replace(
            good.certificate, votes=(*votes[:2], replace(votes[2], replica="stranger"))
        ),
    }
    for complaint, certificate in bad.items():
        with pytest.raises(BadCertificateError, match=complaint):
            check_decision(replace(good, certificate=certificate), GROUP, VERIFIER)
    with pytest.raises(BadCertificateError, match="another value"):
        check_decision(replace(good, value=b"other"), GROUP, VERIFIER)
    with pytest.raises(BadCertificateError, match="another step"):
        check_decision(replace(good, height=2), GROUP, VERIFIER)
    elsewhere = Group("other", GROUP.keys)
    with pytest.raises(BadCertificateError, match="not its own"):
        check_decision(good, elsewhere, VERIFIER)


def test_who_votes_twice_is_named_with_proof() -> None:
    r = replica("r0")
    r.start()
    assert r.receive(signed_vote("r2", 0, Step.PREVOTE, "a" * 64)) == []
    out = r.receive(signed_vote("r2", 0, Step.PREVOTE, None))
    (accusation,) = [output for output in out if isinstance(output, Accuse)]
    assert accusation.evidence.replica == "r2"
    check_evidence(accusation.evidence, GROUP, VERIFIER)
    assert r.receive(signed_vote("r2", 0, Step.PREVOTE, "b" * 64)) == []  # said once
    proposals = [signed_proposal("r1", 0, value) for value in (b"one", b"two")]
    r.receive(proposals[0])
    out = r.receive(proposals[1])
    assert any(isinstance(o, Accuse) and o.evidence.replica == "r1" for o in out)
    innocent = signed_vote("r3", 0, Step.PREVOTE, None)
    with pytest.raises(BadCertificateError, match="do not contradict"):
        check_evidence(Evidence("r3", innocent, innocent), GROUP, VERIFIER)
    forged = replace(innocent, value="c" * 64)
    with pytest.raises(BadCertificateError, match="has not signed both"):
        check_evidence(Evidence("r3", innocent, forged), GROUP, VERIFIER)


def lock_on_a_value() -> tuple[Agreement, list[Record], Proposal]:
    """A replica that has precommitted in round 0, and what it made durable."""
    r = replica("r0")
    proposal = signed_proposal("r1", 0, b"value")
    out = [*r.start(), *r.receive(proposal)]
    for name in ("r1", "r2"):
        out += r.receive(signed_vote(name, 0, Step.PREVOTE, proposal.id))
    assert votes_of(out) == [(0, Step.PREVOTE, proposal.id), (0, Step.PRECOMMIT, proposal.id)]
    durable: list[Record] = []
    for output in out:
        if isinstance(output, Send) and isinstance(output.message, (Vote, Proposal)):
            assert output.message in durable  # before it is said
        elif isinstance(output, Persist):
            durable.append(output.record)
    return r, durable, proposal


def go_to_round(r: Agreement, round: int) -> list[Output]:
    out: list[Output] = []
    for name in ("r1", "r2"):
        out += r.receive(signed_vote(name, round, Step.PRECOMMIT, None))
    return out


@pytest.mark.parametrize("crash", [False, True], ids=["alive", "restarted"])
def test_a_lock_holds_also_after_a_crash(crash: bool) -> None:
    r, durable, proposal = lock_on_a_value()
    if crash:
        r = replica("r0", durable)
        assert votes_of(r.start()) == []  # nothing is voted a second time
    go_to_round(r, 1)
    assert r.round == 1
    other = signed_proposal("r2", 1, b"other")
    assert votes_of(r.receive(other)) == [(1, Step.PREVOTE, None)]
    go_to_round(r, 3)  # its own turn: it proposes what it is locked on, with the proof
    (said,) = [m for m in r._signed.values() if isinstance(m, Proposal)]
    assert said.value == proposal.value and said.proof is not None
    other_replica = replica("r1")
    other_replica.start()
    go_to_round(other_replica, 3)
    assert votes_of(other_replica.receive(said)) == [(3, Step.PREVOTE, proposal.id)]


def polka(round: int, value: bytes) -> Certificate:
    votes = tuple(
        signed_vote(name, round, Step.PREVOTE, value_id(value)) for name in ("r1", "r2", "r3")
    )
    return Certificate(1, round, Step.PREVOTE, value_id(value), votes)


@pytest.mark.parametrize(
    ("proved", "lets_go"), [(1, False), (2, False), (3, True)], ids=["older", "same", "later"]
)
def test_a_lock_is_let_go_for_a_later_proof_only(proved: int, lets_go: bool) -> None:
    r = replica("r0")
    r.start()
    go_to_round(r, 2)
    mine = signed_proposal("r3", 2, b"mine")
    r.receive(mine)
    for name in ("r1", "r2"):
        r.receive(signed_vote(name, 2, Step.PREVOTE, mine.id))
    assert r._locked == (2, mine.id)
    go_to_round(r, 4)
    other = Proposal("r1", 1, 4, b"other", polka(proved, b"other"))
    other = replace(other, signature=SIGNERS["r1"].sign(other.signed_bytes(GROUP)))
    out = r.receive(other)
    if proved == 2:  # there cannot be two such proofs of one round: this one is not believed
        assert votes_of(out) == []
    else:
        expected = other.id if lets_go else None
        assert votes_of(out) == [(4, Step.PREVOTE, expected)]


@pytest.mark.parametrize("proved", [4, 5])
def test_a_proof_must_be_of_an_earlier_round(proved: int) -> None:
    r = replica("r0")
    r.start()
    go_to_round(r, 4)
    proposal = Proposal("r1", 1, 4, b"x", polka(proved, b"x"))
    proposal = replace(proposal, signature=SIGNERS["r1"].sign(proposal.signed_bytes(GROUP)))
    assert votes_of(r.receive(proposal)) == []
    wrong = replace(polka(3, b"x"), votes=polka(3, b"x").votes[:2])
    proposal = replace(proposal, proof=wrong)
    proposal = replace(proposal, signature=SIGNERS["r1"].sign(proposal.signed_bytes(GROUP)))
    assert votes_of(r.receive(proposal)) == []


def test_a_restarted_replica_votes_nothing_else_in_a_step() -> None:
    _, durable, proposal = lock_on_a_value()
    r = replica("r0", durable[:1])  # it crashed after its prevote
    r.start()
    assert votes_of(r.fire(Timer(TimerKind.PROPOSE, 1, 0))) == []
    for name in ("r1", "r2"):
        out = r.receive(signed_vote(name, 0, Step.PREVOTE, proposal.id))
    # It knows the value only by its id: it waits for it.
    assert votes_of(out) == []
    out = r.receive(proposal)
    assert votes_of(out) == [(0, Step.PRECOMMIT, proposal.id)]


def test_who_is_behind_gets_decisions() -> None:
    replicas = {name: replica(name) for name in ("r0", "r1", "r2")}
    outputs = {name: r.start() for name, r in replicas.items()}
    for number in range(2):  # at height 3 it is r3's turn
        outputs["r0"] += replicas["r0"].submit(b"value %d" % number)
        settle(replicas, outputs)
    late = replica("r3")
    replicas["r3"] = late
    outputs["r3"] = late.start()
    settle(replicas, outputs)
    assert [d.value for d in late.decisions] == [b"value 0", b"value 1"]
    assert late.height == 3


def test_lies_about_others_have_no_effect() -> None:
    r = replica("r0")
    r.start()
    forged = [
        replace(signed_vote("r1", 0, Step.PRECOMMIT, value_id(b"x")), replica=name)
        for name in ("r1", "r2", "r3")
    ]
    out = r.receive(Gossip("r1", 1, tuple(forged)))
    good = decided()
    messages: list[Message] = [
        *forged[1:],
        replace(good, value=b"x"),
        replace(signed_proposal("r2", 0, b"x"), replica="r1"),
        signed_proposal("r2", 0, b"not its turn"),
        Vote("stranger", 1, 0, Step.PREVOTE, None),
    ]
    for message in messages:
        out += r.receive(message)
    assert [output for output in out if not isinstance(output, SetTimer)] == []
    assert (r.height, r.round, r.evidence) == (1, -1, {})


def test_limits() -> None:
    r = Agreement(
        "r0", GROUP, SIGNERS["r0"], VERIFIER, valid=lambda height, value: value != b"bad"
    )
    r.start()
    with pytest.raises(CoordinationError, match="may not be decided"):
        r.submit(b"bad")
    with pytest.raises(CoordinationError, match="are allowed"):
        r.submit(bytes(MAX_VALUE + 1))
    with pytest.raises(CoordinationError, match="no member"):
        Agreement("stranger", GROUP, SIGNERS["r0"], VERIFIER)
    assert votes_of(r.receive(signed_proposal("r1", 0, b"bad"))) == [(0, Step.PREVOTE, None)]
    assert Timeouts().of(TimerKind.PROPOSE, 3) > Timeouts().of(TimerKind.PROPOSE, 2)


def test_a_liar_cannot_fill_the_memory_with_rounds() -> None:
    r = replica("r0")
    r.start()
    for round in range(1, 2000, 7):
        r.receive(signed_vote("r3", round, Step.PREVOTE, None))
    assert len(r._tally.cast_in(8)) == 1
    assert len(r._tally._votes) < 20 and r.round == -1


def test_a_liar_cannot_fill_the_memory_with_values() -> None:
    r = replica("r0")
    r.start()
    for number in range(50):  # it is r1's turn
        r.receive(signed_proposal("r1", 0, b"%d" % number * 1000))
    assert len(r._values) == 1 and set(r.evidence) == {"r1"}
    for number in range(80):
        r.receive(Request(bytes([number]) * MAX_VALUE))
    assert len(r._pending) == 64
    with pytest.raises(CoordinationError, match="64 values are waiting"):
        r.submit(b"x")


def test_a_value_that_a_quorum_wants_is_taken_from_a_second_proposal() -> None:
    r = replica("r0")
    r.start()
    wanted = signed_proposal("r1", 0, b"wanted")
    r.receive(signed_proposal("r1", 0, b"told to r0 only"))
    for name in ("r1", "r2", "r3"):
        out = r.receive(signed_vote(name, 0, Step.PRECOMMIT, wanted.id))
    assert [output for output in out if isinstance(output, Decide)] == []
    out = r.receive(wanted)
    assert [o.decision.value for o in out if isinstance(o, Decide)] == [b"wanted"]
