"""The router's commands: ``web launch inject list terminate workers`` and ``start-…``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_router_options import MAX_AGENTS, MAX_NODES, Certificate, Router, TokenFile
from .cli_workflows import DEFAULT_CONFIG

Cluster = Annotated[
    Path | None,
    typer.Option("--config", help="Cluster configuration, JSON or TOML: router, provider, default"
                 " module."),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Swarm = Annotated[str, typer.Argument(metavar="SWARM", help="Its id, as launch and list print it.")]
Config = Annotated[
    Path | None,
    typer.Argument(help=f"Configuration; default: {DEFAULT_CONFIG}, if it is there."),
]
Host = Annotated[str, typer.Option(help="Address to listen on; others than this machine's own"
                                   " need a token and TLS.")]  # fmt: skip
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="0: any free one. [default: 8080]")
]
TcpPort = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Take lines over TCP here as well.")
]
TlsCertificate = Annotated[Path | None, typer.Option("--tls-certificate", help="For TLS; PEM.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="For TLS; PEM.")]


def add_commands(app: typer.Typer, command: Callable[[Callable[..., Any]], Any]) -> None:
    """Give a command line these commands.

    Args:
        command: makes exit codes and error messages of what a command returns or raises.
    """
    _add_servers(app, command)
    _add_clients(app, command)


def _add_servers(app: typer.Typer, command: Callable[[Callable[..., Any]], Any]) -> None:
    @app.command("start-dispatcher")
    @command
    def start_dispatcher(
        config: Config = None,
        cluster: Annotated[
            Path | None, typer.Option(help="Cluster configuration: provider, default module.")
        ] = None,
        host: Host = "127.0.0.1",
        port: Port = None,
        tcp_port: TcpPort = None,
        token_file: TokenFile = None,
        tls_certificate: TlsCertificate = None,
        tls_key: TlsKey = None,
        worker: Annotated[
            bool, typer.Option("--worker/--no-worker", help="Run tasks in this process, too.")
        ] = True,
        json: Json = False,
    ) -> None:
        """Run the router of swarms, tasks and workflows until it is told to stop.

        Swarms outlive it, and accepted tasks wait for it until it is started again.
        """
        from .cli_router_server import ServeCommand, serve

        serve(ServeCommand(
            config, cluster, host, port, tcp_port, token_file, tls_certificate, tls_key, json,
            worker=worker,
        ))  # fmt: skip

    @app.command()
    @command
    def web(
        config: Cluster = None,
        host: Host = "127.0.0.1",
        port: Port = None,
        token_file: TokenFile = None,
        tls_certificate: TlsCertificate = None,
        tls_key: TlsKey = None,
        open: Annotated[
            bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
        ] = True,
        json: Json = False,
    ) -> None:
        """Run the router as start-dispatcher does, and open its page in a browser."""
        from .cli_router_server import ServeCommand, serve

        serve(ServeCommand(
            None, config, host, port, None, token_file, tls_certificate, tls_key, json, open
        ))  # fmt: skip

    @app.command("start-worker")
    @command
    def start_worker(
        config: Config = None,
        name: Annotated[str | None, typer.Argument(help="Of the worker, for people.")] = None,
        router: Annotated[
            str | None,
            typer.Option("--router", envvar="SWARMC_ROUTER", help="Where the dispatcher is;"
                         " default: as the configuration says."),
        ] = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        domain: Annotated[
            str | None, typer.Option(help="What fails together with it; default: its host.")
        ] = None,
        patience: Annotated[
            float, typer.Option(min=0, help="Seconds without a dispatcher, after which it ends.")
        ] = 60.0,
        json: Json = False,
    ) -> None:
        """Run tasks for a dispatcher until it is told to stop: then what runs ends first.

        Its executors and how many tasks it runs at once are in the configuration. Providers start
        nodes of swarms by the same command, in an environment that says so.
        """
        from .cli_router_server import WorkCommand, work

        work(WorkCommand(config, name, router, token_file, certificate, domain, patience, json))

    @app.command()
    @command
    def workers(
        config: Cluster = None,
        router: Router = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        json: Json = False,
    ) -> None:
        """List workers of tasks."""
        from .cli_router_client import RouterOptions
        from .cli_workers import list_workers

        list_workers(RouterOptions.of(router, config, token_file, certificate, json))


def _add_clients(app: typer.Typer, command: Callable[[Callable[..., Any]], Any]) -> None:
    @app.command()
    @command
    def launch(
        module: Annotated[
            Path | None, typer.Argument(help="A WASI command; default: the configured one.")
        ] = None,
        nodes: Annotated[int, typer.Option(min=1, max=MAX_NODES, help="How many.")] = 1,
        prompt: Annotated[
            str, typer.Option(help="What agents find in SWARM_PROMPT, in every turn.")
        ] = "",
        agents: Annotated[
            int, typer.Option(min=1, max=MAX_AGENTS, help="On each node.")
        ] = 1,
        fuel: Annotated[
            int | None,
            typer.Option(min=1, max=2**63 - 1, help="Instructions an agent may execute in a turn."),
        ] = None,
        name: Annotated[str, typer.Option(help="For people.")] = "",
        trace: Annotated[
            bool, typer.Option("--trace/--no-trace", help="Tell of agents' host calls in events.")
        ] = True,
        config: Cluster = None,
        router: Router = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        json: Json = False,
    ) -> None:
        """Launch a swarm: nodes that each run agents of one module, until it is terminated."""
        from .cli_router_client import LaunchCommand, RouterOptions, launch_swarm

        launch_swarm(
            RouterOptions.of(router, config, token_file, certificate, json),
            LaunchCommand(module, nodes, prompt, agents, fuel, name, config, trace),
        )

    @app.command()
    @command
    def inject(
        swarm: Swarm,
        prompt: Annotated[str | None, typer.Option(help="Text for the agents' stdin.")] = None,
        stdin: Annotated[
            Path | None, typer.Option(help="File with bytes for their stdin; - is ours.")
        ] = None,
        nodes: Annotated[
            str | None, typer.Option(help="Which nodes, such as 0,2; default: all.")
        ] = None,
        wait: Annotated[
            bool, typer.Option("--wait/--no-wait", help="Show what happens, until it has ended.")
        ] = True,
        commands: Annotated[
            bool, typer.Option("--commands", help="Show agents' host calls as well.")
        ] = False,
        config: Cluster = None,
        router: Router = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        json: Json = False,
    ) -> int:
        """Give bytes to a swarm's agents, and show what they do with them.

        Each node runs one turn. Exits with 1 if one failed.
        """
        from .cli_router_client import InjectCommand, RouterOptions, inject_swarm

        options = RouterOptions.of(router, config, token_file, certificate, json)
        return inject_swarm(options, InjectCommand(swarm, prompt, stdin, nodes, wait, commands))

    @app.command("list")
    @command
    def list_(
        config: Cluster = None,
        router: Router = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        json: Json = False,
    ) -> None:
        """List swarms and their nodes."""
        from .cli_router_client import RouterOptions, list_swarms

        list_swarms(RouterOptions.of(router, config, token_file, certificate, json))

    @app.command()
    @command
    def terminate(
        swarm: Swarm,
        reason: Annotated[str, typer.Option(help="For those who look at it later.")] = "",
        config: Cluster = None,
        router: Router = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
        json: Json = False,
    ) -> None:
        """End a swarm and its nodes. Terminated swarms are listed for a while."""
        from .cli_router_client import RouterOptions, terminate_swarm

        options = RouterOptions.of(router, config, token_file, certificate, json)
        terminate_swarm(options, swarm, reason)
