"""Swarms under faults keep what they accepted; and who says so would notice if they did not."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.events import Event as StoredEvent
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.router.protocol import Event
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.tasks import Task
from swarmc.runtime.tools.chaos_swarms import Chaos, Options
from swarmc.runtime.tools.faults import plan
from swarmc.runtime.tools.swarm_history import Accepted, Seen, Verdict, judge
from swarmc.runtime.tools.swarm_module import Undisturbed, given


def test_swarms_that_are_killed_frozen_and_cut_off(tmp_path: Path) -> None:
    options = Options(
        seconds=8.0, seed=11, swarms=1, nodes=2, every=0.6, lasting=(0.1, 1.0),
        spins=(1_000, 1_000_000, 30_000_000),
    )  # fmt: skip
    with Chaos(tmp_path, options) as chaos:
        verdict, figures = chaos.run()
    assert verdict.wrong == ()
    assert verdict.accepted > 0
    assert verdict.turns >= verdict.accepted
    assert figures["restarts of workers"] > 0
    happened = {fault.split(" ")[0] for fault in figures["faults"]}
    assert happened == {"kill", "freeze", "cut", "stall"}


def test_what_happens_follows_from_the_seed() -> None:
    targets: Any = {"router": ["kill"], "node": ["kill", "freeze"]}
    assert plan(3, 60.0, targets) == plan(3, 60.0, targets) != plan(4, 60.0, targets)


class Past:
    """A history that is right, which tests spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = Seen()
        self.seen.connected(0, True)
        self.turns = ["t0", "t1"]
        self.undisturbed = Undisturbed({(0, 7): ("abc", "def")})
        self.kinds = [
            ("accepted", "t0"), ("accepted", "t1"), ("started", "t0"), ("completed", "t0"),
            ("started", "t1"), ("completed", "t1"),
        ]  # fmt: skip
        self.tails = {"t0": "abc", "t1": "abc"}
        self.told = {"t0": "abc", "t1": "abc"}
        self.node = 0
        self.starts: Counter[str] = Counter()
        self.seqs: list[int] = []

    def judge(self) -> Verdict:
        with Store(self.folder / "state.db", power_safe=False) as store:
            for kind, turn in self.kinds:
                store.append([self._stored(kind, turn)])
        self._write()
        self._see()
        accepted = [Accepted("s", turn, given(7, turn), {0: turn}) for turn in self.turns]
        return judge(
            self.folder / "state.db", self.folder / "runs", accepted, self.seen, self.undisturbed
        )

    def _stored(self, kind: str, turn: str) -> StoredEvent:
        if kind == "accepted":
            payload = {"node": 0, "data": base64.b64encode(given(7, turn)).decode()}
            task = Task("turn", payload, workflow="s", id=turn)
            return StoredEvent(EventKind.TASK_ACCEPTED, turn, task.to_data())
        self.starts[turn] += kind == "started"
        known: dict[str, dict[str, Any]] = {
            "started": {"agent": None, "attempt": self.starts[turn]}, "completed": {"result": None},
            "failed": {"error": "no"},
        }  # fmt: skip
        return StoredEvent(EventKind(f"task.{kind}"), turn, known[kind])

    def _write(self) -> None:
        folder = self.folder / "runs" / "job" / f"node_{self.node:02d}"
        folder.mkdir(parents=True)
        with open(folder / "events.jsonl", "w") as log:
            for turn, tail in self.tails.items():
                for agent, text in enumerate((turn + tail, turn + "def")):
                    data = {"agent": agent, "text": text}
                    line = {"turn_id": turn, "type": "assistant_delta", "data": data}
                    log.write(json.dumps(line) + "\n")
                log.write(json.dumps({"turn_id": turn, "type": "usage", "data": {}}) + "\n")

    def _see(self) -> None:
        events: list[tuple[str, str, dict[str, Any]]] = []
        for turn, tail in self.told.items():
            events.append(("turn_started", turn, {"attempt": 1}))
            for agent, text in enumerate((turn + tail, turn + "def")):
                events.append(("assistant_delta", turn, {"agent": agent, "text": text}))
            events.append(("turn_complete", turn, {"outcome": "completed", "error": None}))
        seqs = self.seqs or range(1, len(events) + 1)
        for seq, (kind, turn, data) in zip(seqs, events, strict=True):
            event: Any = kind
            self.seen.take(Event(seq=seq, at=0.0, type=event, turn_id=turn, data=data))


def test_a_history_that_is_right(tmp_path: Path) -> None:
    assert Past(tmp_path).judge() == Verdict(2, 2, 0, 0, 2, 0, ())


def test_a_turn_that_was_given_up(tmp_path: Path) -> None:
    """After three workers were lost with it, as a router promises; not sooner."""
    past = Past(tmp_path)
    past.kinds[-1:] = [("started", "t1"), ("started", "t1"), ("failed", "t1")]
    del past.tails["t1"], past.told["t1"]
    past.seen.completes["t1"] = ["failed: 3 workers were lost while they ran it"]
    assert past.judge() == Verdict(2, 2, 1, 1, 2, 0, ())


def _lost(past: Past) -> None:
    past.turns.append("t2")


def _unfinished(past: Past) -> None:
    past.kinds.remove(("completed", "t1"))


def _failed(past: Past) -> None:
    past.kinds[-1] = ("failed", "t1")


def _given_up_otherwise(past: Past) -> None:
    past.kinds[-1:] = [("started", "t1"), ("started", "t1"), ("failed", "t1")]


def _out_of_order(past: Past) -> None:
    past.kinds[2:] = [(kind, {"t0": "t1", "t1": "t0"}[turn]) for kind, turn in past.kinds[2:]]


def _wrong_output(past: Past) -> None:
    past.tails["t0"] = "xyz"


def _wrong_word(past: Past) -> None:
    past.told["t0"] = "xyz"


def _never_run(past: Past) -> None:
    del past.tails["t1"]


def _elsewhere(past: Past) -> None:
    past.node = 1


def _unknown(past: Past) -> None:
    past.told = {"t9": "abc"}


def _twice(past: Past) -> None:
    past.seen.completes["t0"] = ["completed"]


def _died(past: Past) -> None:
    folder = past.folder / "runs" / "job" / "node_07"
    folder.mkdir(parents=True)
    (folder / "exit.0.json").write_text('{"code": 2}')


def _gap(past: Past) -> None:
    past.seqs = [1, 2, 3, 5, 6, 7, 8, 9]


def _back(past: Past) -> None:
    past.seqs = [1, 2, 3, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_lost, "is not stored so"), (_unfinished, r"ended so: \[\]"),
        (_failed, r"ended so: \['task.failed'\]"), (_out_of_order, "out of its order"),
        (_wrong_output, "wrote"), (_wrong_word, "told"), (_never_run, "was never run"),
        (_elsewhere, "node 1 ran turn t0"), (_unknown, "was never accepted"),
        (_given_up_otherwise, "t1 was told to end so"), (_twice, "told to end so"),
        (_died, "exited with 2, which nobody"),
        (_gap, "in the place of 4"), (_back, "came after 3"),
    ],
)  # fmt: skip
def test_histories_that_are_wrong(
    tmp_path: Path, spoil: Callable[[Past], None], words: str
) -> None:
    past = Past(tmp_path)
    spoil(past)
    wrong = past.judge().wrong
    assert any(re.search(words, line) for line in wrong), wrong
