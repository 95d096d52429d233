"""The protocol as JSON Schema: ``python -m swarmc.runtime.orchestration.router.schema FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from .protocol import METHODS, PROTOCOL, WORKER_METHODS, Event, Failure, Params

_ID = {"type": ["integer", "string"]}


def _envelope(required: list[str], **properties: Any) -> dict[str, Any]:
    known = {"jsonrpc": {"const": "2.0"}, **properties}
    return {"type": "object", "properties": known, "required": ["jsonrpc", *required]}


#: What is on the wire; ``methods`` says which parameters and results belong to which method.
_ENVELOPES = {
    "Request": _envelope(
        ["id", "method"], id=_ID, method={"type": "string"}, params={"type": "object"}
    ),
    "Notification": _envelope(["method"], method={"type": "string"}, params={"type": "object"}),
    "Answer": _envelope(["id", "result"], id=_ID, result={}),
    "Refusal": _envelope(
        ["error"], id={"type": ["integer", "string", "null"]}, error={"$ref": "#/$defs/Failure"}
    ),
}  # fmt: skip


def schema() -> dict[str, Any]:
    """All types of the protocol under ``$defs``, and which method has which."""
    types: list[Any] = [Event, Failure]
    methods: dict[str, Any] = {}
    for name, (who, params, result) in METHODS.items():
        types += [params, *([result] if result is not None else [])]
        methods[name] = _method("router", who, params, result)
    for name, (params, result) in WORKER_METHODS.items():
        types += [params, *([result] if result is not None else [])]
        methods[name] = _method("worker", "router", params, result)
    unique = list(dict.fromkeys(types))
    _, definitions = msgspec.json.schema_components(unique, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": PROTOCOL,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in _ENVELOPES], "methods": methods,
        "$defs": dict(sorted({**definitions, **_ENVELOPES}.items())),
    }  # fmt: skip


def _method(of: str, who: str, params: type[Params], result: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"of": of, "for": who, "params": {"$ref": f"#/$defs/{params.__name__}"}}
    found["result"] = {"type": "null"} if result is None else {"$ref": f"#/$defs/{result.__name__}"}
    return found


def text() -> str:
    """The schema as it is kept in docs/protocol/."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
