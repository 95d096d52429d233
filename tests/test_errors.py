"""How errors read."""

from __future__ import annotations

import logging

import swarmc
from swarmc.errors import SwarmcError


def test_position_and_hint() -> None:
    error = SwarmcError("wrong", function="f", offset=31, hint="do this")
    assert str(error) == "wrong (in function f, at byte 0x1f); do this"
    assert str(SwarmcError("wrong")) == "wrong"


def test_punctuation_of_the_message_does_not_meet_the_hint() -> None:
    assert str(SwarmcError("It is full.", hint="empty it")) == "It is full; empty it"
    assert str(SwarmcError("these:\n  a\n  b\n", hint="add them")) == "these:\n  a\n  b\nadd them"
    listed = SwarmcError("these:\n  a\n", offset=1, hint="add them")
    assert str(listed) == "these:\n  a\n(at byte 0x1)\nadd them"


def test_the_library_is_silent_by_default() -> None:
    handlers = logging.getLogger(swarmc.__name__).handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
