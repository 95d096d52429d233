"""The desk of modules and of tasks' state: what clients give for workers, and workers ask for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from ..cluster.errors import ModuleError
from ..cluster.modules import ModuleFolder
from ..codec import ValueEncodingError, dumps, loads
from ..executors.operations import RESERVED
from .desk import Desk, Handler
from .protocol import Code
from .protocol_workers import (
    MAX_MODULE,
    ModuleData,
    ModuleGet,
    ModuleKept,
    ModulePut,
    StateDelete,
    StateFound,
    StateGet,
    StateSet,
)
from .wire import Connection, RequestError
from .workers import WorkerDesk

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

_MISSING = object()


class ModuleDesk(Desk):
    """Modules, and the state that tasks keep.

    Args:
        dispatcher: must be open.
        workers: knows who has joined: nobody else gets anything.
        modules: what is kept.
    """

    def __init__(
        self, dispatcher: Dispatcher, workers: WorkerDesk, modules: ModuleFolder
    ) -> None:
        self._dispatcher = dispatcher
        self._workers = workers
        self._modules = modules

    def handlers(self) -> Mapping[str, Handler]:
        """Those of modules and state."""
        return {
            "module_put": self._module_put, "module_get": self._module_get,
            "state_get": self._state_get, "state_set": self._state_set,
            "state_delete": self._state_delete,
        }  # fmt: skip

    async def open(self, router: Router) -> None:
        """Look what is kept."""
        await super().open(router)
        await router.call(self._modules.load)

    async def _module_put(self, connection: Connection, put: ModulePut) -> ModuleKept:
        try:
            data = await self.router.call(lambda: base64.b64decode(put.data, validate=True))
        except binascii.Error as error:
            raise RequestError(Code.INVALID_PARAMS, f"module_put: data: {error}") from error
        if len(data) > MAX_MODULE:
            why = f"a module has at most {MAX_MODULE:,} bytes, and not {len(data):,}"
            self.router.reject("module_put", why, put)
        try:
            return ModuleKept(digest=await self.router.call(self._modules.put, data))
        except ModuleError as error:
            self.router.reject("module_put", str(error), put)
        except OSError as error:
            self.router.reject("module_put", f"the module cannot be kept: {error}", put)

    async def _module_get(self, connection: Connection, wanted: ModuleGet) -> ModuleData:
        self._workers.entry_of(connection)
        try:
            data = await self.router.call(self._modules.get, wanted.digest)
        except (ModuleError, OSError) as error:
            self.router.reject("module_get", str(error), wanted)
        return ModuleData(data=await self.router.call(lambda: base64.b64encode(data).decode()))

    def _key(
        self, connection: Connection, method: str, wanted: StateGet | StateSet | StateDelete
    ) -> str:
        """A key that is a task's: what the router keeps for itself is nobody else's."""
        self._workers.entry_of(connection)
        if wanted.key.startswith(RESERVED):
            self.router.reject(method, f"{wanted.key} is the router's own", wanted)
        return wanted.key

    async def _state_get(self, connection: Connection, wanted: StateGet) -> StateFound:
        store, key = self._dispatcher.store, self._key(connection, "state_get", wanted)
        value = await self.router.call(store.get_state, key, _MISSING)
        if value is _MISSING:
            return StateFound(found=False)
        data = await self.router.call(dumps, value)  # it may be large, and this loop is everybody's
        return StateFound(found=True, value=msgspec.Raw(data.encode()))

    async def _state_set(self, connection: Connection, wanted: StateSet) -> None:
        key = self._key(connection, "state_set", wanted)
        text = b"null" if wanted.value is UNSET else bytes(wanted.value)
        try:
            value = await self.router.call(loads, text)
        except ValueEncodingError as error:
            raise RequestError(Code.INVALID_PARAMS, f"state_set: value: {error}") from error
        await self.router.call(self._dispatcher.store.set_state, key, value)

    async def _state_delete(self, connection: Connection, wanted: StateDelete) -> None:
        key = self._key(connection, "state_delete", wanted)
        await self.router.call(self._dispatcher.store.delete_state, key)
