"""What all messages of the protocol are made of."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

PROTOCOL = "codeswarm.router.v1"
#: Bytes of a message at most, on every connection, both ways.
MAX_MESSAGE = 16 << 20

# In Python a $ is also before a newline at the end.
_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$(?!\n)"
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=_ID)]
#: What the caller made up to recognise the answer, the event or the rejection.
Reference = Annotated[str, Meta(max_length=128)]
Reason = Annotated[str, Meta(max_length=1024)]
#: How long to wait for something, in milliseconds.
Wait = Annotated[int, Meta(ge=0, le=600_000)]
#: Any value, as ``codec`` writes it in JSON: bytes, arrays and infinities are objects with one key.
Value = msgspec.Raw | msgspec.UnsetType


class Params(Struct, kw_only=True, frozen=True):
    """Base of the parameters of all requests."""


class Result(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Base of the results of all requests."""


class Nothing(Params, kw_only=True, frozen=True):
    """``swarm_list``, ``status``, ``heartbeat``, ``node_drain``: no parameters.

    ``node_drain`` says a worker that ends: when it is answered, no turn is given to it any more.
    """


class Code:
    """Codes of errors. Those above -32100 are JSON-RPC's own."""

    PARSE = -32700
    INVALID_REQUEST = -32600
    UNKNOWN_METHOD = -32601
    INVALID_PARAMS = -32602
    INTERNAL = -32603
    WRONG_PROTOCOL = -32101
    NOT_AUTHORISED = -32102
    HELLO_FIRST = -32103
    REJECTED = -32110  #: ``data``: the event ``command_rejected``
    MODULE_MISSING = -32111  #: the same, and giving the module helps


class Failure(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a request was not done."""

    code: int
    message: str
    data: Any = None
