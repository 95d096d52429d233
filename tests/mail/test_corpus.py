"""The programs in corpus/swarm against what they mean, written down in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.runtime import SwarmManager

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "swarm"
LOW = 0xFFFF_FFFF


def load(name: str, target: str, agents: int, **options: Any) -> SwarmManager:
    wasm = (CORPUS / f"{name}.wasm").read_bytes()
    return SwarmManager.from_wasm(wasm, target=target, max_agents=agents, **options)


def ring(agents: int, tokens: int, rounds: int) -> list[int]:
    """Digests of what each agent of ring.c has seen."""
    here: list[list[tuple[int, int]]] = [[] for _ in range(agents)]
    digests = [1] * agents
    for number in range(rounds):
        there: list[list[tuple[int, int]]] = [[] for _ in range(agents)]
        for agent in range(agents):
            out = there[(agent + 1) % agents]
            if number == 0:
                out += [(agent, token) for token in range(tokens)]
            for origin, value in here[agent]:
                value = (value * 31 + agent) & LOW
                digests[agent] = (digests[agent] * 1000003 + (origin ^ value)) & LOW
                out.append((origin, value))
        here = there
    return digests


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_tokens_go_round(target: str) -> None:
    with load("ring", target, 7) as swarm:
        swarm.spawn_agents(7, "step", [3])
        came = [swarm.dispatch().results_array().tolist() for _ in range(9)]
        assert came == [[0] * 7, *[[3] * 7] * 8]
        digests = swarm.dispatch(entry_point="digest").results_array().astype(np.uint32)
        assert digests.tolist() == ring(7, 3, 9)
        # `digest` reads no mail, so it waits for the next `step`.
        assert swarm.mail.pending().tolist() == [3] * 7


def gossip(agents: int, fanout: int, rounds: int) -> list[list[int]]:
    """How much each agent of gossip.c knows after each dispatch, if all mailboxes have room."""
    states = list(range(agents))
    knows = [{agent} for agent in range(agents)]
    inboxes: list[list[set[int]]] = [[] for _ in range(agents)]
    counts = []
    for _ in range(rounds):
        outgoing: list[list[set[int]]] = [[] for _ in range(agents)]
        for agent in range(agents):
            knows[agent] = knows[agent].union(*inboxes[agent])
            for _ in range(fanout):
                states[agent] = (states[agent] * 1664525 + 1013904223) & LOW
                outgoing[(states[agent] >> 8) % agents].append(knows[agent])
        inboxes = outgoing
        counts.append([len(one) for one in knows])
    return counts


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_rumours_spread(target: str) -> None:
    with load("gossip", target, 24, mailbox_size=1 << 16) as swarm:
        swarm.spawn_agents(24, "step", [2])
        counts = [swarm.dispatch().results_array().tolist() for _ in range(8)]
        assert counts == gossip(24, 2, 8)
        assert counts[-1] == [24] * 24
        assert swarm.mail.stats().mailbox_full == 0


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_commands_remember_by_mail(target: str) -> None:
    with load("election", target, 5) as swarm:
        swarm.spawn_agents(5)
        texts = [
            [text.decode() for text in swarm.dispatch().agent_outputs.values()] for _ in range(11)
        ]
    assert texts[0] == [f"{agent} is a candidate\n" for agent in range(5)]
    # 4's id needs five dispatches to come round, and its word as leader one more for each.
    for number, text in enumerate(texts[1:], 1):
        knows = [4, *range(4)][: max(0, number - 4)]
        assert text == [f"{4} is the leader\n" if a in knows else "" for a in range(5)]


def test_a_hundred_thousand_agents() -> None:
    agents = 100_000
    with load("ring", "cpu", agents, mailbox_size=64) as swarm:
        swarm.spawn_agents(agents, "step", [1])
        for _ in range(3):
            result = swarm.dispatch()
        assert (result.results_array() == 1).all()
        assert result.mail is not None and result.mail.sent == result.mail.delivered == agents
        digests = swarm.dispatch(entry_point="digest").results_array().astype(np.uint32)
    ids = np.arange(agents, dtype=np.int64)
    first = (ids - 1) % agents
    value = ids  # token 0 of the agent before
    expected = (1000003 + (first ^ value)) & LOW
    second = (ids - 2) % agents
    value = ((ids - 1) % agents * 31 + ids) & LOW
    assert (digests == ((expected * 1000003 + (second ^ value)) & LOW)).all()
