"""Ports for servers that must be told one: elsewhere, 0 is any that is free."""

from __future__ import annotations

import random
import socket


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, from below those that systems give out by themselves.

    Nobody who asks for any port gets one of these before it is used, and two processes hardly
    ever the same one.
    """
    found: list[int] = []
    chance = random.SystemRandom()  # tests seed the other one, each process alike
    while len(found) < count:
        port = chance.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def free_port() -> int:
    """One such port."""
    return free_ports(1)[0]
