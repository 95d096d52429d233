"""Leadership by decisions of a group."""

from __future__ import annotations

import json

import pytest

from swarmc.runtime.orchestration.coordinator.elected import ElectedLeader, election_value
from swarmc.runtime.orchestration.coordinator.errors import StaleEpochError
from swarmc.runtime.orchestration.coordinator.messages import Certificate, Decision, Step
from swarmc.runtime.orchestration.coordinator.quorum import Group

GROUP = Group("g", {"a": b"1", "b": b"2"})


def decision(height: int, value: bytes) -> Decision:
    return Decision(height, value, Certificate(height, 0, Step.PRECOMMIT, "", ()))


def test_the_first_of_two_elections_counts() -> None:
    elected = ElectedLeader(GROUP)
    with pytest.raises(StaleEpochError):
        elected.fence(0)
    assert elected.apply(decision(3, election_value("a", 0)))
    assert not elected.apply(decision(4, election_value("b", 0)))
    assert (elected.leader, elected.epoch) == ("a", 3)
    elected.fence(3)
    assert elected.apply(decision(7, election_value("b", 3)))
    with pytest.raises(StaleEpochError, match="epoch 3 is not the leader's: that is 7"):
        elected.fence(3)
    elected.fence(7)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\xff", b"7", b"[]", b"{}", b"[" * 100_000, election_value("stranger", 0),
        election_value("a", 1), json.dumps({"type": "x", "candidate": "a", "after": 0}).encode(),
        election_value("a", 0).replace(b"0", b"false"),
    ],
)  # fmt: skip
def test_other_values_elect_nobody(value: bytes) -> None:
    elected = ElectedLeader(GROUP)
    assert not elected.apply(decision(1, value))
    assert elected.leader is None
