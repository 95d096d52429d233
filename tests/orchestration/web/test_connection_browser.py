"""The page and its connections: two browsers, routers that begin anew, what was missed, tokens."""

from __future__ import annotations

from pathlib import Path

from .conftest import Tabs
from .paging import EchoProvider, WebRouter, counts, hold, see, shows
from .swarming import inject, launch, launch_by_form, provider_of


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


def test_a_browser_that_keeps_nothing(running: WebRouter, tabs: Tabs) -> None:
    page = tabs("about:blank")
    for kind in ("sessionStorage", "localStorage"):
        page.add_init_script(f"""Object.defineProperty(window, "{kind}", {{
          get() {{ throw new DOMException("the user said no", "SecurityError"); }} }})""")
    page.goto(running.page_url)
    shows(page, "#link-text", "live")
    page.click("#theme")
    assert page.get_attribute("#theme", "aria-label") == "Colours: light. Change"
