"""Results as columns that travel, and back: what a dispatch gave elsewhere, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..targets.base import Int64s, Outcome
from ..targets.executable import Entry, Executable
from .mail.post import MailStatistics
from .outputs import Stream
from .results import SwarmResult
from .values import slot_count

Array = NDArray[Any]


def to_columns(result: SwarmResult) -> dict[str, Any]:
    """What a result is but for its ids: arrays, as small as their numbers allow."""
    mail = result.mail
    return {
        "agents": len(result),
        "words": _narrow(result._words),
        "results": _narrow(np.where(result.returned_array[:, None], result._raw, np.uint64(0))),
        "counts": _narrow(result.counts_array),
        "output": result._output.data, "output_lengths": _narrow(result._output.lengths),
        "errors": result._errors.data, "errors_lengths": _narrow(result._errors.lengths),
        "truncated": _narrow(result.truncated_array),
        "mail": None if mail is None else asdict(mail),
        "milliseconds": result.total_time_ms,
    }  # fmt: skip


def from_columns(
    executable: Executable, ids: Int64s, entry: Entry, columns: Mapping[str, Any]
) -> SwarmResult:
    """The result that :func:`to_columns` made columns of.

    Args:
        executable: says what the program's functions are; needs no code.
        entry: what all agents ran.

    Raises:
        ArgumentError: they are no such columns, or of other agents.
    """
    count, width = len(ids), slot_count(entry.type.results)
    try:
        words = _wide(columns["words"], np.int64, (count,))
        raw = _wide(columns["results"], np.uint64, None)
        if raw.ndim != 2 or len(raw) != count or raw.shape[1] < width:
            raise ValueError(f"results of the shape {raw.shape}")
        counts = _wide(columns["counts"], np.int64, (count,))
        output = _stream(columns["output"], columns["output_lengths"], count)
        errors = _stream(columns["errors"], columns["errors_lengths"], count)
        truncated = _wide(columns["truncated"], np.bool_, (count,))
        mail = None if columns["mail"] is None else MailStatistics(**columns["mail"])
        took = float(columns["milliseconds"])
    except (KeyError, ValueError, TypeError) as error:
        raise ArgumentError(f"these are no columns of {count} agents: {error}") from error
    entries = np.full(count, entry.number, np.int32)
    result = SwarmResult(
        executable, ids, entries, Outcome(raw[:, :width], words, counts),
        output=output, errors=errors, truncated=truncated, total_time_ms=took,
    )  # fmt: skip
    result.mail = mail
    return result


def _narrow(array: Array) -> Array:
    """The same numbers in as few bytes as hold them all."""
    if array.dtype.kind == "b" or not array.size:
        return array
    most = int(array.max())
    if array.dtype.kind == "i" and int(array.min()) < 0:
        return array
    return array.astype(np.min_scalar_type(most))


def _wide(array: Any, dtype: Any, shape: tuple[int, ...] | None) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iub":
        raise ValueError(f"{type(array).__name__} in the place of integers")
    if shape is not None and array.shape != shape:
        raise ValueError(f"an array of the shape {array.shape}")
    return array.astype(dtype)


def _stream(data: Any, lengths: Any, count: int) -> Stream:
    found = Stream(_wide(data, np.uint8, None), _wide(lengths, np.int64, (count,)))
    if found.data.ndim != 1 or (found.lengths < 0).any() or found.lengths.sum() != found.data.size:
        raise ValueError("a stream whose lengths are not those of its parts")
    return found
