"""What happened to injections: as a client saw it, as it is stored, and as nodes wrote it down."""

from __future__ import annotations

import base64
import json
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..orchestration.events import EventKind
from ..orchestration.router.protocol import Event
from ..orchestration.router.swarms import RouterConfig
from ..orchestration.store import Store
from .swarm_module import Undisturbed

#: Workers that may be lost with a turn, and what is said of it then.
ATTEMPTS = RouterConfig().attempts
_GIVEN_UP = f"failed: {ATTEMPTS} workers were lost while they ran it"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An injection that a router accepted."""

    swarm: str
    reference: str
    data: bytes
    turns: dict[int, str]


@dataclass
class Seen:
    """What one client saw of all turns, over all its connections.

    Args:
        completes: how often each turn ended, and how. outputs: of those that were seen whole.
        wrong: what no router may do.
    """

    completes: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    events: Counter[str] = field(default_factory=Counter)
    seq: int | None = None
    wrong: list[str] = field(default_factory=list)
    _open: dict[str, dict[int, str]] = field(default_factory=dict)
    _next: int | None = None

    def connected(self, seq: int, complete: bool) -> None:
        """Events behind this one follow; whether none is missing."""
        if self.seq is not None and not complete:
            self.gaps += 1
            self._open.clear()
            self._next = None
        else:
            self._next = seq + 1

    def take(self, event: Event) -> None:
        """An event, in the order in which they came."""
        if self.seq is not None and event.seq <= self.seq:
            self.wrong.append(f"event {event.seq} came after {self.seq}")
        if self._next is not None and event.seq != self._next:
            self.wrong.append(f"event {event.seq} came in the place of {self._next}")
        self.seq, self._next = event.seq, event.seq + 1
        self.events[event.type] += 1
        turn = event.turn_id or ""
        if event.type == "turn_started":
            self._open[turn] = {}
            self.attempts[turn] = max(self.attempts[turn], event.data["attempt"])
        elif event.type == "assistant_delta" and turn in self._open:
            texts, agent = self._open[turn], event.data["agent"]
            texts[agent] = texts.get(agent, "") + event.data["text"]
        elif event.type == "turn_complete":
            error = event.data["error"]
            how = event.data["outcome"] + (f": {error}" if error else "")
            self.completes.setdefault(turn, []).append(how)
            if turn in self._open:
                texts = self._open.pop(turn)
                self.outputs[turn] = [texts[agent] for agent in sorted(texts)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a history comes to.

    Args:
        turns: that were accepted. repeated: of these, run by more than one worker.
        given_up: that killed as many workers as a router gives a turn, and have failed for that.
        seen: whose end the client saw; the others ended while it was away.
        wrong: what must not be.
    """

    accepted: int
    turns: int
    repeated: int
    given_up: int
    seen: int
    unanswered: int
    wrong: tuple[str, ...]


def judge(
    state: Path, runs: Path, accepted: list[Accepted], seen: Seen, undisturbed: Undisturbed
) -> Verdict:
    """Hold together what the store, the nodes' logs and the client say.

    Args:
        state: database of a router that has ended. runs: folder of the jobs' folders.
    """
    wrong = list(seen.wrong)
    stored = _Stored.read(state)
    wrong += stored.wrong
    known = {turn for one in accepted for turn in one.turns.values()}
    for one in accepted:
        for node, turn in one.turns.items():
            if stored.turns.get(turn) != (node, one.data):
                wrong.append(f"{one.reference}: turn {turn} was accepted, and is not stored so")
    given_up = stored.given_up()
    for turn, (node, data) in stored.turns.items():
        if turn in given_up:
            if seen.completes.get(turn, [_GIVEN_UP]) != [_GIVEN_UP]:
                wrong.append(f"turn {turn} was told to end so: {seen.completes[turn]}")
            continue
        if stored.ends[turn] != ["task.completed"]:
            wrong.append(f"turn {turn} of node {node} ended so: {stored.ends[turn]}")
        ends = seen.completes.get(turn, [])
        if ends not in ([], ["completed"]):
            wrong.append(f"turn {turn} was told to end so: {ends}")
        if turn in seen.outputs and seen.outputs[turn] != undisturbed.outputs(node, data):
            wrong.append(f"turn {turn} of node {node} told {seen.outputs[turn]}")
    wrong += _written(runs, stored, undisturbed)
    wrong += _deaths(runs)
    unknown = seen.completes.keys() - stored.turns.keys()
    wrong += [f"turn {turn} ended, and was never accepted" for turn in sorted(unknown)]
    return Verdict(
        len(accepted), len(stored.turns), sum(n > 1 for n in stored.starts.values()),
        len(given_up), len(seen.completes), len(stored.turns.keys() - known), tuple(wrong),
    )  # fmt: skip


