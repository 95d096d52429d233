"""Whatever agents send and receive, it is what a model of mailboxes says, on every target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import UnknownAgentError
from swarmc.runtime import SwarmManager
from swarmc.runtime.mail.links import Links

from . import scripted
from .scripted import WASM, Model, compare, play

SIZE = 96
AGENTS = 4

#: The agents are numbered from the first one of an example; -1 and AGENTS are nobody.
members = st.integers(0, AGENTS - 1)
receivers = st.sampled_from([0, 0, 0, 1, 1, 2, 3, AGENTS, -1])
lengths = st.sampled_from([0, 1, 7, 8, 9, 24, 40, SIZE - 8, SIZE - 7])
sends = st.tuples(st.just(scripted.SEND), receivers, lengths, st.integers(1, 255))
receives = st.tuples(st.just(scripted.RECV), st.sampled_from([256, 256, 256, 256, 8, 0]))
others = st.tuples(st.sampled_from([
    scripted.PENDING, scripted.LENGTH, scripted.SENDER, scripted.PEERS, scripted.ID,
]))  # fmt: skip
peers = st.tuples(st.just(scripted.PEER), st.integers(0, AGENTS))
first = st.just((scripted.UNDELIVERED,))
bodies = st.lists(
    st.one_of(*[sends] * 4, *[receives] * 4, others, peers), min_size=2, max_size=10
)
scripts = st.builds(
    lambda start, body, end: [start, *body, *end], first, bodies,
    st.sampled_from([[], [], [], [(scripted.TRAP,), (scripted.ID,)]]),
)  # fmt: skip
rounds = st.lists(
    st.dictionaries(members, scripts, min_size=2, max_size=AGENTS), min_size=3, max_size=6
)
edges = st.none() | st.none() | st.lists(st.tuples(members, members), min_size=4)


@pytest.fixture(scope="module", params=[("cpu", "flat"), ("ptx", "interleaved:8")], ids="-".join)
def swarm(request: pytest.FixtureRequest) -> Iterator[SwarmManager]:
    target, layout = request.param
    with SwarmManager.from_wasm(
        WASM, target=target, layout=layout, mailbox_size=SIZE, max_agents=AGENTS, cache=False
    ) as made:
        yield made


@settings(derandomize=True, deadline=None, database=None, max_examples=120)
@given(plan=rounds, graph=edges, victim=st.none() | members)
def test_mail_is_what_the_model_says(
    swarm: SwarmManager, plan: list[dict[int, list[tuple[int, ...]]]],
    graph: list[tuple[int, int]] | None, victim: int | None,
) -> None:  # fmt: skip
    swarm.kill_agents()
    before = swarm.mail.stats()
    ids = swarm.spawn_agents(AGENTS, "run").tolist()
    model = Model(SIZE, boxes={one: [] for one in ids})
    model.counts.update({name: getattr(before, name) for name in before.__slots__})
    if graph is None:
        swarm.mail.connect(None)
    else:
        pairs = np.array([(ids[a], ids[b]) for a, b in graph], np.int64).reshape(-1, 2)
        swarm.mail.connect(Links.of_edges(pairs))
        model.links = {a: set(pairs[pairs[:, 0] == a, 1].tolist()) for a in pairs.ravel().tolist()}
    for number, scripts in enumerate(plan):
        if number == 2 and victim is not None:
            swarm.kill_agent(ids[victim])
            model.kill(ids[victim])
        # `ids[-1]` of the number -1 would be an agent.
        mine = {
            ids[agent]: [
                (op, ids[0] + rest[0], *rest[1:]) if op == scripted.SEND else (op, *rest)
                for op, *rest in script
            ]
            for agent, script in scripts.items() if ids[agent] in model.boxes
        }  # fmt: skip
        if mine:
            play(swarm, model, mine)
    compare(swarm, model)
    with pytest.raises(UnknownAgentError):
        swarm.mail.pending([ids[-1] + 1])
