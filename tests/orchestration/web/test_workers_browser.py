"""Workers of tasks, and figures over time, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.router.client import CommandRejectedError
from swarmc.runtime.orchestration.router.protocol import Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import MetricsWanted, TaskSpec, TaskSubmit

from ..router.routing import until
from ..router.task_workers import joining, listed, worker
from .conftest import Tabs
from .paging import EchoProvider, WebDispatcher, WebRouter, counts, hold, see, shows
from .working import WorkRouter

DONE = "swarmc_tasks_completed_total"
ECHO = TaskSpec(
    name="echo", executor="internal", payload=msgspec.Raw(b'{"parameters": {"operation": "echo"}}')
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WorkRouter]:
    with WorkRouter(tmp_path) as router:
        yield router


def test_workers_come_work_and_are_lost(running: WorkRouter, tabs: Tabs) -> None:
    page, do, board = tabs(f"{running.page_url}#/workers"), running.do, running.board
    see(page, ".workers .empty code", "swarmc start-worker")
    do(board.worker, "rack-10", targets=["cpu", "ptx"], domain="room 2")
    do(board.worker, "rack-9")
    counts(page, ".workers tbody tr", 2)
    rows = page.locator(".workers tbody tr")
    first = "rack-9\tready\there, process 4711\tcpu, wasm\t0 of 2"
    assert rows.nth(0).inner_text().startswith(first)
    assert "here, process 4711 (domain room 2)\tcpu, ptx, wasm" in rows.nth(1).inner_text()
    do(board.worker, "rack-9", state="busy", running=2, completed=7)
    see(page, "[data-worker=rack-9] td", "2 of 2")
    see(page, "[data-worker=rack-9] .chip[data-state=busy]", "busy")
    shows(page, ".workers .head .note", "1 busy · 1 ready")
    # Only what the page asks for tells how long ago each was heard of.
    board.workers["rack-10"]["heard_ms"] = 777
    see(page, "[data-worker=rack-10] td", "777 ms ago")
    # It need not ask to know of one that is lost.
    page.evaluate("window.WebSocket.prototype.send = () => {}")
    do(board.worker, "rack-9", state="lost", running=0, reason="its connection was lost")
    see(page, "[data-worker=rack-9] .chip[data-state=lost]")
    see(page, "[data-worker=rack-9] td", "its connection was lost")
    assert page.inner_text("[data-worker=rack-9] [data-head='Heard of']").endswith(" ago")
    page.reload()
    see(page, "[data-worker=rack-9][data-state=lost]")


def exclude(page: Any, name: str, reason: str = "") -> None:
    page.click(f"[data-worker={name}] button")
    page.fill("#exclude-reason", reason)
    page.click("#exclude-dialog button[type=submit]")


def test_a_worker_is_excluded(tmp_path: Path, tabs: Tabs) -> None:
    with (
        WebDispatcher(tmp_path, heartbeat_timeout=600.0) as host, worker(host) as liar,
        worker(host) as honest,
    ):  # fmt: skip
        liar.call("worker_join", joining(liar, "liar", host="n1", executors=["wasm"]))
        page, other = tabs(f"{host.page_url}#/workers"), tabs(f"{host.page_url}#/workers")
        see(other, "[data-worker=liar][data-state=joining]")
        hold(page, "worker_exclude")
        page.click("[data-worker=liar] button")
        page.click("#exclude-dialog >> text=Cancel")
        assert not page.evaluate("window.held")
        exclude(page, "liar", "it lied")
        see(page, "[data-worker=liar].unsure .chip[data-state=excluding]")
        assert page.is_disabled("[data-worker=liar] button")
        assert listed(host)["liar"].state == "joining"
        page.evaluate("window.held()")
        for one in (page, other):
            see(one, "[data-worker=liar]:not(.unsure) .chip[data-state=excluded]")
            see(one, "[data-worker=liar] td", "it lied")
            assert not one.is_visible("[data-worker=liar] button")
        until(lambda: liar.gone)
        with pytest.raises(CommandRejectedError, match="worker liar is excluded: it lied"):
            honest.call("worker_join", joining(honest, "liar"))


def test_an_exclusion_that_is_not_done_is_taken_back(running: WorkRouter, tabs: Tabs) -> None:
    page = tabs(f"{running.page_url}#/workers")
    running.do(running.board.worker, "rack-1")
    see(page, "[data-worker=rack-1] .chip[data-state=ready]")
    hold(page, "worker_exclude")
    exclude(page, "rack-1")
    see(page, "[data-worker=rack-1] .chip[data-state=excluding]")
    running.do(running.board.worker, "rack-1", state="busy", running=1)  # does not say that it was
    see(page, "[data-worker=rack-1] td", "1 of 2")
    see(page, "[data-worker=rack-1] .chip[data-state=excluding]")
    page.evaluate("window.held()")
    see(page, ".notice", "Exclusion of rack-1 was not done: nobody is excluded here")
    see(page, "[data-worker=rack-1]:not(.unsure) .chip[data-state=busy]")
    assert page.is_enabled("[data-worker=rack-1] button")
    exclude(page, "rack-1")
    see(page, "[data-worker=rack-1] .chip[data-state=excluding]")
    running.cut_clients()
    see(page, ".notice", "Exclusion of rack-1 was not done: the connection was lost before")
    see(page, "[data-worker=rack-1] .chip[data-state=busy]")


def test_figures_are_drawn_over_time(running: WorkRouter, tabs: Tabs) -> None:
    page = tabs(f"{running.page_url}#/metrics")
    see(page, ".chart [role=img][aria-label^='Tasks completed since']")
    chart = page.locator(".chart", has_text="Tasks queued")
    assert chart.locator("b").inner_text() == "3"
    running.board.values["swarmc_tasks_queued"] = 12.0
    see(page, ".chart", "most 12")
    page.wait_for_function(  # there are 40 more each time it asks
        "() => parseFloat(document.querySelector('.chart b').textContent) > 0"
    )
    assert page.locator(".figures .chart:visible").count() == 5
    path = chart.locator(".line").get_attribute("d")
    assert path.startswith("M0.0,")
    assert len(path.split("L")) >= 3
    page.click("text=The latest 20 as a table")
    assert page.locator(".metrics thead th").first.inner_text() == "Time"
    see(page, ".metrics tbody td", "12")
    page.click("text=All metrics, as Prometheus reads them")
    see(page, ".all pre", "# TYPE swarmc_tasks_queued gauge")
    assert page.get_attribute(".metrics .note a", "href") == "/metrics"


def test_a_router_of_swarms_alone_says_so(tmp_path: Path, tabs: Tabs) -> None:
    with WebRouter(tmp_path, EchoProvider()) as router:
        page = tabs(f"{router.page_url}#/workflows")
        shows(page, "#no-workflows", "This router does not run workflows.")
        assert not page.is_visible("#deploy")
        page.click("text=Workers")
        shows(page, ".workers .empty", "This router does not tell of workers of tasks.")
        page.click("text=Metrics")
        see(page, ".chart [aria-label^='Turns running since']")
        assert not page.is_visible(".metrics .note a")


def test_charts_do_not_begin_with_the_page(tmp_path: Path, tabs: Tabs) -> None:
    """A page that is opened later, and one that is loaded again, show what the first one does."""
    with WebDispatcher(tmp_path, heartbeat_timeout=600.0) as host, host.client() as client:
        page = tabs(f"{host.page_url}#/metrics")
        client.call("task_submit", TaskSubmit(tasks=[ECHO] * 30))
        until(lambda: client.call("metrics", Nothing()).values[DONE] == 30)

        def all_done() -> bool:
            history = client.call("metrics", MetricsWanted(since=0)).history
            return len(history.times) > 3 and history.values[DONE][-3:] == [30.0] * 3

        until(all_done)
        peak = see(page, ".chart [aria-label^='Tasks completed since']").get_attribute("aria-label")
        begun, _, rest = peak.partition(": latest ")
        assert begun.startswith("Tasks completed since ")
        most = rest.split("most ")[1]
        assert most != "0.0/s"
        other = tabs(f"{host.page_url}#/metrics")
        page.reload()
        for one in (page, other):
            see(one, f".chart [aria-label^='{begun}:'][aria-label$='most {most}']")
            see(one, ".chart [aria-label^='Turns ended since']")
        # Both have the same samples: all rows are the same but the latest, which may grow.
        table = "[...document.querySelectorAll('.metrics tbody tr')].map((row) => row.innerText)"
        for one in (page, other):
            one.click("text=The latest 20 as a table")
            see(one, ".metrics tbody td")
        mine, others = page.evaluate(table), other.evaluate(table)
        latest = min(mine[0], others[0]).partition("\t")[0]
        shown, shown_there = (
            [row for row in rows if row.partition("\t")[0] < latest] for rows in (mine, others)
        )
        assert len(shown) >= 3
        assert shown[:10] == shown_there[:10]
