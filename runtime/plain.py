"""Values of agents as JSON has them."""

from __future__ import annotations

import base64
import math
from typing import Any


def plain(value: Any) -> Any:
    """Bytes as text where they are UTF-8, else as ``{"base64": ...}``; other floats as text."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
