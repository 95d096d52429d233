"""Agreement in a made-up world: thousands of bad networks, crashes and liars, each from a seed.

``python -m swarmc.runtime.orchestration.coordinator.simulator --schedules 1000`` looks for a
schedule in which something that agreement promises does not hold. The same seed makes the same
schedule on every machine.
"""

from __future__ import annotations

import argparse
import enum
import hashlib
import heapq
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from .agreement import Agreement
from .errors import BadCertificateError
from .liars import Liar, Lie
from .messages import (
    Decision,
    Evidence,
    Gossip,
    Message,
    Proposal,
    Record,
    Step,
    Vote,
    check_decision,
    check_evidence,
)
from .outputs import Accuse, Decide, Output, Persist, Send, SetTimer, Timeouts, Timer
from .quorum import Group
from .signing import Signer, Verifier
from .worlds import Scenario

TIMEOUTS = Timeouts(propose=8, prevote=4, precommit=4, growth=2, gossip=8, idle=20)
_PATIENCE = 4000.0  # after the network has healed


class Violation(enum.Enum):
    """A promise that a schedule breaks."""

    DISAGREEMENT = "correct replicas decided differently"
    BAD_CERTIFICATE = "the certificate of a decision does not prove it"
    FALSE_ACCUSATION = "a correct replica was accused"
    CONTRADICTION = "a correct replica signed two different votes for one step"
    NOT_LIVE = "not everything was decided after the network healed"


class FakeSigner:
    """Signatures that cost a microsecond. Who holds the simulator's source can forge them."""

    def __init__(self, name: str) -> None:
        self.public_key = name.encode()

    def sign(self, data: bytes) -> bytes:
        """A keyed hash."""
        return hashlib.blake2b(data, key=self.public_key, digest_size=8).digest()


