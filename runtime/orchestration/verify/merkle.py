"""Merkle trees: one hash over many things, of which each can be shown to be among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over hashes, as RFC 6962 makes it: no two lists of leaves have the same."""
    if not leaves:
        return hashlib.sha256().digest()
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\1" + level[place] + level[place + 1]).digest()
            for place in range(0, len(level) - 1, 2)
        ]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]


def merkle_path(leaves: Sequence[bytes], index: int) -> list[bytes | None]:
    """What shows that a leaf is under the root: its neighbours on the way up; None: there is none.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} of {len(leaves)}")
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    path: list[bytes | None] = []
    while len(level) > 1:
        neighbour = index ^ 1
        path.append(level[neighbour] if neighbour < len(level) else None)
        level = [
            hashlib.sha256(b"\1" + level[place] + level[place + 1]).digest()
            if place + 1 < len(level)
            else level[place]
            for place in range(0, len(level), 2)
        ]
        index //= 2
    return path


def is_under(root: bytes, leaf: bytes, index: int, path: Sequence[bytes | None]) -> bool:
    """Whether a path shows that a leaf is under a root, at a place."""
    found = hashlib.sha256(b"\0" + leaf).digest()
    for neighbour in path:
        if neighbour is not None:
            pair = neighbour + found if index & 1 else found + neighbour
            found = hashlib.sha256(b"\1" + pair).digest()
        elif index & 1:
            return False  # only the last one of a level, at an even place, has no neighbour
        index //= 2
    return index == 0 and found == root
