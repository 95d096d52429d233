"""Connections that say what workers of tasks say, and have the keys that they announce."""

from __future__ import annotations

from typing import Any

from swarmc.runtime.orchestration.cluster.authority import KeyPair
from swarmc.runtime.orchestration.cluster.proof import statement
from swarmc.runtime.orchestration.coordinator.signing import Ed25519Signer
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import PROTOCOL, Hello, Nothing
from swarmc.runtime.orchestration.router.protocol_workers import Worker, WorkerJoin

from .routing import RunningDispatcher

KEY, OTHER = Ed25519Signer(b"k" * 32), Ed25519Signer(b"o" * 32)


def worker(host: RunningDispatcher) -> RouterClient:
    """Somebody who has said hello as a worker of tasks."""
    return host.client(hello=Hello(protocol=PROTOCOL, role="task_worker"))


def joining(
    client: RouterClient, name: str, key: Ed25519Signer = KEY, *, by: Ed25519Signer | None = None,
    challenge: str | None = None, **more: Any,
) -> WorkerJoin:  # fmt: skip
    """What a worker says to join; signed by its key, or by another, or under another challenge."""
    request, public = KeyPair(name).request, key.public_key.hex()
    stated = statement(challenge or client.welcome.challenge or "", name, public, request)
    return WorkerJoin(**{
        "name": name, "public_key": public, "certificate_request": request,
        "proof": (by or key).sign(stated).hex(), **more,
    })  # fmt: skip


def listed(host: RunningDispatcher) -> dict[str, Worker]:
    """All workers, by their names."""
    with host.client() as client:
        return {one.name: one for one in client.call("worker_list", Nothing()).workers}
