"""A router with the page, nodes that echo, and browsers that look at it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import Any

from swarmc.runtime.orchestration import web
from swarmc.runtime.orchestration.providers import JobSpec
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import (
    PROTOCOL,
    Drain,
    Hello,
    Params,
    TurnDone,
    TurnEvent,
    TurnRun,
)

from ..router.routing import LONG, RunningDispatcher, RunningRouter, ThreadProvider

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class WithPage(RunningRouter):
    """Serves the page, too."""

    routes = web.routes()

    @property
    def page_url(self) -> str:
        return web.page_url("127.0.0.1", self.server.port)

    def emit(self, events: list[dict[str, Any]]) -> None:
        """Have the router tell of things, as if a worker had told it."""

        def tell() -> None:
            for event in events:
                self.router.events.emit(**event)

        self._loop.call_soon_threadsafe(tell)

    def cut_clients(self) -> None:
        """Lose the connections of all clients."""

        def cut() -> None:
            for connection in list(self.router.events.connections):
                if connection.role == "client":
                    connection.cut()

        self._loop.call_soon_threadsafe(cut)


class WebRouter(WithPage):
    """A router of swarms with the page."""


class WebDispatcher(WithPage, RunningDispatcher):
    """A router with a dispatcher and the page."""


class EchoNode:
    """A worker of another kind: says on stdout what it is given, and how much that was on stderr.

    Args:
        held: turns are begun, and not ended.
    """

    def __init__(self, spec: JobSpec, node: int, held: bool) -> None:
        self.held = held
        self.node = node
        hello = Hello(
            protocol=PROTOCOL, role="worker", token=spec.secrets["SWARMC_TOKEN"],
            swarm_id=spec.swarm_id, node=node, pid=4711 + node, host="here", targets=["cpu"],
        )  # fmt: skip
        self._ready = threading.Event()  # the client may be asked before it is ours
        self.client = RouterClient(spec.command[-1], hello=hello, asked=self._asked)
        self._ready.set()

    def _asked(self, method: str, params: Params, answer: Callable[[Any], None]) -> None:
        assert self._ready.wait(LONG)
        if isinstance(params, Drain):
            answer(None)
        elif isinstance(params, TurnRun) and not self.held:
            self._run(params, answer)

    def _run(self, turn: TurnRun, answer: Callable[[Any], None]) -> None:
        def tell(type: Any, **data: Any) -> None:
            self.client.tell("turn_event", TurnEvent(turn_id=turn.turn_id, type=type, data=data))

        given = base64.b64decode(turn.data).decode()
        for agent in range(turn.agents):
            tell("command_started", agent=agent, name="read", args=[0, 64])
            tell("command_completed", agent=agent, name="read", result=len(given))
            call = {"agent": agent, "module": "wasi_snapshot_preview1", "name": "sched_yield"}
            tell("command_started", **call, args=[])
            tell("command_completed", **call, result=0, errno="success")
            tell("reasoning_delta", agent=agent, text=f"{len(given)} characters\n")
            tell("assistant_delta", agent=agent, text=f"{self.node}: {given}\n")
        tell("usage", instructions=48231, milliseconds=3.1, bytes=len(given), agents=turn.agents,
             host_calls=2000, host_calls_told=2)  # fmt: skip
        failed = "fail" in given
        if failed:
            tell("command_started", agent=0, module="env", name="open", args=["/nowhere"])
            tell("command_completed", agent=0, module="env", name="open", error="no such file")
            tell("command_started", agent=0, name="exit", args=[])
        answer(TurnDone(
            outcome="failed" if failed else "completed",
            error="agent 0: unreachable" if failed else None,
        ))  # fmt: skip

    def drain(self) -> None:
        self.client.close()


class EchoProvider(ThreadProvider):
    """Its workers are echoes."""

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.nodes: dict[tuple[str, int], EchoNode] = {}

    def begin(self, job_id: str, node: int) -> Any:
        self.nodes[job_id, node] = EchoNode(self.specs[job_id], node, self.held)
        return self.nodes[job_id, node]

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    def close(self) -> None:
        for node in self.nodes.values():
            node.drain()


def see(page: Any, selector: str, text: str | None = None) -> Any:
    """Wait until there is such an element that can be seen."""
    found = page.locator(selector, has_text=text) if text else page.locator(selector)
    found.first.wait_for(state="visible")
    return found.first


def shows(page: Any, selector: str, text: str) -> None:
    """Wait until an element has exactly this text."""
    page.wait_for_function(
        "([s, t]) => document.querySelector(s)?.textContent.trim() === t", arg=[selector, text]
    )


def counts(page: Any, selector: str, number: int) -> None:
    """Wait until there are so many such elements."""
    page.wait_for_function(
        "([s, n]) => document.querySelectorAll(s).length === n", arg=[selector, number]
    )


def hold(page: Any, method: str) -> None:
    """Keep what the page sends from the router, until ``window.held()``."""
    page.evaluate(
        """(method) => {
          const send = WebSocket.prototype.send;
          WebSocket.prototype.send = function (data) {
            if (data.includes(`"${method}"`)) {
              window.held = Object.assign(() => send.call(this, data), { method, data });
            }
            else send.call(this, data);
          };
        }""",
        method,
    )


def rename(page: Any, method: str, other: str) -> None:
    """Have the page ask for another method: one that the router does not know."""
    page.evaluate(
        """([method, other]) => {
          const send = WebSocket.prototype.send;
          WebSocket.prototype.send = function (data) {
            send.call(this, data.replace(`"${method}"`, `"${other}"`));
          };
        }""",
        [method, other],
    )


def deploy_by_form(page: Any, text: str) -> None:
    """Deploy a workflow from the page."""
    page.click("#deploy")
    page.fill("#deploy-manifest", text)
    page.click("#deploy-dialog button[type=submit]")
