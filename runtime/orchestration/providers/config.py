"""A cluster's configuration, JSON or TOML: which provider runs swarms' nodes, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from ..documents.check import check
from ..documents.document import Document, DocumentError, Problem, read_text
from ..graph import suggestion
from .base import ClusterProvider, InvalidJobError, Job, JobSpec, Resources, Restarts
from .local import INHERITED, UNLIMITED, LocalProvider
from .slurm import SlurmProvider
from .slurm_options import SlurmOptions
from .tracker import JobTracker

PROVIDERS = ("local", "slurm")
#: Names that people may try, and where to read what these would take.
NOT_THERE = (
    "kubernetes", "k8s", "aws", "batch", "azure", "gcp", "cloud", "nomad", "pbs", "lsf", "ssh",
)  # fmt: skip

_DAY = 24 * 3600 * 1000
Milliseconds = Annotated[int, Field(strict=True, gt=0, le=30 * _DAY)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Url = Annotated[str, Field(pattern=r"^wss?://[^/\s]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResourcesSection(_Section):
    """``resources``: what each node is given; what is left out is the cluster's default.

    Args:
        time_limit: milliseconds.
    """

    cpus: Count | None = None
    gpus: Annotated[int, Field(strict=True, ge=0, le=1024)] | None = None
    memory_mib: Count | None = None
    time_limit: Annotated[int, Field(strict=True, gt=0, le=400 * _DAY)] | None = None


class TrackingSection(_Section):
    """``tracking``: when a job that is not found is given up.

    Args:
        ttl: milliseconds between the first and the last look that did not find it, at least.
        misses: looks in a row, at least.
    """

    ttl: Milliseconds = 900_000
    misses: Count = 3


class RestartsSection(_Section):
    """``restarts``: of workers that died, on their machine.

    Args:
        limit: in a row; 0: none.
        first: milliseconds before the first; each further one waits twice as long.
        longest: milliseconds, at most.
        steady: milliseconds that a worker must have run for the row to begin anew.
    """

    limit: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 5
    first: Milliseconds = 500
    longest: Milliseconds = 30_000
    steady: Milliseconds = 60_000

    def policy(self) -> Restarts:
        """As jobs have it."""
        first, longest, steady = self.first / 1000, self.longest / 1000, self.steady / 1000
        return Restarts(self.limit, first, longest, steady)


class LocalSection(_Section):
    """``local``

    Args:
        inherit: names of variables that workers get from this process.
    """

    inherit: list[Text] = list(INHERITED)


class SlurmSection(_Section):
    """``slurm``: as :class:`SlurmOptions`.

    Args:
        timeout: milliseconds that each command may take.
    """

    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    extra: list[Text] = []
    ssh_host: Text | None = None
    ssh_options: list[Text] = []
    ssh_program: Text = "ssh"
    timeout: Milliseconds = 5000
    python: Text | None = None
    inherit: list[Text] = list(SlurmOptions().inherit)

    @field_validator("partition", "account", "qos", "ssh_host", "extra")
    @classmethod
    def _possible(cls, value: Any, info: Any) -> Any:
        given: dict[str, Any] = {info.field_name: _tuple(value)}
        try:
            SlurmOptions(**given)
        except InvalidJobError as error:
            raise ValueError(str(error)) from None
        return value

    def options(self) -> SlurmOptions:
        """As the provider takes them."""
        fields = {name: _tuple(value) for name, value in self.model_dump().items()}
        fields["timeout"] = self.timeout / 1000
        return SlurmOptions(**fields)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class ClusterConfig(_Section):
    """The whole file.

    Args:
        provider: ``local`` or ``slurm``. The section of the other one is not looked into.
        router: where the router of these swarms is; commands find it, and ``swarmc web`` listens
            there.
        router_for_nodes: where nodes find it, if that is not where it listens: through a proxy, or
            by the name that other machines know it by.
        module: what swarms run if nothing else is named; relative to the file's folder.
        workspace: folder of the jobs' folders; relative to the file's folder, but on another
            machine absolute.
        environment: of every worker; no place for secrets.
        grace: milliseconds between SIGTERM and SIGKILL.
    """

    provider: Text
    router: Url | None = None
    router_for_nodes: Url | None = None
    module: Text | None = None
    workspace: Text = "runs"
    environment: dict[str, str] = {}
    resources: ResourcesSection = ResourcesSection()
    grace: Annotated[int, Field(strict=True, ge=0, le=_DAY)] = 10_000
    restarts: RestartsSection = RestartsSection()
    tracking: TrackingSection = TrackingSection()
    local: LocalSection = LocalSection()
    slurm: SlurmSection = SlurmSection()
    _folder: Path = PrivateAttr(default=Path("."))

    @field_validator("environment")
    @classmethod
    def _names(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            JobSpec("s", 1, ("worker",), value)
        except InvalidJobError as error:
            raise ValueError(str(error)) from None
        return value

    @property
    def module_path(self) -> Path | None:
        """The default module, with the file's folder before it."""
        return self._folder / self.module if self.module is not None else None

    def make_provider(self) -> ClusterProvider:
        """The provider that it names."""
        remote = self.provider == "slurm" and self.slurm.ssh_host is not None
        root = self.workspace if remote else str(self._folder / self.workspace)
        if self.provider == "slurm":
            return SlurmProvider(root, self.slurm.options())
        return LocalProvider(root, inherit=self.local.inherit)

    def job_spec(
        self, swarm_id: str, nodes: int, command: Sequence[str], *,
        environment: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None,
    ) -> JobSpec:  # fmt: skip
        """A job with what it says of all jobs."""
        fields = self.resources.model_dump()
        if self.resources.time_limit is not None:
            fields["time_limit"] = self.resources.time_limit / 1000
        return JobSpec(
            swarm_id, nodes, tuple(command), {**self.environment, **(environment or {})},
            dict(secrets or {}), Resources(**fields), self.grace / 1000, self.restarts.policy(),
        )  # fmt: skip

    def make_tracker(
        self, provider: ClusterProvider, job: Job, spec: JobSpec | None = None
    ) -> JobTracker:
        """A tracker that gives up when it says so."""
        ttl, misses = self.tracking.ttl / 1000, self.tracking.misses
        return JobTracker(provider, job, spec=spec, ttl=ttl, misses=misses)


