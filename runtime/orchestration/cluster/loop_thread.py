"""An event loop in a thread of its own: where Dask's servers live."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def call(self, work: Coroutine[Any, Any, Any], timeout: float) -> Any:
        """Run it there and give what it gives. Raises TimeoutError."""
        return self.begin(work).result(timeout)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run it there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Have a function called there soon; False: the loop has ended."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False
        return True

    def close(self, timeout: float) -> bool:
        """End the loop; whether the thread has ended in time."""
        self.post(self._cancel_all)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        done = asyncio.gather(*tasks, return_exceptions=True)
        done.add_done_callback(lambda _: self.loop.stop())
