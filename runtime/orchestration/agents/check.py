"""Whether something is an agent, asked before it is registered."""

from __future__ import annotations

from collections.abc import Mapping, Set

from .states import AgentLimitError, InvalidAgentError

#: What :class:`.interfaces.Agent` asks for, and of which kind it is.
_FIELDS: tuple[tuple[str, type, str], ...] = (
    ("id", str, "text"), ("name", str, "text"), ("kind", str, "text"),
    ("capabilities", Set, "a set of text"),
    ("resources", Mapping, "a mapping of names to numbers"), ("capacity", int, "an int"),
)  # fmt: skip
_METHODS = ("execute", "close")


def check_agent(agent: object) -> None:
    """See that something is an agent.

    Raises:
        InvalidAgentError: it is not.
        AgentLimitError: it could run no task at all.
    """
    names = (*(name for name, _, _ in _FIELDS), *_METHODS)
    missing = [name for name in names if not hasattr(agent, name)]
    if missing:
        raise InvalidAgentError(
            f"{agent!r} is no agent: it has no {', no '.join(missing)}",
            hint="AgentFactory makes agents; interfaces.Agent says what one has",
        )
    for name, kind, wanted in _FIELDS:
        value = getattr(agent, name)
        if not isinstance(value, kind):
            raise InvalidAgentError(f"{name} of agent {agent!r} must be {wanted}, not {value!r}")
    for name in _METHODS:
        if isinstance(agent, type) or not callable(getattr(agent, name)):
            raise InvalidAgentError(f"{agent!r} is no agent: its {name} cannot be called")
    capacity = getattr(agent, "capacity", 0)
    if capacity < 1:
        raise AgentLimitError(f"agent {getattr(agent, 'id', '')} has no capacity: {capacity}")
