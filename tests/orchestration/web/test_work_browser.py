"""Workflows in a browser: the graph of their tasks, live, and what one can do with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Tabs
from .paging import counts, deploy_by_form, hold, see, shows
from .working import RELEASE, WorkRouter


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WorkRouter]:
    with WorkRouter(tmp_path) as router:
        yield router


def task(symbol: str, state: str = "", run: str = "run-1") -> str:
    """Where a task is in the graph."""
    return f".graph [data-task='{run}/{symbol}']" + (f"[data-state={state}]" if state else "")


def opened(running: WorkRouter, tabs: Tabs, manifest: Any = RELEASE, **options: Any) -> Any:
    """A page that shows a workflow."""
    running.do(running.board.deploy, manifest)
    page = tabs(f"{running.page_url}#/workflow/run-1", **options)
    see(page, ".graph button")
    return page


def wide(count: int) -> dict[str, Any]:
    """A workflow of one task that many others wait for."""
    many = [{"name": f"t{n}", "type": "action", "dependencies": ["first"]} for n in range(count)]
    return {"name": "wide", "symbols": [{"name": "first", "type": "action"}, *many]}


def test_a_graph_lives(running: WorkRouter, tabs: Tabs) -> None:
    page, do, board = opened(running, tabs), running.do, running.board
    shows(page, "#workflow-title", "release")
    counts(page, ".graph .task", 5)
    assert page.locator(".lines path").count() == 6
    assert page.locator(".graph").get_attribute("aria-label").startswith(
        "Task graph: 5 tasks in 4 layers"
    )
    do(board.worker, "rack-1")
    do(board.task, "run-1", "fetch", "running", agent="id-rack-1", attempts=1)
    see(page, task("fetch", "running"), "running")
    see(page, task("fetch"), "rack-1")
    do(board.task, "run-1", "fetch", "completed", agent="id-rack-1", attempts=1)
    see(page, task("fetch", "completed"), "completed")
    assert page.locator(".lines path[data-done=true]").count() == 3
    do(board.task, "run-1", "lint", "failed", attempts=4, error="line 3: unused import")
    see(page, task("lint", "failed"), "attempt 4")
    do(board.change, "run-1", state="rolling_back")
    shows(page, ".title .chip", "rolling back")
    do(board.task, "run-1", "test", "cancelled")
    do(board.task, "run-1", "fetch", "running", undo=True, attempts=1)
    see(page, task("fetch", "rolling_back"), "rolling back")
    do(board.task, "run-1", "fetch", "failed", undo=True, attempts=3, error="it is gone")
    see(page, task("fetch", "rollback_failed"), "rollback failed")
    do(board.change, "run-1", state="failed", error="lint failed: line 3", duration_ms=1200.0)
    shows(page, ".head .error", "lint failed: line 3")
    assert not page.is_visible("#cancel")
    label = page.get_attribute(task("lint"), "aria-label")
    assert label == "lint, failed, attempt 4, line 3: unused import"
    seen = page.locator(".tasks tbody tr").all_inner_texts()
    assert "✕ failed\t\t4\t\tfetch\tline 3: unused import" in seen[2]
    assert "⚠ rollback failed\track-1\t1" in seen[0]
    page.reload()
    see(page, task("fetch", "rollback_failed"))
    assert page.locator(".tasks tbody tr").all_inner_texts()[2] == seen[2]


def test_a_task_can_be_chosen_and_states_filter_the_table(
    running: WorkRouter, tabs: Tabs
) -> None:
    page, do, board = opened(running, tabs), running.do, running.board
    do(board.task, "run-1", "lint", "failed", attempts=1, error="a\nlong story")
    see(page, task("lint", "failed"))
    page.click(task("lint"))
    shows(page, ".detail h3", "lint")
    shows(page, "[data-fact=Error] dd", "a\nlong story")
    shows(page, "[data-fact=Before] dd", "publish")
    aside = page.locator(".task.aside").all_inner_texts()
    assert [text.splitlines()[0] for text in aside] == ["compile", "test"]
    assert page.locator(".lines path.on").count() == 3
    page.click(".detail button")
    page.locator(".detail").wait_for(state="hidden")
    counts(page, ".task.aside", 0)
    page.click(".states [data-state=waiting]")
    counts(page, ".tasks tbody tr", 3)
    do(board.task, "run-1", "compile", "queued")
    counts(page, ".tasks tbody tr", 2)
    page.click(".states [data-state=waiting]")
    counts(page, ".tasks tbody tr", 5)


def test_deploying_is_shown_at_once(running: WorkRouter, tabs: Tabs) -> None:
    page = tabs(f"{running.page_url}#/workflows")
    see(page, "main code", "swarmc deploy workflow.yaml --router ")
    hold(page, "workflow_deploy")
    deploy_by_form(page, "name: release")
    see(page, "#deploy-dialog .wrong", "This is not JSON")
    page.fill("#deploy-manifest", json.dumps(RELEASE))
    page.click("#deploy-dialog button[type=submit]")
    shows(page, ".title .chip", "deploying")
    counts(page, ".graph .task", 5)
    see(page, ".unsure .meta", "waiting for the router")
    page.evaluate("window.held()")
    shows(page, ".title .chip", "running")
    assert page.evaluate("location.hash") == "#/workflow/run-1"
    counts(page, "#workflows li", 1)
    running.do(running.board.task, "run-1", "fetch", "completed")
    see(page, task("fetch", "completed"))


def test_a_deployment_whose_answer_is_lost_is_asked_for_again(
    running: WorkRouter, tabs: Tabs
) -> None:
    page = tabs(f"{running.page_url}#/workflows")
    shows(page, "#link-text", "live")
    hold(page, "workflow_deploy")
    deploy_by_form(page, json.dumps(RELEASE))
    shows(page, ".title .chip", "deploying")
    first = page.evaluate("window.held.data")
    page.evaluate("window.held = null")
    running.cut_clients()
    page.wait_for_function("() => window.held")
    again = page.evaluate("() => { window.held(); return window.held.data; }")
    ids = [json.loads(data)["params"]["workflow_id"] for data in (first, again)]
    assert ids[0] == ids[1]
    assert re.fullmatch("run-[0-9a-f]{32}", ids[0])
    shows(page, ".title .chip", "running")
    counts(page, "#workflows li", 1)
    deploy_by_form(page, json.dumps(RELEASE))
    page.wait_for_function("(data) => window.held.data !== data", arg=again)
    assert ids[0] not in page.evaluate("window.held.data")


def test_a_refused_manifest_is_given_back(
    running: WorkRouter, tabs: Tabs, tmp_path: Path
) -> None:
    page = tabs(f"{running.page_url}#/workflows")
    shows(page, "#link-text", "live")
    refused = json.dumps({"name": "refused", "symbols": [{"name": "first"}]})
    deploy_by_form(page, refused)
    see(page, ".notice", "Deployment of refused was not done: symbols: first: type is missing")
    assert page.evaluate("location.hash") == "#/workflows"
    counts(page, "#workflows li", 0)
    page.click(".notice >> text=Edit")
    assert page.input_value("#deploy-manifest") == refused
    file = tmp_path / "release.json"
    file.write_text(json.dumps(RELEASE))
    page.set_input_files("#deploy-file", file)
    page.wait_for_function(
        "() => document.getElementById('deploy-manifest').value.includes('publish')"
    )
    page.click("#deploy-dialog button[type=submit]")
    shows(page, "#workflow-title", "release")


def test_cancelling_is_shown_at_once(running: WorkRouter, tabs: Tabs) -> None:
    page = opened(running, tabs)
    hold(page, "workflow_cancel")
    page.click("#cancel")
    page.fill("#cancel-reason", "not today")
    page.click("#cancel-dialog button[type=submit]")
    shows(page, ".title .chip", "cancelling")
    assert page.is_disabled("#cancel")
    page.evaluate("window.held()")
    shows(page, ".title .chip", "rolling back")
    assert running.board.cancelled == [("run-1", "not today")]


def test_two_browsers_see_the_same_graph_and_healing_does_not_change_it(
    running: WorkRouter, tabs: Tabs
) -> None:
    one, other = opened(running, tabs), tabs(f"{running.page_url}#/workflow/run-1")
    see(other, task("fetch", "queued"))
    running.cut_clients()
    for symbol, state in (("fetch", "completed"), ("lint", "running"), ("compile", "failed")):
        running.do(running.board.task, "run-1", symbol, state, attempts=1)
    running.do(running.board.task, "run-1", "fetch", "completed", undo=True)
    graphs = []
    for page in (one, other):
        see(page, task("fetch", "rolled_back"))
        see(page, task("lint", "running"))
        see(page, task("compile", "failed"))
        shows(page, "#link-text", "live")
        graphs.append(page.inner_html(".graph"))
    assert graphs[0] == graphs[1]


def test_a_router_that_begins_anew_is_asked_again(running: WorkRouter, tabs: Tabs) -> None:
    page = opened(running, tabs)
    running.stop()
    shows(page, "#link-text", "connection lost, trying again")
    # What happened while it was away is in no event.
    board = running.board
    board.router.events.connections.clear()
    board.task("run-1", "fetch", "completed")
    running.start_again()
    shows(page, "#link-text", "live")
    see(page, task("fetch", "completed"))
    page.goto(f"{running.page_url}#/workflow/nobody")
    shows(page, "main > .empty", "This workflow is not known here.")


def test_what_came_later_wins_over_an_answer(running: WorkRouter, tabs: Tabs) -> None:
    page = tabs(running.page_url)
    states = page.evaluate(
        """async () => {
          const { Work } = await import("/ui/work.js");
          const work = new Work(() => {});
          const run = { workflow_id: "r", name: "r", version: "1", state: "running" };
          const about = { task_id: "r/a", name: "a", symbol: "a", workflow_id: "r" };
          const task = (state) => ({ ...about, state });
          const event = (seq, state) => work.event(
            { seq, at: seq, type: "task_changed", data: { task: task(state) } });
          const seen = () => work.workflows.get("r").tasks.get("r/a").state;
          const found = [];
          work.put(run, 1);
          work.workflows.get("r").asking = true;
          event(7, "running");                                     // before the answer is here
          work.status({ ...run, tasks: [task("queued")] }, 5);
          found.push(seen());
          event(6, "queued");
          found.push(seen());
          work.status({ ...run, tasks: [task("completed")] }, 7);
          found.push(seen());
          work.list([{ ...run, state: "completed" }], 0);          // asked before all of this
          found.push(work.workflows.get("r").data.state);
          return found;
        }"""
    )
    assert states == ["running", "running", "completed", "running"]


def test_the_keyboard_goes_from_task_to_task(running: WorkRouter, tabs: Tabs) -> None:
    page = opened(running, tabs)
    focused = "document.activeElement.dataset.task"

    def press(*keys: str) -> str:
        for key in keys:
            page.keyboard.press(key)
        return str(page.evaluate(focused)).removeprefix("run-1/")

    page.locator(task("fetch")).focus()
    assert press("ArrowRight") in ("compile", "lint")
    pair = {press("ArrowUp"), press("ArrowDown")}
    assert pair == {"compile", "lint"}
    assert press("ArrowRight", "ArrowRight", "ArrowRight") == "publish"
    assert press("Enter") == "publish"
    shows(page, ".detail h3", "publish")
    assert page.get_attribute(task("publish"), "aria-pressed") == "true"
    page.focus("#cancel")
    for _ in range(12):
        if press("Tab") == "publish":
            break
    assert press() == "publish", "Tab goes to the task that was left"
    assert page.locator(".graph button[tabindex='0']").count() == 1
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_phone(running: WorkRouter, tabs: Tabs, colours: str) -> None:
    manifest = {"name": "x" * 90, "symbols": [
        *RELEASE["symbols"], {"name": "y" * 200, "type": "action"},
    ]}  # fmt: skip
    page = opened(running, tabs, manifest, width=360, height=740, color_scheme=colours,
                  has_touch=True, is_mobile=True)  # fmt: skip
    states = {"fetch": "completed", "compile": "running", "lint": "failed", "test": "waiting",
              "publish": "cancelled", "y" * 200: "queued"}  # fmt: skip
    for symbol, state in states.items():
        running.do(running.board.task, "run-1", symbol, state, error="z" * 500)
    for symbol, state in states.items():
        see(page, task(symbol, state), state)
    top = [page.locator(task(name)).bounding_box()["y"] for name in ("fetch", "compile", "test")]
    assert top == sorted(top)
    assert top[0] < top[1] < top[2]
    page.click(task("lint"))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    low = page.evaluate(CONTRAST)
    assert not low, low
    for place in ("#/workers", "#/metrics", "#/workflows"):
        page.click(f"#sections [href='{place}']")
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.click("#deploy")
    box = page.locator("#deploy-dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


#: Words of states that are too faint on what is behind them.
CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (colour) => parse(colour).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const low = [];
  for (const task of document.querySelectorAll(".graph .task")) {
    const ground = light(getComputedStyle(task).backgroundColor);
    const words = light(getComputedStyle(task.querySelector(".how")).color);
    const ratio = (Math.max(ground, words) + 0.05) / (Math.min(ground, words) + 0.05);
    if (ratio < 4.5) low.push([task.dataset.state, ratio]);
  }
  return low;
}"""


