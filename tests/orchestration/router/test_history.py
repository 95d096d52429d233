"""Samples of the latest minutes: bounded, and told from any time on."""

from __future__ import annotations

from swarmc.runtime.orchestration.router.history import EVERY, KEPT, History


def test_the_latest_are_kept() -> None:
    history = History(("a", "b"), kept=3)
    assert history.since(0.0).times == []
    for n in range(5):
        history.add(100.0 + n, {"a": n, "c": 7.0})
    found = history.since(0.0)
    assert found.times == [102.0, 103.0, 104.0]
    assert found.values == {"a": [2.0, 3.0, 4.0], "b": [0.0, 0.0, 0.0]}
    assert history.since(103.0).times == [104.0]
    assert history.since(102.5).values["a"] == [3.0, 4.0]
    assert history.since(104.0).values == {"a": [], "b": []}


def test_a_clock_that_is_set_back_is_waited_for() -> None:
    history = History(("a",))
    for at in (10.0, 11.0, 5.0, 11.0, 12.0):
        history.add(at, {"a": at})
    assert history.since(0.0).times == [10.0, 11.0, 12.0]


def test_a_quarter_of_an_hour_is_kept() -> None:
    assert EVERY * KEPT == 15 * 60
