"""Whether agents get on a target the messages that they get on the CPU, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...targets.addressing import MemoryLayout
from ...targets.base import Target
from ..mail.links import Links
from ..manager import SwarmManager

_ROUNDS = 4
_MAILBOX = 1 << 12

#: Programs of the corpus that agents exchange messages by, and the argument of their `step`.
_PROGRAMS = {"ring": 3, "gossip": 3}


def check_mail(
    make: Callable[[MemoryLayout], Target], agents: int, folder: Path
) -> dict[str, Any]:
    """Run agents that send each other messages; how many were sent and found no room.

    Args:
        make: gives the target for a layout.
        folder: ``corpus/swarm``.

    Raises:
        AssertionError: something differs from the CPU.
    """
    totals = {"agents": agents, "sent": 0, "refused": 0}
    for name, argument in _PROGRAMS.items():
        wasm = (folder / f"{name}.wasm").read_bytes()
        expected = _facts(wasm, "cpu", MemoryLayout.FLAT, agents, argument)
        for layout in (MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_4, MemoryLayout.INTERLEAVED_8):
            found = _facts(wasm, make(layout), layout, agents, argument)
            for fact, value in found.items():
                if value != expected[fact]:
                    raise AssertionError(f"{name}, {layout}: {fact} differ from the CPU's")
        stats = expected["numbers of messages"]
        totals["sent"] += stats.sent
        totals["refused"] += stats.mailbox_full + stats.outbox_full + stats.no_such_agent
    return totals


def _facts(
    wasm: bytes, target: str | Target, layout: MemoryLayout, agents: int, argument: int
) -> dict[str, Any]:
    with SwarmManager.from_wasm(
        wasm, target=target, layout=layout, max_agents=agents, mailbox_size=_MAILBOX
    ) as swarm:
        ids = swarm.spawn_agents(agents, "step", [argument])
        facts: dict[str, Any] = {"results": [], "instruction counts": [], "traps": []}
        for number in range(_ROUNDS):
            if number == _ROUNDS - 1:  # some may not write to some
                swarm.mail.connect(Links.complete(ids[: agents // 2]))
            result = swarm.dispatch(ids[::-1] if number % 2 else None)
            order = result.ids.argsort()
            facts["results"].append(result.results_array()[order].tobytes())
            facts["instruction counts"].append(result.counts_array[order].tobytes())
            facts["traps"].append(sorted(result.traps.items()))
        facts["messages"] = swarm.mail.waiting()
        facts["numbers of messages"] = swarm.mail.stats()
    return facts
