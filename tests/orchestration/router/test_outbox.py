"""What waits for a peer is sent, in few frames, and then the connection ends."""

from __future__ import annotations

import asyncio
import json

from swarmc.runtime.orchestration.router.server import MAX_WAITING_BYTES, Outbox
from swarmc.runtime.orchestration.router.wire import MAX_WAITING


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


def test_frames_of_many_messages_stay_small() -> None:
    messages = [json.dumps("x" * 1000).encode()] * 5000 + [json.dumps("y" * (2 << 20)).encode()]

    async def main() -> list[bytes]:
        outbox = Outbox(lambda: None)
        for message in messages:
            outbox.put(message)
        outbox.close()
        return await collected(outbox)

    frames = asyncio.run(main())
    assert len(frames) == 6 and frames[-1] == messages[-1]
    assert max(map(len, frames[:-1])) <= (1 << 20) + 2000
    assert [line for frame in frames[:-1] for line in json.loads(frame)] == ["x" * 1000] * 5000


def test_who_does_not_read_is_cut_off_once() -> None:
    async def main(message: bytes, fits: int) -> int:
        cuts: list[int] = []

        def cut() -> None:
            cuts.append(1)
            outbox.close()

        outbox = Outbox(cut)
        for _ in range(fits):
            outbox.put(message)
        assert cuts == []
        for _ in range(3):
            outbox.put(message)
        await collected(outbox)
        return len(cuts)

    assert asyncio.run(main(b"1", MAX_WAITING)) == 1
    large = bytes(1 << 20)
    assert asyncio.run(main(large, MAX_WAITING_BYTES // len(large) + 1)) == 1