def test_ten_thousand_events_of_tasks_stay_quick(running: WorkRouter, tabs: Tabs) -> None:
    page = opened(running, tabs, wide(100))
    before = page.evaluate("document.querySelectorAll('*').length")
    page.evaluate("window.frames_seen = 0; (function count() {"
                  " window.frames_seen += 1; requestAnimationFrame(count); })()")  # fmt: skip

    def storm() -> None:
        for n in range(10_000):
            state = ("queued", "running", "completed")[n // 100 % 3]
            running.board.task("run-1", f"t{n % 100}", state, attempts=1 + n // 300)
        running.board.task("run-1", "first", "completed")

    running.do(storm)
    see(page, task("first", "completed"))
    counts(page, ".graph [data-state=queued]", 100)
    assert page.inner_text(task("t7") + " .more") == "attempt 34"
    assert page.evaluate("document.querySelectorAll('*').length") <= before + 10
    assert page.evaluate("window.frames_seen") > 3
    running.do(running.board.task, "run-1", "t7", "failed", error="late")
    see(page, task("t7", "failed"))


def test_a_large_graph_is_cells(running: WorkRouter, tabs: Tabs) -> None:
    page = opened(running, tabs, wide(3000))
    counts(page, ".graph .cell", 2000)
    see(page, ".note", "1,001 tasks more not drawn")
    assert page.locator(".graph .layer").count() == 2
    running.do(running.board.task, "run-1", "t2999", "failed", error="one of many")
    running.do(running.board.task, "run-1", "t5", "completed")
    see(page, task("t5", "completed"), "✓")
    page.click(".states [data-state=failed]")
    counts(page, ".tasks tbody tr", 1)
    see(page, ".tasks td", "one of many")
    page.locator(task("first")).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.task") == "run-1/t1"


def test_names_and_errors_are_text(running: WorkRouter, tabs: Tabs) -> None:
    evil = "<img src=x onerror='window.hit=1'>\u202egnp"
    page = opened(running, tabs, {"name": evil, "symbols": [{"name": evil, "type": "action"}]})
    running.do(running.board.task, "run-1", evil, "failed", error=evil + "\x1b[31m")
    see(page, ".graph [data-state=failed]").click()
    see(page, "[data-fact=Error] dd", "<img src=x onerror='window.hit=1'>\ufffdgnp␛[31m")
    assert page.locator("main img").count() == 0
    assert "\u202e" not in page.inner_text("body")
    assert page.evaluate("window.hit") is None
