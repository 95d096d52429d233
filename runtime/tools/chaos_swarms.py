"""Swarms while everything fails: ``python -m swarmc.runtime.tools.chaos_swarms --minutes 30``.

A router process and the workers of some swarms are killed and frozen at random, the ways between
them and to a client are cut and stalled, while the client injects. In the end every injection that
was accepted must have run on each of its nodes and ended once, with the outputs of an undisturbed
run. What happens when follows from the seed; what comes of it does not.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from ..orchestration.errors import OrchestrationError
from ..orchestration.providers import load_cluster_config
from ..orchestration.providers.node import start_time
from ..orchestration.router.client import (
    CommandRejectedError,
    RouterClient,
    RouterUnavailableError,
)
from ..orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm, Swarm
from .fault_links import Link, Links
from .faults import FaultKind, Process, Storm, Target, Victim, plan
from .swarm_history import Accepted, Seen, Verdict, judge
from .swarm_module import SPINS, Undisturbed, given, module

_ANSWER = 5.0  # seconds that a router may take to answer
_SETTLE = 180.0  # seconds for all to end once nothing fails any more
_NODE = (FaultKind.KILL, FaultKind.KILL, FaultKind.FREEZE)
_LINK = (FaultKind.CUT, FaultKind.STALL)
#: What befalls whom; the router less often than its many nodes.
ROUTER_FAULTS = (FaultKind.KILL, FaultKind.KILL, FaultKind.FREEZE)


@dataclass(frozen=True, slots=True)
class Options:
    """How much chaos.

    Args:
        seconds: of faults; what must end afterwards takes its own time.
        every: seconds from one fault to the next, on average.
        lasting: seconds of a fault: least and most.
        pause: seconds between injections.
        waiting: turns that may wait before the client pauses.
    """

    seconds: float = 60.0
    seed: int = 1
    swarms: int = 2
    nodes: int = 2
    agents: int = 2
    every: float = 2.0
    lasting: tuple[float, float] = (0.2, 4.0)
    pause: float = 0.05
    waiting: int = 60
    spins: tuple[int, ...] = SPINS


class NodeTarget:
    """The worker of a node, whichever process it is when the fault begins."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._victim: Victim | None = None

    def begin(self, kind: FaultKind) -> None:
        """Kill or freeze it; nothing while there is none."""
        self._victim = None
        try:
            record = json.loads((self._workspace / "started.json").read_bytes())
            pid, began = record["worker"]
            if start_time(pid) == began:
                self._victim = Victim(pid)
                self._victim.begin(kind)
        except (KeyError, FileNotFoundError, psutil.NoSuchProcess):
            return  # it is just being started again

    def end(self, kind: FaultKind) -> None:
        """Thaw it."""
        if self._victim is not None:
            self._victim.end(kind)


