"""Limits of this implementation: those of other engines, so that they take the same modules."""

from __future__ import annotations

from ...errors import ValidationError

MAX_COUNT = 2**32 - 1  # of anything, as counts are written in 32 bits
MAX_TYPES = 1_000_000
MAX_FUNCTIONS = 1_000_000
MAX_IMPORTS = 1_000_000
MAX_EXPORTS = 1_000_000
MAX_GLOBALS = 1_000_000
MAX_TABLES = 100
MAX_MEMORIES = 100
MAX_ELEMENT_SEGMENTS = 100_000
MAX_ELEMENTS = 10_000_000
MAX_DATA_SEGMENTS = 100_000
MAX_NAME = 100_000
MAX_BODY = 7_654_321
MAX_PARAMS = 1000
MAX_FIELDS = 10_000
MAX_SUBTYPING_DEPTH = 63
MAX_LOCALS = 50_000


def check_limit(count: int, most: int, what: str, offset: int | None = None) -> None:
    """Refuse more of something than this implementation takes.

    Raises:
        ValidationError: naming the limit.
    """
    if count > most:
        raise ValidationError(f"too many {what}: {count:,}, of which at most {most:,} are"
                              " supported", offset=offset)
