"""Agreement in thousands of made-up worlds, and broken copies of it, which must be noticed."""

from __future__ import annotations

import pytest

from swarmc.runtime.orchestration.coordinator.liars import Lie
from swarmc.runtime.orchestration.coordinator.simulator import Simulation, Violation, main
from swarmc.runtime.orchestration.coordinator.worlds import Scenario

from .mutants import MUTANTS, TOO_QUIET

_SCHEDULES = 2000
_PARTS = 4
#: Of other seeds than those that the worlds were made with.
_FIRST = 1_000_000


@pytest.mark.parametrize("part", range(_PARTS))
def test_nothing_that_is_promised_breaks(part: int) -> None:
    first = _FIRST + part * _SCHEDULES // _PARTS
    outcomes = [Simulation(seed).run() for seed in range(first, first + _SCHEDULES // _PARTS)]
    assert [outcome for outcome in outcomes if outcome.violation is not None] == []
    assert sum(outcome.decided for outcome in outcomes) > 2 * len(outcomes)


def test_the_worlds_are_as_bad_as_they_should_be() -> None:
    worlds = [Scenario.of(seed) for seed in range(_FIRST, _FIRST + _SCHEDULES)]
    lies = {lie for world in worlds for lie in world.lies.values()}
    assert lies == set(Lie)
    assert {world.members for world in worlds} == {4, 5, 6, 7}
    for feature in ("drop", "duplicate", "partitions", "crashes", "interrupted"):
        assert sum(getattr(world, feature) > 0 for world in worlds) > len(worlds) / 20


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    # A quorum of 2f also makes certificates that prove nothing: it must disagree, even so.
    # What counts votes of other rounds hardly gets that far with its own certificates.
    watched = [Violation.DISAGREEMENT]
    if name == "counts votes of earlier rounds":
        watched.append(Violation.BAD_CERTIFICATE)
    for seed in range(_FIRST, _FIRST + 1000):
        outcome = Simulation(seed, make=MUTANTS[name], look_for=watched).run()
        if outcome.violation is not None:
            assert outcome.violation in watched and outcome.detail
            again = Simulation(seed, make=MUTANTS[name], look_for=watched).run()
            assert again == outcome
            assert Simulation(seed).run().violation is None
            return
    pytest.fail("a thousand schedules did not show it")


def test_what_decides_nothing_is_noticed() -> None:
    for make in TOO_QUIET.values():
        watched = [Violation.NOT_LIVE]
        found = [Simulation(seed, make=make, look_for=watched).run() for seed in range(12)]
        assert any(outcome.violation is Violation.NOT_LIVE for outcome in found)


def test_liars_are_proved_to_lie_if_they_say_two_things() -> None:
    found = [(Scenario.of(seed), Simulation(seed).run()) for seed in range(_FIRST, _FIRST + 200)]
    proved = {
        lie: sum(outcome.accused for world, outcome in found if set(world.lies.values()) == {lie})
        for lie in Lie
    }
    assert proved[Lie.SILENT] == 0 and proved[Lie.EQUIVOCATES] > 20 and proved[Lie.TWINS] > 5


def test_who_forgets_what_it_signed_contradicts_itself() -> None:
    make = MUTANTS["forgets its record at a restart"]
    watched = [Violation.CONTRADICTION]
    found = [Simulation(seed, make=make, look_for=watched).run() for seed in range(60)]
    assert sum(outcome.violation is Violation.CONTRADICTION for outcome in found) >= 3


def test_a_seed_makes_one_schedule() -> None:
    assert Simulation(7).run() == Simulation(7).run()
    assert Simulation(7).run() != Simulation(8).run()


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schedules", "5", "--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("5 schedules, ")
