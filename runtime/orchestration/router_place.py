"""Where the router is that works with a state database: it writes that down, commands find it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from .store import Store, StoreError
from .store.lock import lock_holder

_KEY = "router/address"
_LOOK = 0.1  # seconds between looks whether a router has begun


@dataclass(frozen=True, slots=True)
class RouterPlace:
    """Where a router is.

    Args:
        certificate: file with the one to trust, if it has its own.
    """

    url: str
    certificate: Path | None = None


def announce_soon(store: Store) -> None:
    """This process will serve over this store, as soon as it has taken up what was left."""
    store.set_state(_KEY, {"url": None, "certificate": None, "pid": os.getpid()})


def announce(store: Store, place: RouterPlace) -> None:
    """This process serves at this place, over this store."""
    certificate = None if place.certificate is None else str(place.certificate.absolute())
    store.set_state(_KEY, {"url": place.url, "certificate": certificate, "pid": os.getpid()})


def retract(store: Store) -> None:
    """This process serves no more."""
    store.delete_state(_KEY)


def find_router(path: Path, patience: float = 30.0) -> RouterPlace | None:
    """The router that has the state database at a path in use; None if none has, or it cannot be
    told.

    Args:
        patience: seconds to wait for one that has just begun.
    """
    end = time.monotonic() + patience
    while True:
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
        if found["url"] is not None:
            certificate = found["certificate"]
            return RouterPlace(found["url"], None if certificate is None else Path(certificate))
        if time.monotonic() > end:
            return None
        time.sleep(_LOOK)
