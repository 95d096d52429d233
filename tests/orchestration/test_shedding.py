"""Under load, tasks of low priority are refused first, and urgent ones find room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarmc.runtime.orchestration.agents import (
    LoadLevel,
    LoadShedder,
    OverloadedError,
    ShedPolicy,
)
from swarmc.runtime.orchestration.errors import OrchestrationError, QueueFullError
from swarmc.runtime.orchestration.tasks import TaskPriority

NORMAL, ELEVATED, CRITICAL = LoadLevel.NORMAL, LoadLevel.ELEVATED, LoadLevel.CRITICAL


def accepted(shedder: LoadShedder, waiting: int) -> list[int]:
    """Which priorities get in while so many of 100 wait."""
    found = []
    for priority in (-20, TaskPriority.LOW, -1, TaskPriority.NORMAL, 9, TaskPriority.HIGH, 30):
        try:
            shedder.check("t", priority, waiting, 100)
        except OverloadedError:
            continue
        found.append(int(priority))
    return found


def test_low_priorities_are_refused_first() -> None:
    shedder = LoadShedder()
    assert accepted(shedder, 0) == accepted(shedder, 59) == [-20, -10, -1, 0, 9, 10, 30]
    assert accepted(shedder, 60) == accepted(shedder, 84) == [0, 9, 10, 30]
    assert accepted(shedder, 85) == accepted(shedder, 99) == [10, 30]
    stats = shedder.stats()
    assert (stats.level, stats.refused_elevated, stats.refused_critical) == (CRITICAL, 6, 10)


def test_a_refusal_says_why() -> None:
    with pytest.raises(QueueFullError) as caught:
        LoadShedder().check("resize", 3, 90, 100)
    assert str(caught.value) == (
        "resize has priority 3, and only 10 and higher are accepted while 90 of 100 tasks wait"
        " (load critical); submit it later, or with a higher priority"
    )
    assert isinstance(caught.value, OverloadedError) and caught.value.level is CRITICAL


def test_the_level_does_not_change_with_every_task() -> None:
    shedder = LoadShedder()
    seen = [
        shedder.update(waiting, 100)
        for waiting in (59, 60, 59, 61, 50, 49, 60, 85, 84, 76, 75, 74, 51, 49, 90, 10)
    ]
    assert seen == [
        NORMAL, ELEVATED, ELEVATED, ELEVATED, ELEVATED, NORMAL, ELEVATED, CRITICAL, CRITICAL,
        CRITICAL, CRITICAL, ELEVATED, ELEVATED, NORMAL, CRITICAL, NORMAL,
    ]  # fmt: skip
    assert shedder.stats().changes == 8


def test_places_are_kept_for_urgent_tasks_under_load() -> None:
    shedder = LoadShedder(ShedPolicy(reserve=0.25))
    assert shedder.may_start(0, running=15, capacity=16)
    shedder.update(70, 100)
    assert shedder.may_start(0, running=11, capacity=16)
    assert not shedder.may_start(0, running=12, capacity=16)
    assert shedder.may_start(TaskPriority.HIGH, running=15, capacity=16)
    assert shedder.may_start(0, running=2, capacity=3)  # of three places none is kept
    assert shedder.stats().held == 1
    shedder.update(10, 100)
    assert shedder.may_start(0, running=15, capacity=16)


def test_it_can_be_left_out() -> None:
    shedder = LoadShedder(ShedPolicy.off())
    assert len(accepted(shedder, 100)) == 7
    assert shedder.may_start(-5, running=15, capacity=16)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ShedPolicy(elevated=0.9, critical=0.8), lambda: ShedPolicy(relief=0.7),
        lambda: ShedPolicy(elevated_least=11), lambda: ShedPolicy(reserve=1.0),
    ],
)  # fmt: skip
def test_policies_that_make_no_sense(make: Callable[[], ShedPolicy]) -> None:
    with pytest.raises(OrchestrationError):
        make()


def test_a_flood_does_not_keep_urgent_tasks_out() -> None:
    """A queue of 100 that is served more slowly than it is filled, with 5 % urgent tasks."""
    shedder, waiting = LoadShedder(), 0
    refused = {0: 0, 10: 0}
    for number in range(4000):
        priority = 10 if number % 20 == 0 else 0
        try:
            shedder.check("t", priority, waiting, 100)
            assert waiting < 100
            waiting += 1
        except OverloadedError:
            refused[priority] += 1
        if number % 3 == 0 and waiting:
            waiting -= 1
        shedder.update(waiting, 100)
    assert refused[10] == 0 and refused[0] > 2000
