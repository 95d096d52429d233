"""Messages and records as JSON: what replicas write on sockets and to their disks."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from .errors import BadMessageError
from .messages import (
    Certificate,
    Decision,
    Entry,
    Gossip,
    Message,
    Polka,
    Proposal,
    Record,
    Request,
    Step,
    Vote,
)

MAX_FRAME = 16 << 20  #: bytes of a message
_NUMBER = 1 << 53
_VOTES = 4096  # in one message
_Data = dict[str, Any]


def encode(message: Message | Record) -> bytes:
    """A message or record as one line of JSON."""
    kind = type(message).__name__.lower()
    return json.dumps({"type": kind, **_ENCODERS[kind](message)}, separators=(",", ":")).encode()


def decode(text: bytes) -> Message | Record:
    """What :func:`encode` wrote. That it is well-formed says nothing of whether it is true.

    Raises:
        BadMessageError: it is something else.
    """
    try:
        data = json.loads(text)
        decoder = _DECODERS[data["type"]]
        message: Message | Record = decoder(data)
        return message
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadMessageError(f"not a message: {error!r}") from error


def decode_message(text: bytes) -> Message:
    """A message; raises :class:`BadMessageError` for a record, too, that nobody sends."""
    message = decode(text)
    if isinstance(message, (Polka, Entry)):
        raise BadMessageError(f"nobody sends a {type(message).__name__.lower()}")
    return message


def decode_record(text: bytes) -> Record:
    """A record; raises :class:`BadMessageError` for a message that nobody keeps."""
    record = decode(text)
    if isinstance(record, (Request, Gossip)):
        raise BadMessageError(f"nobody keeps a {type(record).__name__.lower()}")
    return record


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _vote(vote: Vote) -> _Data:
    return {
        "replica": vote.replica, "height": vote.height, "round": vote.round,
        "step": vote.step.value, "value": vote.value, "signature": _bytes(vote.signature),
    }  # fmt: skip


def _votes(votes: tuple[Vote, ...]) -> list[_Data]:
    return [_vote(vote) for vote in votes]


def _certificate(certificate: Certificate) -> _Data:
    return {
        "height": certificate.height, "round": certificate.round, "step": certificate.step.value,
        "value": certificate.value, "votes": _votes(certificate.votes),
    }  # fmt: skip


def _proposal(proposal: Proposal) -> _Data:
    return {
        "replica": proposal.replica, "height": proposal.height, "round": proposal.round,
        "value": _bytes(proposal.value), "signature": _bytes(proposal.signature),
        "proof": None if proposal.proof is None else _certificate(proposal.proof),
    }  # fmt: skip


def _polka(polka: Polka) -> _Data:
    return {"value": _bytes(polka.value), "certificate": _certificate(polka.certificate)}


def _gossip(gossip: Gossip) -> _Data:
    return {
        "replica": gossip.replica, "height": gossip.height, "votes": _votes(gossip.votes),
        "proposal": None if gossip.proposal is None else _proposal(gossip.proposal),
        "polka": None if gossip.polka is None else _polka(gossip.polka),
        "requests": [_bytes(value) for value in gossip.requests],
    }  # fmt: skip


_ENCODERS: dict[str, Callable[[Any], _Data]] = {
    "vote": _vote,
    "proposal": _proposal,
    "polka": _polka,
    "gossip": _gossip,
    "request": lambda request: {"value": _bytes(request.value)},
    "entry": lambda entry: {
        "height": entry.height, "round": entry.round, "votes": _votes(entry.votes),
    },
    "decision": lambda decision: {
        "height": decision.height, "value": _bytes(decision.value),
        "certificate": _certificate(decision.certificate),
    },
}  # fmt: skip


def _number(data: _Data, name: str) -> int:
    value = data[name]
    if type(value) is not int or not 0 <= value < _NUMBER:
        raise ValueError(f"{name} is {value!r}")
    return value


def _text(data: _Data, name: str) -> str:
    value = data[name]
    if type(value) is not str:
        raise TypeError(f"{name} is {value!r}")
    return value


def _raw(value: object) -> bytes:
    if type(value) is not str:
        raise TypeError(f"not base64: {value!r}")
    return base64.b64decode(value, validate=True)


def _to_vote(data: _Data) -> Vote:
    value = data["value"]
    return Vote(
        _text(data, "replica"), _number(data, "height"), _number(data, "round"),
        Step(data["step"]), None if value is None else _text(data, "value"),
        _raw(data["signature"]),
    )  # fmt: skip


def _to_votes(data: _Data) -> tuple[Vote, ...]:
    votes = data["votes"]
    if type(votes) is not list or len(votes) > _VOTES:
        raise ValueError("votes are a list, and not so long")
    return tuple(_to_vote(vote) for vote in votes)


def _to_certificate(data: _Data) -> Certificate:
    return Certificate(
        _number(data, "height"), _number(data, "round"), Step(data["step"]),
        _text(data, "value"), _to_votes(data),
    )  # fmt: skip


def _to_proposal(data: _Data) -> Proposal:
    proof = data["proof"]
    return Proposal(
        _text(data, "replica"), _number(data, "height"), _number(data, "round"),
        _raw(data["value"]), None if proof is None else _to_certificate(proof),
        _raw(data["signature"]),
    )  # fmt: skip


def _to_polka(data: _Data) -> Polka:
    return Polka(_raw(data["value"]), _to_certificate(data["certificate"]))


def _to_gossip(data: _Data) -> Gossip:
    proposal, polka, requests = data["proposal"], data["polka"], data["requests"]
    if type(requests) is not list:
        raise TypeError("requests are a list")
    return Gossip(
        _text(data, "replica"), _number(data, "height"), _to_votes(data),
        None if proposal is None else _to_proposal(proposal),
        None if polka is None else _to_polka(polka), tuple(_raw(value) for value in requests),
    )  # fmt: skip


_DECODERS: dict[str, Callable[[_Data], Any]] = {
    "vote": _to_vote,
    "proposal": _to_proposal,
    "polka": _to_polka,
    "gossip": _to_gossip,
    "request": lambda data: Request(_raw(data["value"])),
    "entry": lambda data: Entry(_number(data, "height"), _number(data, "round"), _to_votes(data)),
    "decision": lambda data: Decision(
        _number(data, "height"), _raw(data["value"]), _to_certificate(data["certificate"])
    ),
}
