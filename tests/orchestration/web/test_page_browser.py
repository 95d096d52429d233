"""The page, in a browser, with a router: swarms, and what one can do with them."""

from __future__ import annotations

import re
from pathlib import Path

from swarmc.runtime.orchestration.router.protocol import OfSwarm

from .conftest import Tabs
from .paging import EchoProvider, WebRouter, counts, hold, see, shows
from .swarming import HELLO, inject, launch, launch_by_form, provider_of


def test_the_whole_way_with_agents(tmp_path: Path, tabs: Tabs) -> None:
    with WebRouter(tmp_path, heartbeat_timeout=600.0) as running:
        page = tabs(running.page_url)
        shows(page, "#link-text", "live")
        launch_by_form(page, name="greeters", nodes="2", agents="3", module=HELLO, prompt="be kind")
        shows(page, "#swarm-title", "greeters")
        counts(page, ".tile[data-state=idle]", 2)
        shows(page, ".title .chip", "running")
        inject(page, "go")
        counts(page, ".turn [data-state=completed]", 2)
        assert page.locator(".piece.stdout pre").all_inner_texts() == ["hello, swarm"] * 6
        calls = page.locator(".piece.command pre").all_inner_texts()
        assert len(calls) >= 6
        assert all(re.fullmatch(r"\w+\([\d, ]*\) → (success|exit 0)", call) for call in calls)
        assert sum(call.startswith("fd_write(1, ") for call in calls) == 12  # text, end of line
        assert "host calls" in page.inner_text(".turn .used")
        assert page.locator(".turn .prompt").all_inner_texts() == ["go", "go"]
        assert "instr" in page.inner_text(".turn .used")
        assert page.locator(".chart").count() == 3
        assert page.locator(".chart").first.locator("rect").count() == 2
        page.click("#terminate")
        page.fill("#terminate-reason", "done")
        page.click("#terminate-dialog button[type=submit]")
        shows(page, ".title .chip", "terminated")
        shows(page, ".reason", "done")
        assert not page.is_visible("#prompt")
        page.reload()
        shows(page, ".title .chip", "terminated")
        assert page.locator(".piece.stdout pre").all_inner_texts() == ["hello, swarm"] * 6
        origin = re.compile(rf"(http|ws)://127\.0\.0\.1:{running.server.port}/")
        assert all(origin.match(url) for url in tabs.asked)


def test_streams_are_told_apart_and_nodes_can_be_chosen(running: WebRouter, tabs: Tabs) -> None:
    swarm = launch(running, nodes=3, name="echoes")
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    page.click(".tile[data-node='0']")
    page.click(".tile[data-node='2']")
    shows(page, "#targets", "To nodes 0, 2")
    inject(page, "some")
    counts(page, ".turn [data-state=completed]", 2)
    assert sorted(page.locator(".piece.stdout pre").all_inner_texts()) == ["0: some", "2: some"]
    assert page.locator(".piece.stderr pre").all_inner_texts() == ["4 characters"] * 2
    commands = page.locator(".piece.command pre").all_inner_texts()
    assert commands == ["read(0, 64) → 4", "sched_yield() → success"] * 2
    see(page, ".turn .used", "2,000 host calls")
    see(page, ".turn .untold", "1,998 host calls more, which the worker did not tell of")
    page.click(".tile[data-node='2']")
    shows(page, "#targets", "To node 0")
    counts(page, ".turn", 1)
    page.click("text=All nodes")
    inject(page, "all, and fail")
    counts(page, ".turn [data-state=failed]", 3)
    assert page.inner_text(".turn > .error") == "agent 0: unreachable"
    calls = page.locator(".turn").first.locator(".piece.command")
    assert calls.locator("pre").all_inner_texts() == [
        "read(0, 64) → 13", "sched_yield() → success", 'env.open("/nowhere") ✕ no such file',
        "exit() (did not return)",
    ]  # fmt: skip
    assert page.locator(".turn").first.locator(".piece.failed").count() == 1


def test_a_lost_worker_is_seen_and_so_is_the_next(running: WebRouter, tabs: Tabs) -> None:
    provider = provider_of(running)
    swarm = launch(running, nodes=2)
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, ".title .chip", "running")
    provider.nodes["job-1", 1].held = True
    inject(page, "again")
    see(page, ".tile[data-node='1'][data-state=busy]")
    provider.nodes["job-1", 1].client.close()
    see(page, ".tile[data-node='1'][data-state=lost]")
    shows(page, ".title .chip", "degraded")
    see(page, ".turn .chip", "interrupted")
    see(page, ".notes .bad", "node 1 lost: its connection was lost")
    provider.begin("job-1", 1)
    shows(page, ".title .chip", "running")
    counts(page, ".turn [data-state=completed]", 2)
    see(page, ".turn .used", "attempt 2")


def test_a_turn_that_is_told_anew_is_shown_once(running: WebRouter, tabs: Tabs) -> None:
    swarm = launch(running)
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, ".title .chip", "running")
    told = {"swarm_id": swarm, "node": 0, "turn_id": "turn-1"}
    started = {"type": "turn_started", **told, "data": {"attempt": 1}}
    delta = {"type": "assistant_delta", **told, "data": {"agent": 0, "text": "begun, "}}
    rest = {"type": "assistant_delta", **told, "data": {"agent": 0, "text": "ended"}}
    running.emit([started, delta])
    see(page, ".piece pre", "begun, ")
    done = {"type": "turn_complete", **told, "data": {"outcome": "completed", "error": None}}
    running.emit([started, delta, rest, done])
    counts(page, ".turn [data-state=completed]", 1)
    assert page.locator(".piece pre").all_inner_texts() == ["begun, ended"]


def test_a_rejected_launch_is_taken_back(tmp_path: Path, tabs: Tabs) -> None:
    with WebRouter(tmp_path, EchoProvider()) as running:
        page = tabs(running.page_url)
        shows(page, "#link-text", "live")
        hold(page, "swarm_launch")
        launch_by_form(page, name="nothing to run", nodes="2")
        shows(page, "#swarm-title", "nothing to run")
        see(page, ".unsure .meta", "2 nodes · waiting for the router")
        assert page.is_disabled("#inject")
        page.evaluate("window.held()")
        see(page, ".notice", "Launch was not done: no module was named, and none is configured")
        assert page.locator("#swarms li").count() == 0
        assert page.evaluate("location.hash") == "#/"
        page.click(".notice >> text=Edit")
        assert page.input_value("#launch-name") == "nothing to run"


def test_a_rejected_injection_is_taken_back(running: WebRouter, tabs: Tabs) -> None:
    swarm = launch(running, name="ending")
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, ".title .chip", "running")
    hold(page, "swarm_inject")
    inject(page, "too late")
    see(page, ".turn .chip", "sending")
    assert page.inner_text(".turn .where") == "All nodes"
    with running.client() as client:
        client.call("swarm_terminate", OfSwarm(swarm_id=swarm))
    shows(page, ".title .chip", "terminated")
    page.evaluate("window.held()")
    see(page, ".notice", f"Injection for ending was not done: swarm {swarm} is terminated")
    counts(page, ".turn", 0)
    see(page, ".notes .bad", "swarm_inject rejected")
