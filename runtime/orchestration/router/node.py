"""A node's worker: runs turns of one swarm's agents, and tells what they do."""

from __future__ import annotations

import base64
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ....errors import SwarmcError
from ...choosing import choose_target
from ...manager import SwarmManager
from ...results import SwarmResult
from ..errors import OrchestrationError
from .client import RouterClient, RouterUnavailableError
from .protocol import PROTOCOL, Drain, Hello, Nothing, Params, TurnDone, TurnEvent, TurnRun

_LOG = logging.getLogger(__name__)
#: Bytes of output that are told in one event.
_DELTA = 65536
#: Seconds for which a worker that lost its router looks for it, before it ends.
PATIENCE = 60.0

Answer = Callable[[Any], None]
DeltaType = Literal["reasoning_delta", "assistant_delta", "usage"]


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Which node of which swarm, and where the router is.

    Args:
        token: lets it in.
        patience: seconds without a router, after which it ends.
    """

    url: str
    swarm_id: str
    node: int
    token: str
    certificate: Path | None = None
    patience: float = PATIENCE

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
        return cls(url, swarm_id, node, token, certificate)


class NodeWorker:
    """Connects to the router, again and again if it must, and runs turns one after the other."""

    def __init__(self, config: NodeConfig, name: str | None = None) -> None:
        self._config = config
        self._name = name or socket.gethostname()
        self._turns: queue.SimpleQueue[tuple[TurnRun, RouterClient, Answer] | None] = (
            queue.SimpleQueue()
        )
        self._draining = threading.Event()
        self._swarm: SwarmManager | None = None

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
                    self._beat(client)
                seen = time.monotonic()
            except RouterUnavailableError as error:
                if time.monotonic() - seen > self._config.patience:
                    _LOG.error("giving up: %s", error)
                    return False
                self._draining.wait(0.2)
        return True

    def drain(self) -> None:
        """Finish the turn that runs, then end."""
        self._draining.set()

    def _connect(self) -> RouterClient:
        config = self._config
        hello = Hello(
            protocol=PROTOCOL, role="worker", token=config.token, swarm_id=config.swarm_id,
            node=config.node, pid=os.getpid(), host=self._name,
            targets=[choose_target(None).name],
        )  # fmt: skip
        return RouterClient(config.url, hello=hello, asked=self._asked)

    def _beat(self, client: RouterClient) -> None:
        interval = client.welcome.heartbeat_interval / 1000
        self._client = client
        while not client.gone and not self._draining.wait(interval):
            client.tell("heartbeat", Nothing())

    def _asked(self, method: str, params: Params, answer: Answer) -> None:
        """In the thread that reads the connection: must not wait."""
        if isinstance(params, TurnRun):
            self._turns.put((params, self._client, answer))
        elif isinstance(params, Drain):
            answer(None)
            self.drain()

    def _run_turns(self) -> None:
        while (work := self._turns.get()) is not None:
            turn, client, answer = work
            try:
                answer(self._run_turn(turn, client))
            except RouterUnavailableError:
                # The router gives the turn to this node again when the worker is back.
                _LOG.warning("turn %s ended, and nobody is there to be told", turn.turn_id)
        if self._swarm is not None:
            self._swarm.close()

    def _run_turn(self, turn: TurnRun, client: RouterClient) -> TurnDone:
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
        except (SwarmcError, OSError) as error:
            return TurnDone(outcome="failed", error=str(error))
        except Exception as error:
            _LOG.exception("turn %s", turn.turn_id)
            return TurnDone(outcome="failed", error=f"{type(error).__name__}: {error}")
        self._tell(turn, client, result)
        return _outcome(result)

    def _swarm_of(self, turn: TurnRun) -> SwarmManager:
        """The node's agents, made by the first turn."""
        if self._swarm is None:
            data = Path(turn.module).read_bytes()
            swarm = SwarmManager.from_wasm(data, max_agents=turn.agents)
            swarm.spawn_agents(turn.agents)
            self._swarm = swarm
        return self._swarm

    @staticmethod
    def _tell(turn: TurnRun, client: RouterClient, result: SwarmResult) -> None:
        """Every event of it stands for something that an agent did.

        They are also written to the file that ``SWARMC_EVENTS`` names, the node's event log.
        """
        path = os.environ.get("SWARMC_EVENTS")
        with open(path, "ab") if path is not None else nullcontext() as log:
            for event in _events(turn, result):
                if log is not None:
                    log.write(msgspec.json.encode(event) + b"\n")
                client.tell("turn_event", event)


def _events(turn: TurnRun, result: SwarmResult) -> Iterator[TurnEvent]:
    """What the agents wrote, agent by agent, and what it took."""
    streams: tuple[tuple[DeltaType, dict[int, bytes]], ...] = (
        ("reasoning_delta", result.agent_errors), ("assistant_delta", result.agent_outputs),
    )  # fmt: skip
    for number, agent in enumerate(result.agent_errors):
        for type, outputs in streams:
            output = outputs[agent]
            for start in range(0, len(output), _DELTA):
                text = output[start : start + _DELTA].decode("utf-8", "replace")
                data = {"agent": number, "text": text}
                yield TurnEvent(turn_id=turn.turn_id, type=type, data=data)
    usage = {
        "instructions": sum(result.instruction_counts.values()),
        "milliseconds": result.total_time_ms, "agents": turn.agents,
        "bytes": sum(map(len, result.agent_outputs.values())) + len(turn.data) * 3 // 4,
    }  # fmt: skip
    yield TurnEvent(turn_id=turn.turn_id, type="usage", data=usage)


def _outcome(result: SwarmResult) -> TurnDone:
    """Completed if every agent returned, or exited with 0."""
    wrong = {agent: str(trap) for agent, trap in result.traps.items()}
    wrong |= {agent: f"exit code {code}" for agent, code in result.exit_codes.items() if code}
    if not wrong:
        return TurnDone(outcome="completed")
    first = min(wrong)
    others = f" ({len(wrong)} of {len(result)} agents failed)" if len(wrong) > 1 else ""
    return TurnDone(outcome="failed", error=f"agent {first}: {wrong[first]}{others}")