def load_cluster_config(path: str | Path) -> ClusterConfig:
    """Read a configuration; its name ends in ``.json`` or ``.toml``.

    Raises:
        DocumentError: with all mistakes, as ``FILE:LINE:COLUMN: what``.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".toml":
        from ..documents.toml_reader import read_toml as read
    elif suffix == ".json":
        from ..documents.json_reader import read_json as read
    else:
        raise DocumentError(str(path), [Problem("must be named .json or .toml")])
    document = read(*read_text(path))
    document.raise_problems()
    config = check(ClusterConfig, document, also=_check_provider)
    config._folder = Path(path).parent
    return config


def provider_from_config(path: str | Path) -> ClusterProvider:
    """The provider that a configuration names.

    Raises:
        DocumentError: as of :func:`load_cluster_config`.
    """
    return load_cluster_config(path).make_provider()


def _check_provider(document: Document) -> None:
    data = document.data if isinstance(document.data, dict) else {}
    name = data.get("provider")
    if isinstance(name, str) and name and name not in PROVIDERS:
        if name.lower() in NOT_THERE:
            message = (
                f"there is no provider for {name!r} yet: there are {', '.join(PROVIDERS)};"
                " docs/orchestration/providers.md says what others would need"
            )
        else:
            message = f"there is no provider {name!r}{suggestion(name, PROVIDERS)}"
            if not message.endswith("?"):
                message += f": there are {', '.join(PROVIDERS)}"
        document.add(message, ("provider",))
    _check_local(document, data)
    _check_remote(document, data)


def _check_local(document: Document, data: dict[str, Any]) -> None:
    resources = data.get("resources")
    if data.get("provider") == "local" and isinstance(resources, dict):
        for name in UNLIMITED:
            if resources.get(name) is not None:
                message = f"the local provider cannot give or limit {name}"
                document.add(message, ("resources", name), key=True)


def _check_remote(document: Document, data: dict[str, Any]) -> None:
    """A folder on another machine is not relative to anything here."""
    slurm = data.get("slurm")
    if data.get("provider") != "slurm" or not isinstance(slurm, dict):
        return
    host, workspace = slurm.get("ssh_host"), data.get("workspace", "runs")
    if isinstance(host, str) and isinstance(workspace, str) and not workspace.startswith("/"):
        message = f"workspace {workspace!r} on {host} must be an absolute path"
        document.add(message, ("workspace",))
