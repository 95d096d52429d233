"""A node's worker: runs turns of one swarm's agents, and tells what they do."""

from __future__ import annotations

import base64
import logging
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ....errors import ArgumentError, SwarmcError
from ...choosing import choose_target
from ...manager import SwarmManager
from ...results import SwarmResult
from ..errors import OrchestrationError
from .client import CommandRejectedError, RouterClient, RouterUnavailableError
from .protocol import PROTOCOL, Drain, Hello, Nothing, Params, TurnDone, TurnRun
from .turn_events import traced_calls, turn_events

_LOG = logging.getLogger(__name__)
_AGAIN, _SHORT = 0.2, 1.0  # seconds between connections; of one that was short
_REASON = 1024  # characters of a reason that a router takes
#: Seconds for which a worker that lost its router looks for it, before it ends.
PATIENCE = 60.0

Answer = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Which node of which swarm, and where the router is.

    Args:
        token: lets it in.
        patience: seconds without a router, after which it ends.
        restarts, restart_reason: how many workers of the node died before, and how the last did.
    """

    url: str
    swarm_id: str
    node: int
    token: str
    certificate: Path | None = None
    patience: float = PATIENCE
    restarts: int = 0
    restart_reason: str = ""

    @classmethod
    def from_environment(cls, url: str, certificate: Path | None = None) -> NodeConfig:
        """As providers tell their jobs.

        Raises:
            KeyError: a variable is missing: nobody launched this process as a node.
            OrchestrationError: the token cannot be read.
        """
        try:
            token = Path(os.environ["SWARMC_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
            swarm_id, node = os.environ["SWARMC_SWARM_ID"], int(os.environ["SWARMC_NODE"])
        except OSError as error:
            raise OrchestrationError(f"the token of the swarm: {error}") from error
        return cls(
            url, swarm_id, node, token, certificate,
            restarts=int(os.environ.get("SWARMC_RESTARTS", "0")),
            restart_reason=os.environ.get("SWARMC_RESTART_REASON", ""),
        )  # fmt: skip


@dataclass(eq=False, slots=True)
class _Asked:
    """A turn that the router asked for.

    Args:
        client: the connection that it came by, which is made while it may come already.
    """

    turn: TurnRun
    client: Future[RouterClient]
    answer: Answer


class NodeWorker:
    """Connects to the router, again and again if it must, and runs turns one after the other.

    A turn that ended while the connection was lost is told when the router asks for it again; it
    does not run twice in one process.
    """

    def __init__(self, config: NodeConfig, name: str | None = None) -> None:
        self._config = config
        self._name = name or socket.gethostname()
        self._instance = f"worker-{secrets.token_hex(8)}"
        self._turns: queue.Queue[_Asked | None] = queue.Queue()
        self._draining = threading.Event()
        self._swarm: SwarmManager | None = None
        self._last: tuple[str, TurnDone, SwarmResult | None] | None = None

    def run(self) -> bool:
        """Work until it is drained; False if the router has been away for too long.

        Raises:
            CommandRejectedError: the router does not want it: its swarm has ended.
        """
        turns = threading.Thread(target=self._run_turns, name="swarmc-turns", daemon=True)
        turns.start()
        try:
            return self._connect_until_drained()
        finally:
            self._turns.put(None)
            turns.join()

    def _connect_until_drained(self) -> bool:
        seen = time.monotonic()
        while not self._draining.is_set():
            try:
                with self._connect() as client:
                    began = time.monotonic()
                    try:
                        self._beat(client)
                        if self._draining.is_set():
                            self._leave(client)
                    finally:
                        seen = time.monotonic()
                if seen - began < _SHORT:  # another worker is the node's, maybe
                    self._draining.wait(_AGAIN)
            except RouterUnavailableError as error:
                if time.monotonic() - seen > self._config.patience:
                    _LOG.error("giving up: %s", error)
                    return False
                self._draining.wait(_AGAIN)
        return True

    def drain(self) -> None:
        """Finish the turn that runs, then end. No handler of a signal may call it."""
        self._draining.set()

    def _connect(self) -> RouterClient:
        config = self._config
        hello = Hello(
            protocol=PROTOCOL, role="worker", token=config.token, swarm_id=config.swarm_id,
            node=config.node, pid=os.getpid(), host=self._name,
            targets=[choose_target(None).name], instance=self._instance, restarts=config.restarts,
            restart_reason=config.restart_reason[:_REASON],
        )  # fmt: skip
        connected: Future[RouterClient] = Future()

        def asked(method: str, params: Params, answer: Answer) -> None:
            """In the thread that reads the connection: must not wait."""
            if isinstance(params, TurnRun):
                self._turns.put(_Asked(params, connected, answer))
            elif isinstance(params, Drain):
                answer(None)
                self.drain()

        try:
            client = RouterClient(
                config.url, hello=hello, certificate=config.certificate, asked=asked
            )
        except BaseException as error:
            connected.set_exception(error)
            raise
        connected.set_result(client)
        return client

    def _beat(self, client: RouterClient) -> None:
        interval = client.welcome.heartbeat_interval / 1000
        while not client.gone and not self._draining.wait(interval):
            client.tell("heartbeat", Nothing())

    def _leave(self, client: RouterClient) -> None:
        """Take no further turn, and have told what came of the one that runs."""
        client.call("node_drain", Nothing())
        interval = client.welcome.heartbeat_interval / 1000
        while not client.gone and self._turns.unfinished_tasks:
            client.tell("heartbeat", Nothing())
            time.sleep(interval)
        if not client.gone:
            client.call("node_drain", Nothing())  # its answer says that all before it was heard

    def _run_turns(self) -> None:
        while (work := self._turns.get()) is not None:
            try:
                work.answer(self._run_turn(work.turn, work.client))
            except (RouterUnavailableError, CommandRejectedError):
                # The router asks for the turn again when this worker is back.
                _LOG.warning("turn %s ended, and nobody is there to be told", work.turn.turn_id)
            finally:
                self._turns.task_done()
        if self._swarm is not None:
            self._swarm.close()

    def _run_turn(self, turn: TurnRun, client: Future[RouterClient]) -> TurnDone:
        """Run it, if it did not run already, and tell what came of it."""
        new = self._last is None or self._last[0] != turn.turn_id
        if new:
            self._last = None  # its outputs may be large
            done, result = self._dispatch(turn)
            self._last = (turn.turn_id, done, result)
        assert self._last is not None
        _, done, result = self._last
        if result is not None:
            self._tell(turn, client, result, log=new)
        return done

    def _dispatch(self, turn: TurnRun) -> tuple[TurnDone, SwarmResult | None]:
        """One dispatch of all agents."""
        try:
            swarm = self._swarm_of(turn)
            environment = [
                {**turn.environment, "SWARM_AGENT": str(number)} for number in range(turn.agents)
            ]
            result = swarm.dispatch(
                stdin=base64.b64decode(turn.data), env=environment, fuel=turn.fuel,
                seed=self._config.node,
            )  # fmt: skip
        except SwarmcError as error:
            return TurnDone(outcome="failed", error=str(error)), None
        except Exception as error:
            _LOG.exception("turn %s", turn.turn_id)
            return TurnDone(outcome="failed", error=f"{type(error).__name__}: {error}"), None
        return _outcome(result), result

    def _swarm_of(self, turn: TurnRun) -> SwarmManager:
        """The node's agents, made by the first turn."""
        if self._swarm is None:
            try:
                data = Path(turn.module).read_bytes()
            except OSError as error:
                why = f"cannot read {turn.module}: {error.strerror}"
                raise ArgumentError(why) from error
            swarm = SwarmManager.from_wasm(
                data, max_agents=turn.agents,
                trace_host_calls=traced_calls(turn.agents) if turn.trace else None,
            )  # fmt: skip
            swarm.spawn_agents(turn.agents)
            self._swarm = swarm
        return self._swarm

    @staticmethod
    def _tell(
        turn: TurnRun, client: Future[RouterClient], result: SwarmResult, *, log: bool
    ) -> None:
        """Every event of it stands for something that an agent did.

        They are also written to the file that ``SWARMC_EVENTS`` names, the node's event log.
        """
        path = os.environ.get("SWARMC_EVENTS")
        if log and path is not None:
            try:
                with open(path, "ab") as file:
                    file.writelines(
                        msgspec.json.encode(event) + b"\n" for event in turn_events(turn, result)
                    )
            except OSError as error:
                _LOG.error("turn %s is not in the log of events: %s", turn.turn_id, error)
        client.result().tell_all("turn_event", turn_events(turn, result))


def _outcome(result: SwarmResult) -> TurnDone:
    """Completed if every agent returned, or exited with 0."""
    wrong = {agent: str(trap) for agent, trap in result.traps.items()}
    wrong |= {agent: f"exit code {code}" for agent, code in result.exit_codes.items() if code}
    if not wrong:
        return TurnDone(outcome="completed")
    first = min(wrong)
    others = f" ({len(wrong)} of {len(result)} agents failed)" if len(wrong) > 1 else ""
    return TurnDone(outcome="failed", error=f"agent {first}: {wrong[first]}{others}")
