"""Swarms of the tests of the page: launched and injected into, by a client or by the forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swarmc.runtime.orchestration.router.protocol import Launch, Nothing

from ..router.routing import until
from .paging import EchoProvider, WebRouter

ROOT = Path(__file__).parents[3]
HELLO = str(ROOT / "corpus" / "hello.wasm")


def provider_of(running: WebRouter) -> EchoProvider:
    assert isinstance(running.provider, EchoProvider)
    return running.provider


def launch(running: WebRouter, **what: Any) -> str:
    """A swarm that was launched by another client."""
    with running.client() as client:
        swarm = client.call("swarm_launch", Launch(**what))
        until(lambda: client.call("status", Nothing()).idle >= what.get("nodes", 1))
        return str(swarm.swarm_id)


def launch_by_form(page: Any, **fields: str) -> None:
    page.click("#launch")
    for name, value in fields.items():
        page.fill(f"#launch-{name}", value)
    page.click("#launch-dialog button[type=submit]")


def inject(page: Any, prompt: str) -> None:
    page.fill("#prompt", prompt)
    page.click("#inject")
