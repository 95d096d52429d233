"""Calls of a node that runs WebAssembly, spread over agents, and what these give, gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .models import ModuleNode
from .modules import CallFailed
from .nodes import Call, ItemError

#: What one agent is given: values by port.
Job = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """Jobs for agents.

    Args:
        jobs: those of the first call, then those of the second, and so on.
        sizes: how many agents each call has; None: one, which is no list.
    """

    jobs: list[Job]
    sizes: list[int | None]

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """What each call gives, of what each agent gave."""
        found: list[Any] = []
        first = 0
        for size in self.sizes:
            if size is None:
                found.append(values[first])
                first += 1
            else:
                found.append(list(values[first : first + size]))
                first += size
        return found

    def failed(self, error: CallFailed) -> ItemError:
        """The failure of an agent as one of its call."""
        if error.call is None:
            return ItemError(None, error.message)
        first = 0
        for number, size in enumerate(self.sizes):
            last = first + (1 if size is None else size)
            if error.call < last:
                agent = "" if size is None else f"agent {error.call - first}: "
                return ItemError(number, agent + error.message)
            first = last
        raise AssertionError("every job belongs to a call")


def spread(node: ModuleNode, calls: Sequence[Call]) -> Spread:
    """A job for each agent.

    Raises:
        ItemError: what is to be spread over agents is no list, or lists differ in length.
    """
    jobs: list[Job] = []
    sizes: list[int | None] = []
    for number, call in enumerate(calls):
        values: dict[str, Any] = dict(node.params)
        values |= {name: value for name, value in call.items() if name is not None}
        if node.swarm is False:
            jobs.append(values)
            sizes.append(None)
            continue
        connected = [name for name in call if name is not None]
        wanted = node.swarm if isinstance(node.swarm, list) else connected
        size = _common_length(number, values, wanted)
        for agent in range(size):
            jobs.append({**values, **{name: values[name][agent] for name in wanted}})
        sizes.append(size)
    return Spread(jobs, sizes)


def _common_length(number: int, values: Mapping[str, Any], names: Sequence[str]) -> int:
    lengths: dict[str, int] = {}
    for name in names:
        if name not in values:
            raise ItemError(number, f"input {name!r} has no value to spread over agents")
        value = values[name]
        if not isinstance(value, (list, tuple)) and not (
            isinstance(value, np.ndarray) and value.ndim
        ):
            kind = type(value).__name__
            message = f"input {name!r} must be a list, with a value for each agent, not {kind}"
            raise ItemError(number, message)
        lengths[name] = len(value)
    if not lengths:
        raise ItemError(number, "it is a swarm, but no input says how many agents it has")
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ItemError(number, f"inputs for different numbers of agents: {listed}")
    return next(iter(lengths.values()))
