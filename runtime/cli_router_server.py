"""``swarmc start-dispatcher``, ``web`` and ``start-worker``: processes that stay."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer

from ..errors import ArgumentError, SwarmcError
from .cli_extras import needs_web
from .cli_router_options import read_token

with needs_web():
    from .orchestration import web
    from .orchestration.cluster.modules import ModuleFolder, module_path
    from .orchestration.config_file import SwarmConfig, load_config
    from .orchestration.dispatcher import Dispatcher
    from .orchestration.executors.shard import ShardExecutor
    from .orchestration.providers import ClusterConfig, load_cluster_config
    from .orchestration.providers.base import NO_USE
    from .orchestration.router.client import CommandRejectedError
    from .orchestration.router.core import Router
    from .orchestration.router.hosting import Resuming, desks_of
    from .orchestration.router.node import NodeConfig, NodeWorker
    from .orchestration.router.server import Listen, RouterServer
    from .orchestration.router.swarms import RouterConfig
    from .orchestration.router_place import RouterPlace, announce, announce_soon


@dataclass(frozen=True, slots=True)
class ServeCommand:
    """The options of ``swarmc start-dispatcher`` and ``swarmc web``.

    Args:
        worker: whether tasks run in this process, too.
    """

    config: Path | None
    cluster: Path | None
    host: str = "127.0.0.1"
    port: int | None = None
    tcp_port: int | None = None
    token_file: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    json: bool = False
    open: bool = False
    worker: bool = True


def serve(command: ServeCommand) -> None:
    """Run the router and its dispatcher until SIGINT or SIGTERM.

    Raises:
        SwarmcError: a configuration is wrong, the port is taken, the store is in use.
    """
    config = load_config(command.config)
    cluster = (
        load_cluster_config(command.cluster)
        if command.cluster is not None
        else ClusterConfig(provider="local")
    )
    token = read_token(command.token_file)
    listen = Listen(
        command.host, _port(command, config, cluster), command.tcp_port, command.tls_certificate,
        command.tls_key,
    )  # fmt: skip
    listen.check(token)
    if not config.path(config.dispatcher.state_db_path).exists():
        listen.try_out()  # else a router that never ran would leave a database behind
    os.umask(0o077)  # the state has the tokens of workers in it
    modules = ModuleFolder(module_path(config))
    with Dispatcher(
        config, local_worker=command.worker, executors=[ShardExecutor(modules.get)]
    ) as dispatcher:
        announce_soon(dispatcher.store)
        asyncio.run(_serve(command, dispatcher, cluster, listen, token))


def _port(command: ServeCommand, config: SwarmConfig, cluster: ClusterConfig) -> int:
    """As the command says, else the cluster's configuration, else the dispatcher's."""
    if command.port is not None:
        return command.port
    found = urlsplit(cluster.router).port if cluster.router is not None else None
    return config.dispatcher.websocket_port if found is None else found


async def _serve(
    command: ServeCommand, dispatcher: Dispatcher, cluster: ClusterConfig, listen: Listen,
    token: str | None,
) -> None:  # fmt: skip
    module = cluster.module_path
    coordinator = dispatcher.config.coordinator
    router = Router(dispatcher.store, cluster, RouterConfig(
        module=str(module.absolute()) if module is not None else None, token=token,
        command=_worker_command(listen), heartbeat_interval=coordinator.heartbeat_interval / 1000,
        heartbeat_timeout=coordinator.heartbeat_timeout / 1000,
    ), desks=desks_of(dispatcher))  # fmt: skip
    adopted = router.recover()
    server = RouterServer(router, listen, routes=web.routes())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)

    def ready() -> None:
        address = _url("wss" if listen.certificate else "ws", listen.host, server.port)
        router.address = cluster.router_for_nodes or address
        announce(dispatcher.store, RouterPlace(address, listen.certificate))
        page = web.page_url(listen.host, server.port, tls=listen.certificate is not None)
        _announce(command, address, router, server, adopted, page)
        if command.open:
            webbrowser.open(page)

    await server.run(ready)


def _worker_command(listen: Listen) -> tuple[str, ...]:
    trust = ("--certificate", str(listen.certificate.absolute())) if listen.certificate else ()
    return (sys.executable, "-m", "swarmc", "start-worker", *trust, "--router")


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(
    command: ServeCommand, address: str, router: Router, server: RouterServer, adopted: int,
    page: str,
) -> None:  # fmt: skip
    resumed = sum(len(desk.resumed) for desk in router.desks if isinstance(desk, Resuming))
    if command.json:
        typer.echo(json.dumps({
            "router": address, "page": page, "tcp_port": server.tcp_port,
            "adopted": adopted, "resumed": resumed,
        }))  # fmt: skip
        sys.stdout.flush()
        return
    typer.echo(f"router at {address}, page at {page}")
    if server.tcp_port is not None:
        typer.echo(f"lines over TCP at port {server.tcp_port}")
    if adopted:
        typer.echo(f"{adopted} swarms of before go on")
    if resumed:
        typer.echo(f"{resumed} workflows of before go on")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class WorkCommand:
    """The options of ``swarmc start-worker``."""

    config: Path | None = None
    name: str | None = None
    router: str | None = None
    token_file: Path | None = None
    certificate: Path | None = None
    domain: str | None = None
    patience: float = 60.0
    json: bool = False


def work(command: WorkCommand) -> None:
    """Run tasks, or a node of a swarm, until it is drained: by the router, SIGTERM or SIGINT.

    Raises:
        SwarmcError: no router answers, or it does not want this worker.
    """
    if "SWARMC_SWARM_ID" in os.environ:
        _work_as_node(command.config, command.name, command.router, command.certificate)
    else:
        _work_on_tasks(command)


def _work_on_tasks(command: WorkCommand) -> None:
    from .orchestration.cluster.worker import TaskWorker, TaskWorkerConfig

    settings = load_config(command.config)
    name = command.name or settings.worker.node_name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise ArgumentError(
            f"a worker cannot be called {name!r}", hint="letters, digits, dots, dashes, underscores"
        )
    token = read_token(command.token_file)
    url = command.router or settings.worker.dispatcher_url
    os.umask(0o077)
    worker = TaskWorker(TaskWorkerConfig(
        url, name, token, command.certificate,
        settings.path("swarm-keys"), command.domain, command.patience,
    ), settings, joined=lambda worker_id: _say_joined(command, name, worker_id))  # fmt: skip
    signal.signal(signal.SIGTERM, lambda number, frame: worker.drain())
    signal.signal(signal.SIGINT, lambda number, frame: worker.drain())
    if not worker.run():
        raise SwarmcError(f"no router answers at {url}")


def _say_joined(command: WorkCommand, name: str, worker_id: str) -> None:
    facts = {"worker": name, "worker_id": worker_id, "pid": os.getpid()}
    typer.echo(json.dumps(facts) if command.json else f"worker {name} runs tasks as {worker_id}")
    sys.stdout.flush()


def _work_as_node(
    config: Path | None, name: str | None, router: str | None, certificate: Path | None
) -> None:
    try:
        node = NodeConfig.from_environment(
            router or load_config(config).worker.dispatcher_url, certificate
        )
    except KeyError as error:
        raise ArgumentError(
            f"{error.args[0]} is not set, but SWARMC_SWARM_ID is: nodes of swarms are started by"
            " `swarmc launch`"
        ) from None
    worker = NodeWorker(node, name)

    def drain(number: int, frame: object) -> None:
        # In a thread of its own: this one may be where draining would wait for it.
        threading.Thread(target=worker.drain, name="swarmc-drain").start()

    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGINT, drain)
    try:
        if not worker.run():
            raise SwarmcError(f"no router answers at {node.url}")
    except CommandRejectedError as error:
        typer.echo(f"swarmc: error: {error}", err=True)
        raise typer.Exit(NO_USE) from None
