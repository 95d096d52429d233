"""The commands of workflows: ``swarmc deploy``, ``status`` and ``config``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_router_options import Certificate, RunningRouter, TokenFile

DEFAULT_CONFIG = "./swarm-config.toml"


class ManifestLanguage(StrEnum):
    """Languages of manifests."""

    YAML = "yaml"
    TOML = "toml"


class TaskStateName(StrEnum):
    """States of tasks."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


Manifest = Annotated[
    Path | None,
    typer.Argument(help="Manifest of a workflow, YAML or TOML; - is standard input."),
]
Config = Annotated[
    Path | None,
    typer.Argument(help=f"Configuration; default: {DEFAULT_CONFIG}, if it is there."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the manifest and print the plan; run nothing.")
]
Live = Annotated[
    bool | None,
    typer.Option("--live/--no-live", help="Show the symbols while they run; default: on a"
                 " terminal."),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on with runs that have not ended; no manifest is given, and"
                 " the first argument is the configuration."),
]  # fmt: skip
Format = Annotated[
    ManifestLanguage | None,
    typer.Option("--format", help="Language of the manifest; default: by its name or content."),
]
Tasks = Annotated[
    bool, typer.Option("--tasks", help="List tasks, those accepted last first, in place of counts.")
]
States = Annotated[
    list[TaskStateName] | None,
    typer.Option("--state", help="List tasks in this state; may be given several times."),
]
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=1000, help="How many tasks are listed at most.")
]
Output = Annotated[Path, typer.Argument(help="File to write; - is standard output.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite the file.")]


def add_commands(app: typer.Typer, command: Callable[[Callable[..., Any]], Any]) -> None:
    """Give a command line these commands.

    Args:
        command: makes exit codes and error messages of what a command returns or raises.
    """

    @app.command()
    @command
    def deploy(
        manifest: Manifest = None,
        config: Config = None,
        dry_run: DryRun = False,
        live: Live = None,
        json: Json = False,
        resume: Resume = False,
        format: Format = None,
        router: RunningRouter = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
    ) -> int:
        """Run a workflow, and roll it back if a symbol fails.

        It runs in the router that is named, or that has the state database in use; else in this
        process. A manifest is code: it says what the back ends are to do. Ctrl-C stops the workflow
        and rolls it back; a second Ctrl-C leaves it as it is, for --resume. Exits with 1 unless
        every symbol completed.
        """
        from .cli_deploy import DeployCommand, deploy_workflow
        from .cli_routed import RouterWanted

        return deploy_workflow(DeployCommand(
            manifest, config, dry_run, live, json, resume, format and format.value,
            RouterWanted(router, token_file, certificate),
        ))  # fmt: skip

    @app.command()
    @command
    def status(
        config: Config = None,
        tasks: Tasks = False,
        state: States = None,
        limit: Limit = 100,
        json: Json = False,
        router: RunningRouter = None,
        token_file: TokenFile = None,
        certificate: Certificate = None,
    ) -> None:
        """Show the state of the swarm: workers, tasks, workflows, and the state database.

        The router that runs says it; without one, the state database does. With --tasks or --state
        the tasks themselves are listed, those of workflows included.
        """
        from .cli_routed import RouterWanted
        from .cli_swarm import show_status, show_tasks

        wanted = RouterWanted(router, token_file, certificate)
        if tasks or state:
            states = [one.value for one in state or ()]
            show_tasks(config, wanted, states, limit, as_json=json)
        else:
            show_status(config, wanted, as_json=json)

    @app.command("config")
    @command
    def config_(
        output: Output = Path(DEFAULT_CONFIG), force: Force = False, json: Json = False
    ) -> None:
        """Write a configuration with all settings, their defaults, and what they mean."""
        from .cli_swarm import write_config

        write_config(output, force=force, as_json=json)
