"""Which states an agent may go through, and the errors of asking for anything else."""

from __future__ import annotations

from ..errors import OrchestrationError
from ..interfaces import AgentState


class AgentStateError(OrchestrationError):
    """An agent is not in a state in which this can be done."""


class AgentLimitError(OrchestrationError):
    """There are as many agents as there may be."""


class DuplicateAgentError(OrchestrationError):
    """Another agent has this id."""


class InvalidAgentError(OrchestrationError):
    """Something is no agent: it lacks what agents have, or it is of the wrong kind."""


#: Where an agent may go from each state. READY and BUSY alternate as tasks come and go.
TRANSITIONS: dict[AgentState, frozenset[AgentState]] = {
    AgentState.CREATED: frozenset({AgentState.READY, AgentState.FAILED, AgentState.RETIRED}),
    AgentState.READY: frozenset(
        {AgentState.BUSY, AgentState.SUSPECT, AgentState.FAILED, AgentState.RETIRED}
    ),
    AgentState.BUSY: frozenset(
        {AgentState.READY, AgentState.SUSPECT, AgentState.FAILED, AgentState.RETIRED}
    ),
    AgentState.SUSPECT: frozenset(
        {AgentState.READY, AgentState.BUSY, AgentState.FAILED, AgentState.RETIRED}
    ),
    AgentState.FAILED: frozenset({AgentState.CREATED, AgentState.RETIRED}),  # restarted, or not
    AgentState.RETIRED: frozenset(),
}

#: States in which an agent is there: it beats, and what it runs counts.
LIVING = frozenset({AgentState.READY, AgentState.BUSY, AgentState.SUSPECT})
