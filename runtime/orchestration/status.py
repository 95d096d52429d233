"""A report of what is going on, as text for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .histogram import Distribution

_BYTES = ("_size", "_bytes", "bytes_read", "bytes_written", "backing_limit", "backing_used",
          "largest_free")  # fmt: skip
_SECONDS = ("_seconds", "timeout", "_time", "duration", "uptime")
_SHARES = ("utilization", "fragmentation", "_share", "failure_rate", "machine_cpu")


def to_data(value: Any) -> Any:
    """What JSON can say of a status: of dataclasses their fields and properties, by name.

    Enumerations become their values, durations a summary; numbers that are not finite, None.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return to_data(value.value)
    if isinstance(value, Distribution):
        quantiles = {f"p{part}": to_data(value.quantile(part / 100)) for part in (50, 90, 99)}
        return {"count": value.count, "mean": value.mean, **quantiles}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: to_data(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return {str(to_data(key)): to_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_data(item) for item in value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a status has no {type(value).__name__}")


def render_json(status: Any, indent: int | None = 2) -> str:
    """A status as JSON: see :func:`to_data`."""
    return json.dumps(to_data(status), indent=indent, allow_nan=False)


def render_text(status: Any, title: str | None = None) -> str:
    """A status as lines for people: plain values first, then a section for each part."""
    lines = [title] if title else []
    _section(lines, status, 1 if title else 0)
    return "\n".join(lines)


def _names(kind: type) -> tuple[str, ...]:
    properties = [
        name for base in reversed(kind.__mro__) for name, member in vars(base).items()
        if isinstance(member, property) and not name.startswith("_")
    ]  # fmt: skip
    return (*(f.name for f in dataclasses.fields(kind)), *dict.fromkeys(properties))


def _section(lines: list[str], value: Any, depth: int) -> None:
    items = _items(value)
    plain = {name: _plain(name, item) for name, item in items.items() if not _nested(item)}
    width = max(map(len, plain), default=0)
    for name, text in plain.items():
        lines.append(f"{'  ' * depth}{name.replace('_', ' '):<{width}}  {text}")
    for name, item in items.items():
        if _nested(item):
            lines.append(f"{'  ' * depth}{name.replace('_', ' ')}")
            _section(lines, item, depth + 1)


def _items(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {str(to_data(key)): item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return {str(number): item for number, item in enumerate(value, 1)}
    return {name: getattr(value, name) for name in _names(type(value))}


def _nested(value: Any) -> bool:
    if isinstance(value, Distribution):
        return False
    if dataclasses.is_dataclass(value) or (isinstance(value, Mapping) and value):
        return True
    return isinstance(value, (list, tuple)) and any(map(_nested, value))


def _plain(name: str, value: Any) -> str:
    if isinstance(value, Distribution):
        if not value.count:
            return "none yet"
        bounds = ", ".join(f"p{part} {_bound(value, part / 100)}" for part in (50, 99))
        return f"{value.count:,} times, mean {_duration(value.mean)}, {bounds}"
    data = to_data(value)
    if data is None or data == {} or data == []:
        return "-"
    if isinstance(data, bool):
        return "yes" if data else "no"
    if isinstance(data, (int, float)):
        return _number(name, data)
    return ", ".join(map(str, data)) if isinstance(data, list) else str(data)


def _bound(times: Distribution, part: float) -> str:
    bound = times.quantile(part)
    if math.isfinite(bound):
        return f"≤ {_duration(bound)}"
    return f"> {_duration(times.bounds[-1])}"


def _number(name: str, value: float) -> str:
    if name == "size" or name.endswith(_BYTES):
        return _amount(value)
    if name.endswith("_per_second"):
        return f"{_amount(value)}/s"
    if name.endswith(_SECONDS):
        return _duration(value)
    if name.endswith(_SHARES):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _amount(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def _duration(seconds: float) -> str:
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if 0 < abs(seconds) * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:,.3g} s" if abs(seconds) < 1000 else f"{seconds:,.0f} s"
