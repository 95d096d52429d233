"""Agreement among replicas that may lie, proposals and votes of agents, and leadership.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

if TYPE_CHECKING:
    from .agreement import Agreement
    from .coordinator import SwarmCoordinator
    from .elected import ElectedLeader, election_value
    from .leadership import Fence, LeaderElection
    from .membership import Role
    from .messages import Decision, Evidence, check_decision, check_evidence
    from .outputs import Timeouts
    from .proposals import (
        CastVote,
        CoordinationStats,
        ProposalCertificate,
        ProposalState,
        ProposalType,
        SwarmProposal,
        VoteDecision,
    )
    from .quorum import Group
    from .signing import Ed25519Signer, Ed25519Verifier

__all__ = [
    "Agreement",
    "CastVote",
    "CoordinationStats",
    "Decision",
    "Ed25519Signer",
    "Ed25519Verifier",
    "ElectedLeader",
    "Evidence",
    "Fence",
    "Group",
    "LeaderElection",
    "ProposalCertificate",
    "ProposalState",
    "ProposalType",
    "Role",
    "SwarmCoordinator",
    "SwarmProposal",
    "Timeouts",
    "VoteDecision",
    "check_decision",
    "check_evidence",
    "election_value",
]

_HOMES = {
    "Agreement": ".agreement",
    "CastVote": ".proposals",
    "CoordinationStats": ".proposals",
    "Decision": ".messages",
    "Ed25519Signer": ".signing",
    "Ed25519Verifier": ".signing",
    "ElectedLeader": ".elected",
    "Evidence": ".messages",
    "Fence": ".leadership",
    "Group": ".quorum",
    "LeaderElection": ".leadership",
    "ProposalCertificate": ".proposals",
    "ProposalState": ".proposals",
    "ProposalType": ".proposals",
    "Role": ".membership",
    "SwarmCoordinator": ".coordinator",
    "SwarmProposal": ".proposals",
    "Timeouts": ".outputs",
    "VoteDecision": ".proposals",
    "check_decision": ".messages",
    "check_evidence": ".messages",
    "election_value": ".elected",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
