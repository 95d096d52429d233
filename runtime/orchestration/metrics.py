"""The parts' statistics for Prometheus, read when somebody asks: what counts pays nothing."""

from __future__ import annotations

import enum
import ipaddress
import logging
import operator
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from .errors import ClosedError, OrchestrationError
from .histogram import Distribution
from .metrics_table import KEYS, ROWS, Kind, Row

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

log = logging.getLogger(__name__)

PREFIX = "swarmc_"
_FAMILIES = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.STATE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


class MetricsError(OrchestrationError):
    """Metrics that cannot be had or shown so."""


class Metrics:
    """Statistics of parts, as metrics in a registry of their own.

    Args:
        parts: by their names in :data:`~.metrics_table.ROWS`: what gives their statistics, such
            as ``{"memory": manager.stats, "resources": ResourceMonitor().sample}``.
        labels: on every sample, such as ``{"swarm": "production"}``.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[[], Any]] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._labels = dict(labels or {})
        self._lock = threading.Lock()  # guards _parts and _servers
        self._parts: dict[str, Callable[[], Any]] = {}
        self._servers: list[MetricsServer] = []
        for part, source in (parts or {}).items():
            self.watch(part, source)
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def watch(self, part: str, source: Callable[[], Any]) -> None:
        """Export a part from now on, instead of what had its name before.

        Args:
            source: gives its statistics; None, or an OrchestrationError: there are none now.
        """
        if part not in ROWS:
            raise MetricsError(
                f"nothing is known of the metrics of {part!r}", hint=f"parts: {', '.join(ROWS)}"
            )
        with self._lock:
            self._parts[part] = source

    def text(self) -> str:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry).decode()

    def values(self) -> dict[str, float]:
        """Samples by name, and labels if there are some; of histograms, counts and sums."""
        return {
            _sample_name(sample.name, sample.labels): float(sample.value)
            for metric in self.registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_bucket")
        }

    def serve(self, port: int = 0, host: str = "127.0.0.1") -> MetricsServer:
        """Serve them by HTTP on this machine's loopback interface, at ``/metrics``.

        Args:
            port: 0: any that is free; :attr:`MetricsServer.port` says which.

        Raises:
            MetricsError: the port is taken, or the address is not this machine's own: there is
                neither encryption nor a password.
        """
        if not _is_loopback(host):
            raise MetricsError(
                f"metrics are not served on {host}: everybody who reaches it could read them",
                hint="serve them on 127.0.0.1, behind a proxy that asks who is there",
            )
        try:
            server, thread = start_http_server(port, host, self.registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise MetricsError(f"cannot serve metrics on {host}:{port}: {reason}") from error
        made = MetricsServer(server, thread, host)
        with self._lock:
            self._servers.append(made)
        return made

    def close(self) -> None:
        """End the servers; may be called more than once."""
        with self._lock:
            servers, self._servers = self._servers, []
        for server in servers:
            server.close()

    # What the registry calls

    def describe(self) -> Iterator[Metric]:
        """All metrics without values."""
        return (_family(row, []) for rows in ROWS.values() for row in rows)

    def collect(self) -> Iterator[Metric]:
        """All metrics of the parts that are there."""
        with self._lock:
            parts = list(self._parts.items())
        names, values = list(self._labels), list(self._labels.values())
        up = GaugeMetricFamily(
            PREFIX + "part_up", "Whether a part gave its statistics.", labels=[*names, "part"]
        )
        for part, source in parts:
            try:
                stats = source()
            except OrchestrationError as error:
                if not isinstance(error, ClosedError):
                    log.warning("there are no metrics of %s: %s", part, error)
                stats = None
            if stats is None:
                up.add_metric([*values, part], 0)
                continue
            up.add_metric([*values, part], 1)
            key = KEYS.get(part)
            each = {None: stats} if key is None else stats
            for row in ROWS[part]:
                family = _family(row, names if key is None else [*names, key])
                for name, one in each.items():
                    _add(row, family, values if name is None else [*values, _text(name)], one)
                yield family
        yield up


class MetricsServer:
    """A server that answers with metrics, until it is closed."""

    def __init__(self, server: WSGIServer, thread: threading.Thread, host: str) -> None:
        self.port = int(server.server_port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.port}/metrics"
        self._server, self._thread = server, thread
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Answer no more; may be called more than once."""
        if not self._closed:
            self._closed = True
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _family(row: Row, labels: list[str]) -> Any:
    if row.label is not None:
        labels = [*labels, row.label]
    return _FAMILIES[row.kind](PREFIX + row.name, row.help, labels=labels)


def _add(row: Row, family: Any, labels: list[str], stats: Any) -> None:
    value = operator.attrgetter(row.field)(stats)
    if row.kind is Kind.HISTOGRAM:
        family.add_metric(labels, *_buckets(value))
    elif row.kind is Kind.STATE:
        for state in type(value):
            family.add_metric([*labels, _text(state)], float(state is value))
    elif row.label is None:
        family.add_metric(labels, value)
    else:
        for key, found in value.items():
            number = found if row.item is None else getattr(found, row.item)
            family.add_metric([*labels, _text(key)], number)


def _buckets(times: Distribution) -> tuple[list[tuple[str, float]], float]:
    """Counts of what is not above each bound, as Prometheus wants them, and the sum."""
    seen, buckets = 0, []
    for bound, count in zip((*times.bounds, float("inf")), times.counts, strict=True):
        seen += count
        buckets.append((repr(bound) if bound != float("inf") else "+Inf", float(seen)))
    return buckets, times.total


def _sample_name(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{pairs}}}" if pairs else name


def _text(key: object) -> str:
    return str(key.value) if isinstance(key, enum.Enum) else str(key)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
