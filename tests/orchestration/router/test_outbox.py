"""What waits for a peer is sent, in few frames, and then the connection ends."""

from __future__ import annotations

import asyncio

from swarmc.runtime.orchestration.router.server import Outbox


async def collected(outbox: Outbox) -> list[bytes]:
    async with asyncio.timeout(10):
        return [frame async for frame in outbox.frames()]


def test_what_waits_when_it_is_closed_is_sent_and_then_it_ends() -> None:
    async def main() -> list[bytes]:
        outbox = Outbox(lambda: None)
        outbox.put(b"1")
        outbox.put(b"2")
        outbox.close()
        return await collected(outbox)

    assert asyncio.run(main()) == [b"[1,2]"]


def test_it_ends_when_it_is_closed_while_nothing_waits() -> None:
    async def main() -> list[bytes]:
        outbox = Outbox(lambda: None)
        outbox.put(b"1")
        asyncio.get_running_loop().call_later(0.05, outbox.close)
        return await collected(outbox)

    assert asyncio.run(main()) == [b"1"]
