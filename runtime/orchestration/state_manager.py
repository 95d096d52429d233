"""A store as the users of workflows know it: values under keys, counts of records, tidying up."""

from __future__ import annotations

import os
from typing import Any, Self

from .store.records import Cleaned
from .store.store import Store


class StateManager:
    """Keeps state in a store.

    >>> with StateManager() as state:
    ...     state.set("deployed", {"version": 3})
    ...     state.get("deployed")
    {'version': 3}

    Args:
        store: where: a path of a file, a store that is open, which is not closed with this; None:
            in memory.
    """

    def __init__(self, store: Store | str | os.PathLike[str] | None = None) -> None:
        self._own = not isinstance(store, Store)
        #: Everything else that can be done with what is kept.
        self.store = store if isinstance(store, Store) else Store(store)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, key: str, default: Any = None) -> Any:
        """The value that was set last; ``default`` if there is none."""
        return self.store.get_state(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value, as :mod:`.codec` takes them; it is durable on return."""
        self.store.set_state(key, value)

    def delete(self, key: str) -> bool:
        """Forget a value; whether there was one."""
        return self.store.delete_state(key)

    def keys(self) -> list[str]:
        """The keys that have a value, sorted."""
        return self.store.state_keys()

    def record_counts(self) -> dict[str, int]:
        """How many records there are of each kind: state, executions, tasks, nodes and others."""
        return self.store.record_counts()

    def cleanup(self, older_than_ms: float) -> Cleaned:
        """Remove what ended longer ago than so many milliseconds; see :meth:`Store.cleanup`.

        Values that were set stay: nobody but who set them knows when they are over.
        """
        return self.store.cleanup(older_than_ms / 1000)

    def close(self) -> None:
        """Close the store, if it was opened here; may be called more than once."""
        if self._own:
            self.store.close()