@dataclass
class _Stored:
    """Turns in a store: what each was given, how it began and ended."""

    turns: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    starts: Counter[str] = field(default_factory=Counter)
    ends: dict[str, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def given_up(self) -> set[str]:
        """Turns that failed, each after as many attempts as a router makes."""
        return {
            turn for turn, ends in self.ends.items()
            if ends == ["task.failed"] and self.starts[turn] == ATTEMPTS
        }  # fmt: skip

    @classmethod
    def read(cls, state: Path) -> _Stored:
        found = cls()
        waiting: dict[tuple[str, int], list[str]] = {}  # by node, in their order
        place: dict[str, tuple[str, int]] = {}
        with Store.open_readonly(state) as store:
            for event in store.events():
                turn, kind = event.subject, event.kind
                if kind is EventKind.TASK_ACCEPTED and event.data["name"] == "turn":
                    payload = event.data["payload"]
                    found.turns[turn] = (payload["node"], base64.b64decode(payload["data"]))
                    found.ends[turn] = []
                    place[turn] = (event.data["workflow"], payload["node"])
                    waiting.setdefault(place[turn], []).append(turn)
                elif turn not in found.turns:
                    continue
                elif kind is EventKind.TASK_STARTED:
                    found.starts[turn] += 1
                    first = waiting[place[turn]]
                    if found.starts[turn] == 1 and first.pop(0) != turn:
                        found.wrong.append(f"turn {turn} began out of its order")
                elif kind in _ENDS:
                    found.ends[turn].append(kind.value)
        return found


_ENDS = (EventKind.TASK_COMPLETED, EventKind.TASK_FAILED, EventKind.TASK_CANCELLED)


def _deaths(runs: Path) -> Iterator[str]:
    """Workers that ended otherwise than by what was done to them."""
    for path in sorted(runs.glob("*/node_*/exit.*.json")):
        code = json.loads(path.read_bytes())["code"]
        if code != -signal.SIGKILL:
            yield f"a worker exited with {code}, which nobody had it do: {path}"


def _written(runs: Path, stored: _Stored, undisturbed: Undisturbed) -> Iterator[str]:
    """What is wrong with what nodes' workers wrote down of every run of every turn."""
    ran = set()
    for log in sorted(runs.glob("*/node_*/events.jsonl")):
        node = int(log.parent.name.removeprefix("node_"))
        texts: dict[str, dict[int, str]] = {}
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue  # its writer was killed in the middle of it
            turn, data = event.get("turn_id"), event.get("data")
            if event.get("kind") == "node.started":
                texts.clear()  # of a run that its worker did not survive
            elif event.get("type") == "assistant_delta":
                mine = texts.setdefault(turn, {})
                mine[data["agent"]] = mine.get(data["agent"], "") + data["text"]
            elif event.get("type") == "usage" and turn is not None:
                ran.add(turn)
                told = texts.pop(turn, {})
                of, given = stored.turns.get(turn, (None, b""))
                if of != node:
                    yield f"node {node} ran turn {turn}, which is of node {of}"
                elif [told[agent] for agent in sorted(told)] != undisturbed.outputs(node, given):
                    yield f"turn {turn} of node {node} wrote {told}"
    for turn in sorted(stored.turns.keys() - ran - stored.given_up()):
        yield f"turn {turn} was never run"
