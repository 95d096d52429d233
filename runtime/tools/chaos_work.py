"""What tasks do in chaos: something that takes a while, and whose result is known beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from ..orchestration.executors.calls import Call

#: As a configuration names it.
OPERATION = f"{__name__}:digest"
_STEP = 0.02  # seconds between looks whether it is still wanted


def digest_of(value: int, inputs: Iterable[str]) -> str:
    """What :func:`digest` gives for a value and the results of what comes before."""
    return hashlib.sha256(json.dumps([value, sorted(inputs)]).encode()).hexdigest()


def digest(call: Call) -> str:
    """An operation: takes ``milliseconds``, and hashes ``value`` and all inputs."""
    context = call.task_context
    end = context.clock() + call.parameter("milliseconds", int) / 1000
    while (left := end - context.clock()) > 0:
        context.check()
        context.cancelled.wait(min(left, _STEP))
    return digest_of(call.parameter("value", int), [str(result) for result in call.inputs.values()])


def parameters(value: int, milliseconds: int) -> dict[str, Any]:
    """Of a task of the executor ``internal`` that does it."""
    return {"operation": "digest", "value": value, "milliseconds": milliseconds}
