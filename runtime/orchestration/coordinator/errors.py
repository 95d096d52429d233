"""Errors of agreement, proposals and leadership."""

from __future__ import annotations

from ..errors import OrchestrationError


class CoordinationError(OrchestrationError):
    """Base of what a user of agreement, proposals or leadership can cause."""


class GroupError(CoordinationError, ValueError):
    """A group that cannot be: no members, two of one name, a fault bound that is too high."""


class BadMessageError(CoordinationError, ValueError):
    """Bytes or fields that are no message of the agreement protocol."""


class BadCertificateError(CoordinationError):
    """A certificate that does not prove what it says."""


class BadSignatureError(CoordinationError):
    """A signature that is not the signer's over these bytes."""


class DamagedRecordError(CoordinationError):
    """The file with what a replica has signed is damaged: it must not vote any more."""


class UnknownMemberError(CoordinationError, KeyError):
    """Nobody of this name may vote here."""

    __str__ = CoordinationError.__str__  # KeyError's shows the repr


class UnknownProposalError(CoordinationError, KeyError):
    """No proposal has this id."""

    __str__ = CoordinationError.__str__


class ProposalClosedError(CoordinationError):
    """The proposal is decided or expired: it takes no more votes."""


class EquivocationError(CoordinationError):
    """A member voted twice, and not the same. The first vote counts; the second is evidence."""


class StaleEpochError(CoordinationError):
    """Somebody acts as leader of an epoch that is over, or that never began."""
