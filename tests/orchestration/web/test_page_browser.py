"""The page, in a browser, with a router: what one can see, and what one can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm

from ..router.routing import until
from .conftest import Tabs
from .paging import EchoProvider, WebRouter, counts, hold, see, shows

ROOT = Path(__file__).parents[3]
HELLO = str(ROOT / "corpus" / "hello.wasm")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WebRouter]:
    with WebRouter(tmp_path, EchoProvider(), module=HELLO, heartbeat_timeout=600.0) as router:
        yield router


def provider_of(running: WebRouter) -> EchoProvider:
    assert isinstance(running.provider, EchoProvider)
    return running.provider


def launch(running: WebRouter, **what: Any) -> str:
    """A swarm that was launched by another client."""
    with running.client() as client:
        swarm = client.call("swarm_launch", Launch(**what))
        until(lambda: client.call("status", Nothing()).idle >= what.get("nodes", 1))
        return str(swarm.swarm_id)


def launch_by_form(page: Any, **fields: str) -> None:
    page.click("#launch")
    for name, value in fields.items():
        page.fill(f"#launch-{name}", value)
    page.click("#launch-dialog button[type=submit]")


def inject(page: Any, prompt: str) -> None:
    page.fill("#prompt", prompt)
    page.click("#inject")


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


def test_two_browsers_see_the_same(running: WebRouter, tabs: Tabs) -> None:
    one, other = tabs(running.page_url), tabs(running.page_url)
    shows(other, "#link-text", "live")
    shows(one, "#link-text", "live")
    launch_by_form(one, name="shared", nodes="2")
    see(other, "#swarms .name", "shared").click()
    shows(other, ".title .chip", "running")
    inject(other, "from the other")
    for page in (one, other):
        counts(page, ".turn [data-state=completed]", 2)
        see(page, ".piece.stdout pre", "0: from the other")
    other.click("#terminate")
    other.click("#terminate-dialog button[type=submit]")
    shows(one, ".title .chip", "terminated")


def test_a_restart_of_the_router_heals(running: WebRouter, tabs: Tabs) -> None:
    provider = provider_of(running)
    swarm = launch(running, name="kept")
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, "#link-text", "live")
    inject(page, "before")
    see(page, ".piece.stdout pre", "0: before")
    running.stop()
    shows(page, "#link-text", "connection lost, trying again")
    inject(page, "meanwhile")
    see(page, ".notice", "Injection for kept was not done: there is no connection to the router")
    assert page.input_value("#prompt") == "meanwhile"
    running.start_again()
    shows(page, "#link-text", "live")
    provider.begin("job-1", 0)
    shows(page, ".title .chip", "running")
    page.click("#inject")
    see(page, ".piece.stdout pre", "0: meanwhile")
    see(page, ".piece.stdout pre", "0: before")


def test_what_happened_while_the_connection_was_lost_is_made_up_for(
    running: WebRouter, tabs: Tabs
) -> None:
    swarm = launch(running, name="missed")
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, "#link-text", "live")
    hold(page, "swarm_terminate")
    page.click("#terminate")
    page.click("#terminate-dialog button[type=submit]")
    shows(page, ".title .chip", "terminating")
    running.cut_clients()
    running.emit([
        {"type": "assistant_delta", "swarm_id": swarm, "node": 0, "turn_id": "turn-missed",
         "data": {"agent": n, "text": f"line {n}"}}
        for n in range(20)
    ])  # fmt: skip
    see(page, ".notice", "Termination for missed was not done: the connection was lost before")
    shows(page, ".title .chip", "running")
    lines = page.locator(".piece pre").all_inner_texts()
    assert lines == [f"line {n}" for n in range(20)]


def test_output_is_text(running: WebRouter, tabs: Tabs) -> None:
    evil = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\x1b[31m\u202egnp'
    swarm = launch(running, name="<b>bold</b>\u202e", prompt="<i>told</i>")
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, "#swarm-title", "<b>bold</b>\ufffd")
    with running.client() as client:
        client.call("swarm_inject", Inject(swarm_id=swarm, prompt=evil))
    see(page, ".turn .chip", "completed")
    shown = page.inner_text(".piece.stdout pre")
    assert shown == f"0: {evil}".replace("\x1b", "␛").replace("\u202e", "\ufffd")
    assert page.locator("#main img, #main script, #main b:has-text('bold'), #main i").count() == 0
    assert page.evaluate("window.hit") is None
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<p>'")
    assert [error for error in tabs.wrong if "TrustedHTML" not in error] == []
    tabs.wrong.clear()


def test_ten_thousand_events_stay_bounded(running: WebRouter, tabs: Tabs) -> None:
    swarm = launch(running)
    page = tabs(f"{running.page_url}#/swarm/{swarm}")
    shows(page, ".title .chip", "running")
    before = page.evaluate("document.querySelectorAll('*').length")
    running.emit([
        {"type": "assistant_delta", "swarm_id": swarm, "node": 0, "turn_id": f"turn-{n // 500}",
         "data": {"agent": n % 64, "text": f"line {n}\n"}}
        for n in range(10_000)
    ])  # fmt: skip
    running.emit([
        {"type": "turn_complete", "swarm_id": swarm, "node": 0, "turn_id": f"turn-{n}",
         "data": {"outcome": "completed", "error": None}}
        for n in range(1000)
    ])  # fmt: skip
    shows(page, ".stream > .dropped", "940 older turns not shown")
    after = page.evaluate("document.querySelectorAll('*').length")
    assert page.locator(".turn").count() == 60
    assert after - before < 6000
    inject(page, "still quick")
    see(page, ".piece.stdout pre", "0: still quick")
    running.emit([
        {"type": "assistant_delta", "swarm_id": swarm, "node": 0, "turn_id": "turn-long",
         "data": {"agent": n % 64, "text": f"line {n}\n"}}
        for n in range(10_000)
    ])  # fmt: skip
    see(page, ".output .dropped", "9,000 earlier pieces of output dropped")
    assert page.locator(".piece").count() <= 1000
    see(page, ".piece pre", "line 9999")


def test_many_swarms_are_found_by_name(running: WebRouter, tabs: Tabs) -> None:
    page = tabs(running.page_url)
    shows(page, "#link-text", "live")
    running.emit([
        {"type": "swarm_launched", "swarm_id": f"swarm-{n}", "data": {"swarm": {
            "swarm_id": f"swarm-{n}", "job_id": None, "node_count": 1, "status": "launching",
            "nodes": [{"node": 0, "state": "pending"}], "name": f"number {n}", "created": n}}}
        for n in range(1000)
    ])  # fmt: skip
    shows(page, "#more-swarms", "800 swarms more: find them by name or status")
    counts(page, "#swarms li", 200)
    assert page.locator("#swarms .name").first.inner_text() == "number 999"
    page.fill("#search", "number 41")
    counts(page, "#swarms li", 11)
    page.fill("#search", "nobody")
    shows(page, "#no-swarms", "No swarm matches.")


def test_a_phone(running: WebRouter, tabs: Tabs) -> None:
    long = "x" * 300
    swarm = launch(running, nodes=3, name="a-name-that-is-quite-long-for-a-phone" * 2)
    page = tabs(running.page_url, 360, 740, has_touch=True, is_mobile=True)
    wide = "document.documentElement.scrollWidth"
    see(page, "#swarms .name", "a-name").click()
    shows(page, ".title .chip", "running")
    inject(page, long)
    counts(page, ".turn [data-state=completed]", 3)
    assert page.evaluate(wide) == 360
    assert not page.is_visible("#swarms")
    page.click(".back")
    assert page.is_visible("#swarms")
    assert page.evaluate(wide) == 360
    page.click("#launch")
    assert page.evaluate(wide) == 360
    box = page.locator("#launch-dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert swarm in page.inner_html("#swarms")


def test_the_keyboard_is_enough(running: WebRouter, tabs: Tabs) -> None:
    page = tabs(running.page_url)
    shows(page, "#link-text", "live")

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.tagName"))

    def tab_to(wanted: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if focused() == wanted:
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid"
                return
        raise AssertionError(f"{wanted} is not reached")

    tab_to("skip")
    tab_to("launch")
    page.keyboard.press("Enter")
    assert focused() == "launch-name"
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = page.evaluate(
            "document.activeElement === document.body ||"
            "document.getElementById('launch-dialog').contains(document.activeElement)"
        )
        assert inside
    page.keyboard.press("Escape")
    assert focused() == "launch"
    page.keyboard.press("Enter")
    page.keyboard.type("by hand")
    tab_to("launch-nodes")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    shows(page, "#swarm-title", "by hand")
    shows(page, ".title .chip", "running")
    tab_to("prompt")
    page.keyboard.type("typed")
    tab_to("inject")
    page.keyboard.press("Enter")
    see(page, ".piece.stdout pre", "1: typed")
    assert focused() == "prompt"


def test_a_token_is_asked_for_and_kept_in_the_tab_only(tmp_path: Path, tabs: Tabs) -> None:
    with WebRouter(tmp_path, EchoProvider(), token="sesame") as running:
        page = tabs(running.page_url)
        see(page, "#token-dialog")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        see(page, "#token-dialog .error", "needs a token, and not this one")
        page.fill("#token", "sesame")
        page.keyboard.press("Enter")
        shows(page, "#link-text", "live")
        kept = "[JSON.stringify(sessionStorage), JSON.stringify(localStorage), document.cookie]"
        assert page.evaluate(kept) == ['{"swarmc.token":"sesame"}', "{}", ""]
        page.reload()
        shows(page, "#link-text", "live")
        assert not page.is_visible("#token-dialog")


def test_colours_follow_the_system_until_chosen(running: WebRouter, tabs: Tabs) -> None:
    page = tabs(running.page_url, color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Colours: light. Change"
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert page.evaluate(ground) == dark
    page.click("#theme")
    assert page.evaluate("localStorage.length") == 0


def test_a_browser_that_keeps_nothing(running: WebRouter, tabs: Tabs) -> None:
    page = tabs("about:blank")
    for kind in ("sessionStorage", "localStorage"):
        page.add_init_script(f"""Object.defineProperty(window, "{kind}", {{
          get() {{ throw new DOMException("the user said no", "SecurityError"); }} }})""")
    page.goto(running.page_url)
    shows(page, "#link-text", "live")
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Colours: light. Change"
