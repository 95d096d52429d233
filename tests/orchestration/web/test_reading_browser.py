"""How the page reads: much of it, on a phone, by the keyboard, in other colours; text is text."""

from __future__ import annotations

import pytest

from swarmc.runtime.orchestration.router.protocol import Inject

from .conftest import Tabs
from .paging import WebRouter, counts, see, shows
from .swarming import inject, launch


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
