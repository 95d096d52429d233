"""Where the router is that works with a state database: it writes that down, commands find it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .store import Store, StoreError
from .store.lock import lock_holder

_KEY = "router/address"


@dataclass(frozen=True, slots=True)
class RouterPlace:
    """Where a router is.

    Args:
        certificate: file with the one to trust, if it has its own.
    """

    url: str
    certificate: Path | None = None


def announce(store: Store, place: RouterPlace) -> None:
    """This process serves at this place, over this store."""
    certificate = None if place.certificate is None else str(place.certificate.absolute())
    store.set_state(_KEY, {"url": place.url, "certificate": certificate, "pid": os.getpid()})


def retract(store: Store) -> None:
    """This process serves no more."""
    store.delete_state(_KEY)


def find_router(path: Path) -> RouterPlace | None:
    """The router that has the state database at a path in use; None if none has, or it cannot be
    told."""
    holder = lock_holder(path)
    if holder is None or not holder.alive:
        return None
    try:
        with Store.open_readonly(path) as store:
            found = store.get_state(_KEY)
    except StoreError:
        return None  # whoever wants the store itself will be told
    if not isinstance(found, dict) or found.get("pid") != holder.pid:
        return None
    certificate = found["certificate"]
    return RouterPlace(found["url"], None if certificate is None else Path(certificate))