class Client:
    """Injects, and watches: two threads, which connect again whenever they must."""

    def __init__(self, url: str, options: Options) -> None:
        self._url, self._options = url, options
        self.seen = Seen()
        self.accepted: list[Accepted] = []
        self.counts: Counter[str] = Counter()  # of injections, by what came of them
        self._watching, self._injecting = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self.error: BaseException | None = None

    def start(self, swarms: Sequence[str]) -> None:
        """Begin."""
        for name, work in (("watch", self._watch), ("inject", lambda: self._inject(swarms))):
            thread = threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop_injecting(self) -> None:
        """Inject no more."""
        self._injecting.set()
        self._threads[1].join()

    def stop(self) -> None:
        """Watch no more. Raises what went wrong with a thread."""
        self.stop_injecting()
        self._watching.set()
        self._threads[0].join()
        if self.error is not None:
            raise self.error

    def _guard(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:
            self.error = error

    def _watch(self) -> None:
        while not self._watching.is_set():
            try:
                with RouterClient(self._url, timeout=_ANSWER) as client:
                    subscribed = client.subscribe(after=self.seen.seq)
                    self.seen.connected(subscribed.seq, subscribed.complete)
                    while not client.gone and not self._watching.is_set():
                        for event in client.events(0.2):
                            self.seen.take(event)
            except RouterUnavailableError:
                self._watching.wait(0.05)

    def _inject(self, swarms: Sequence[str]) -> None:
        lots = random.Random(self._options.seed)
        number = 0
        while not self._injecting.is_set():
            try:
                with RouterClient(self._url, timeout=_ANSWER) as client:
                    while not self._injecting.wait(self._options.pause):
                        if client.call("status", Nothing()).queued > self._options.waiting:
                            continue
                        number += 1
                        self._one(client, lots, swarms, f"c-{number}")
            except RouterUnavailableError:
                self._injecting.wait(0.05)

    def _one(
        self, client: RouterClient, lots: random.Random, swarms: Sequence[str], reference: str
    ) -> None:
        # Most are short: one in seven takes long enough for faults to find it running.
        spins = self._options.spins
        spin = lots.choice(spins[:2]) if lots.random() < 0.85 else lots.choice(spins)
        data, swarm = given(spin, f"{reference} "), lots.choice(swarms)
        nodes = [lots.randrange(self._options.nodes)] if lots.random() < 0.5 else None
        inject = Inject(
            swarm_id=swarm, data=base64.b64encode(data).decode(), nodes=nodes, reference=reference
        )
        try:
            turns = client.call("swarm_inject", inject).turns
        except CommandRejectedError as error:
            self.counts[f"refused: {error}"] += 1
        except RouterUnavailableError:
            self.counts["not answered"] += 1
            raise
        else:
            self.counts["accepted"] += 1
            self.accepted.append(Accepted(swarm, reference, data, turns))


class Chaos:
    """A router, swarms, links and a client in a folder.

    Args:
        cluster: the cluster's configuration, besides restarts. environment: of the router.
        others: targets beside router, nodes and links, and what happens to each.
    """

    def __init__(
        self, folder: Path, options: Options, *, cluster: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        others: Mapping[str, tuple[Target, Sequence[FaultKind]]] | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.options = folder, options
        self._cluster = {"provider": "local", **(cluster or {})}
        self._others = dict(others or {})
        self._stack, self._over = ExitStack(), False
        self._links = self._stack.enter_context(Links())
        port = free_port()
        self.nodes_link = self._links.open("127.0.0.1", port)
        self.client_link = self._links.open("127.0.0.1", port)
        self._write_configurations()
        self.router = self._stack.enter_context(Process(
            "router", [
                sys.executable, "-m", "swarmc", "start-dispatcher", "config.toml", "--cluster",
                "cluster.json", "--port", str(port), "--json",
            ], folder, announces=True, environment=environment,
        ))  # fmt: skip
        self.direct = f"ws://127.0.0.1:{port}"

    def _write_configurations(self) -> None:
        (self.folder / "agent.wasm").write_bytes(module())
        restarts = {"limit": 1_000_000, "first": 100, "longest": 1000}
        cluster = {
            **self._cluster, "module": "agent.wasm", "restarts": restarts,
            "router_for_nodes": url_of(self.nodes_link),
        }  # fmt: skip
        (self.folder / "cluster.json").write_text(json.dumps(cluster))
        (self.folder / "config.toml").write_text(
            '[dispatcher]\nstate_db_path = "state.db"\n'
        )

    def __enter__(self) -> Chaos:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if not self._over:
                self._end_swarms()
        finally:
            self._stack.close()

    def run(self, tell: Any = lambda line: None) -> tuple[Verdict, dict[str, Any]]:
        """All of it; what it comes to, and figures."""
        options = self.options
        undisturbed = Undisturbed.measure(options.nodes, options.agents, options.spins)
        self.router.start()
        swarms = self._launch()
        targets, kinds = self._targets(swarms)
        faults = plan(
            options.seed, options.seconds, kinds, every=options.every, lasting=options.lasting
        )
        client = Client(url_of(self.client_link), options)
        client.start([swarm.swarm_id for swarm in swarms])
        storm = Storm(faults, targets, tell)
        storm.start()
        begun = time.monotonic()
        storm.join()
        while time.monotonic() < begun + options.seconds:
            time.sleep(0.05)
        client.stop_injecting()
        calm = time.monotonic()
        restarts = self._settle(len(client.accepted), tell)
        settled = time.monotonic() - calm
        time.sleep(0.5)  # for the last events to reach the client
        client.stop()
        self._end_swarms()
        self._over = True
        code = self.router.terminate()
        runs = self.folder / "runs"
        state = self.folder / "state.db"
        verdict = judge(state, runs, client.accepted, client.seen, undisturbed)
        if code != 0:
            verdict = _with(verdict, f"the router exited with {code}: {self.router.errors()}")
        if bad := [why for why in client.counts if why.startswith("refused")]:
            verdict = _with(verdict, *bad)
        happened = Counter(f"{f.kind.value} {f.target.split(' ')[0]}" for f in storm.happened)
        return verdict, {
            "seconds": options.seconds, "seed": options.seed, "settled": round(settled, 1),
            "faults": dict(happened), "restarts of workers": restarts, "gaps": client.seen.gaps,
            "injections": dict(client.counts), "events": dict(client.seen.events),
        }  # fmt: skip

    def _launch(self) -> list[Swarm]:
        options = self.options
        with RouterClient(self.direct) as client:
            swarms = [
                client.call("swarm_launch", Launch(nodes=options.nodes, agents=options.agents))
                for _ in range(options.swarms)
            ]
            while not self._idle(client):
                time.sleep(0.1)
        return swarms

    @staticmethod
    def _idle(client: RouterClient) -> bool:
        found = client.call("swarm_list", Nothing()).swarms
        return all(n.state == "idle" and not n.queued for swarm in found for n in swarm.nodes)

    def _targets(
        self, swarms: list[Swarm]
    ) -> tuple[dict[str, Target], dict[str, Sequence[FaultKind]]]:
        targets: dict[str, Target] = {
            "router": self.router, "link of the nodes": self.nodes_link,
            "link of the client": self.client_link,
        }  # fmt: skip
        kinds: dict[str, Sequence[FaultKind]] = {
            "router": ROUTER_FAULTS, "link of the nodes": _LINK, "link of the client": _LINK,
        }  # fmt: skip
        for number, swarm in enumerate(swarms):
            for node in range(swarm.node_count):
                name = f"node {node} of swarm {number}"
                folder = self.folder / "runs" / str(swarm.job_id) / f"node_{node:02d}"
                targets[name], kinds[name] = NodeTarget(folder), _NODE
        for name, (target, some) in self._others.items():
            targets[name], kinds[name] = target, some
        return targets, kinds

    def _settle(self, accepted: int, tell: Any) -> int:
        """Wait until all that was accepted has ended; how often workers were started again."""
        tell(f"calm after {accepted} injections")
        end = time.monotonic() + _SETTLE
        while True:
            try:
                with RouterClient(self.direct, timeout=_ANSWER) as client:
                    while not self._idle(client):
                        if time.monotonic() > end:
                            raise TimeoutError(str(client.call("swarm_list", Nothing())))
                        time.sleep(0.1)
                    found = client.call("swarm_list", Nothing()).swarms
                    return sum(node.restarts for swarm in found for node in swarm.nodes)
            except RouterUnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _end_swarms(self) -> None:
        """Terminate what runs, whichever way the run went."""
        if not self.router.running:
            provider = load_cluster_config(self.folder / "cluster.json").make_provider()
            for job in provider.jobs():
                provider.cancel(job.id)
            return
        self.router.end(FaultKind.FREEZE)
        with RouterClient(self.direct, timeout=_SETTLE) as client:
            for swarm in client.call("swarm_list", Nothing()).swarms:
                client.call("swarm_terminate", OfSwarm(swarm_id=swarm.swarm_id))


def _with(verdict: Verdict, *wrong: str) -> Verdict:
    return Verdict(**{**asdict(verdict), "wrong": (*verdict.wrong, *wrong)})


def url_of(link: Link) -> str:
    """Where a link begins."""
    return f"ws://127.0.0.1:{link.port}"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="chaos_swarms", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--swarms", type=int, default=2)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between faults")
    parser.add_argument("--folder", type=Path, help="kept; default: a temporary one")
    options = parser.parse_args(arguments)
    chosen = Options(
        options.minutes * 60, options.seed, options.swarms, options.nodes, every=options.every
    )
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="swarmc-chaos-")))
        folder.mkdir(parents=True, exist_ok=True)
        return report(stack.enter_context(Chaos(folder, chosen)))


def report(chaos: Chaos) -> int:
    """Run chaos, print what comes of it as JSON; 0 if nothing was wrong."""
    begun = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - begun:8.1f} s: {line}", file=sys.stderr, flush=True)

    try:
        verdict, figures = chaos.run(tell)
    except (OrchestrationError, TimeoutError) as error:
        print(f"chaos_swarms: {error}", file=sys.stderr)
        return 2
    print(json.dumps({**figures, **asdict(verdict)}, indent=2))
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