class FakeVerifier:
    """Knows the signatures of :class:`FakeSigner`."""

    def verify(self, member: str, data: bytes, signature: bytes) -> bool:
        """Whether it is the member's."""
        return FakeSigner(member).sign(data) == signature


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a schedule."""

    seed: int
    violation: Violation | None
    detail: str
    decided: int  #: heights
    accused: int  #: liars that a correct replica has proved to lie
    messages: int
    time: float  #: in the simulator's unit


@dataclass(slots=True)
class Node:
    """A replica, or one of two copies of it, and what it has on its disk."""

    name: str
    number: int
    honest: bool
    replica: Agreement | None = None
    liar: Liar | None = None
    disk: list[Record] | None = None
    life: int = 0  #: timers of an earlier life do not go off


#: Makes a replica: id, group, signer, verifier, records.
Make = Callable[[str, Group, Signer, Verifier, Sequence[Record]], Agreement]


def make_replica(
    me: str, group: Group, signer: Signer, verifier: Verifier, records: Sequence[Record]
) -> Agreement:
    """The replica as it is."""
    return Agreement(me, group, signer, verifier, timeouts=TIMEOUTS, records=records)


class Simulation:
    """One schedule.

    Args:
        seed: decides everything.
        scenario: None: the seed's.
        make: makes the replicas that are to be examined.
        look_for: the promises to watch.
    """

    def __init__(
        self,
        seed: int,
        scenario: Scenario | None = None,
        make: Make = make_replica,
        look_for: Iterable[Violation] = tuple(Violation),
    ) -> None:
        self.seed = seed
        self.scenario = scenario or Scenario.of(seed)
        self._make = make
        self._look_for = frozenset(look_for)
        self._chance = random.Random(f"schedule {seed}")
        names = [f"r{number}" for number in range(self.scenario.members)]
        self._group = Group("simulated", {name: name.encode() for name in names})
        self._verifier = FakeVerifier()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._now = 0.0
        self._count = self._messages = 0
        self._sides: list[int] = []
        self._decided: dict[int, bytes] = {}
        self._accused: set[str] = set()
        self._signed: dict[tuple[str, int, int, str], str | None] = {}
        self._wanted = [f"value {i}".encode() for i in range(self.scenario.requests)]
        self._violation: tuple[Violation, str] | None = None
        self._nodes = self._people(names)
        self._honest = [node for node in self._nodes if node.honest]
        self._by_name: dict[str, list[Node]] = {name: [] for name in names}
        for node in self._nodes:
            self._by_name[node.name].append(node)

    def run(self) -> Outcome:
        """Let it happen, until all is decided or something is broken."""
        self._plan()
        for node in self._nodes:
            self._boot(node)
        end = self.scenario.heals + _PATIENCE
        while self._queue and self._violation is None and not self._complete():
            self._now, _, happen = heapq.heappop(self._queue)
            if self._now > end:
                missing = [n.name for n in self._honest if not self._has_all(n)]
                self._break(Violation.NOT_LIVE, f"{', '.join(missing)} did not decide all")
                break
            happen()
        violation, detail = self._violation or (None, "")
        return Outcome(
            self.seed, violation, detail, len(self._decided), len(self._accused),
            self._messages, self._now,
        )  # fmt: skip

    # The world

    def _people(self, names: list[str]) -> list[Node]:
        nodes: list[Node] = []
        for number, name in enumerate(names):
            lie = self.scenario.lies.get(number)
            for _ in range(2 if lie is Lie.TWINS else 1):
                nodes.append(Node(name, len(nodes), lie is None, disk=[]))
                if lie is not None and lie is not Lie.TWINS:
                    chance = random.Random(f"liar {self.seed} {name}")
                    nodes[-1].liar = Liar(name, self._group, FakeSigner(name), lie, chance)
        return nodes

    def _plan(self) -> None:
        """When who crashes, the network splits, and values are asked for."""
        chance, heals = self._chance, self.scenario.heals
        for _ in range(self.scenario.partitions):
            self._at(chance.uniform(0, heals), self._split)
        self._at(heals, self._sides.clear)
        for _ in range(self.scenario.crashes):
            self._at(chance.uniform(0, heals), partial(self._crash, chance.choice(self._honest)))
        for value in self._wanted:
            asker = chance.choice(self._honest)
            self._at(chance.uniform(0, heals / 8), partial(self._ask, asker, value))
        for node in self._nodes:
            if not node.honest and node.liar is None:  # each twin wants something else
                value = f"twin {node.number}".encode()
                self._at(chance.uniform(0, heals / 8), partial(self._ask, node, value))

    def _at(self, time: float, happen: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (time, self._count, happen))

    def _split(self) -> None:
        self._sides[:] = [self._chance.randint(0, 1) for _ in self._nodes]

    def _boot(self, node: Node) -> None:
        if node.liar is None:
            assert node.disk is not None
            signer = FakeSigner(node.name)
            node.replica = self._make(node.name, self._group, signer, self._verifier, node.disk)
            self._do(node, node.replica.start())

    def _crash(self, node: Node) -> None:
        if node.replica is not None:
            node.replica = None
            node.life += 1
            self._at(self._now + self._chance.uniform(1, 30), partial(self._boot, node))

    def _ask(self, node: Node, value: bytes) -> None:
        """Ask for a value; a client whose replica is down, or crashes, asks again."""
        if value in self._decided.values():
            return
        if node.replica is not None:
            self._do(node, node.replica.submit(value))
        if node.honest:
            self._at(self._now + 40, partial(self._ask, node, value))

    # What replicas do

    def _do(self, node: Node, outputs: Sequence[Output]) -> None:
        scenario, chance = self.scenario, self._chance
        crash_at = len(outputs)
        if node.honest and self._now < scenario.heals and chance.random() < scenario.interrupted:
            crash_at = chance.randrange(len(outputs) + 1)
        for output in outputs[:crash_at]:
            if isinstance(output, Send):
                if node.honest and isinstance(output.message, Vote):
                    self._watch(output.message)
                self._send(node, output.to, output.message)
            elif isinstance(output, Persist):
                assert node.disk is not None
                node.disk.append(output.record)
            elif isinstance(output, SetTimer):
                self._set_timer(node, output)
            elif isinstance(output, Decide) and node.honest:
                self._judge(output)
            elif isinstance(output, Accuse) and node.honest:
                self._hear_accusation(output.evidence)
        if crash_at < len(outputs):
            self._crash(node)

    def _set_timer(self, node: Node, output: SetTimer) -> None:
        fire = partial(self._fire, node, node.life, output.timer)
        self._at(self._now + output.delay, fire)

    def _fire(self, node: Node, life: int, timer: Timer) -> None:
        if node.life == life and node.replica is not None:
            self._do(node, node.replica.fire(timer))

    def _send(self, node: Node, to: str | None, message: Message) -> None:
        if to is not None:
            targets = self._by_name.get(to, [])
        else:
            targets = [other for other in self._nodes if other.name != node.name]
        chance, scenario, sides = self._chance, self.scenario, self._sides
        if self._now >= scenario.heals:
            for target in targets:
                delay = 1 + chance.random()
                self._at(self._now + delay, partial(self._deliver, target, message))
            return
        lost = self._lost(message)
        for target in targets:
            if (sides and sides[node.number] != sides[target.number]) or chance.random() < lost:
                continue
            for _ in range(2 if chance.random() < scenario.duplicate else 1):
                delay = 1 + chance.random() * scenario.delay
                self._at(self._now + delay, partial(self._deliver, target, message))

    def _lost(self, message: Message) -> float:
        """How probably a message gets lost."""
        lost = self.scenario.drop
        if isinstance(message, Vote):
            prevote = message.step is Step.PREVOTE
            scenario = self.scenario
            return max(lost, scenario.prevotes_lost if prevote else scenario.precommits_lost)
        if isinstance(message, Proposal):
            return max(lost, self.scenario.proposals_lost)
        if isinstance(message, (Gossip, Decision)):
            return max(lost, self.scenario.gossip_lost)
        return lost

    def _deliver(self, node: Node, message: Message) -> None:
        self._messages += 1
        if node.liar is not None:
            for to, lie in node.liar.receive(message):
                self._send(node, to, lie)
        elif node.replica is not None:
            self._do(node, node.replica.receive(message))

    # What must hold

    def _break(self, violation: Violation, detail: str) -> None:
        if violation in self._look_for and self._violation is None:
            self._violation = violation, detail

    def _watch(self, vote: Vote) -> None:
        key = (vote.replica, vote.height, vote.round, vote.step.value)
        if self._signed.setdefault(key, vote.value) != vote.value:
            self._break(Violation.CONTRADICTION, f"{vote.replica} in {vote.height}.{vote.round}")

    def _judge(self, decide: Decide) -> None:
        decision = decide.decision
        height = decision.height
        if self._decided.setdefault(height, decision.value) != decision.value:
            known = self._decided[height]
            self._break(Violation.DISAGREEMENT, f"{known!r} and {decision.value!r} at {height}")
        try:
            check_decision(decision, self._group, self._verifier)
        except BadCertificateError as error:
            self._break(Violation.BAD_CERTIFICATE, str(error))

    def _hear_accusation(self, evidence: Evidence) -> None:
        self._accused.add(evidence.replica)
        if any(node.name == evidence.replica for node in self._honest):
            self._break(Violation.FALSE_ACCUSATION, evidence.replica)
        try:
            check_evidence(evidence, self._group, self._verifier)
        except BadCertificateError as error:
            self._break(Violation.FALSE_ACCUSATION, str(error))

    def _has_all(self, node: Node) -> bool:
        replica = node.replica
        if replica is None or len(replica.decisions) < len(self._decided):
            return False
        decided = {decision.value for decision in replica.decisions}
        return decided.issuperset(self._wanted)

    def _complete(self) -> bool:
        if len(self._decided) < len(self._wanted):
            return False
        return all(self._has_all(node) for node in self._honest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run schedules and say what was found."""
    parser = argparse.ArgumentParser(prog="simulator", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (0)")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    broken = messages = heights = 0
    for seed in range(options.seed, options.seed + options.schedules):
        outcome = Simulation(seed).run()
        messages += outcome.messages
        heights += outcome.decided
        if outcome.violation is not None:
            broken += 1
            print(f"seed {seed}: {outcome.violation.value}: {outcome.detail}")
    rate = options.schedules / (time.perf_counter() - began)
    print(
        f"{options.schedules} schedules, {heights} heights decided, {messages} messages,"
        f" {broken} violations, {rate:.0f} schedules/s"
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
