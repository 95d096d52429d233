"""All parts of the page, on three widths, light and dark: nothing sticks out, all can be read.

And by the keyboard alone, where the focus goes when what had it is gone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.router.protocol_tasks import TaskInfo

from .conftest import Tabs
from .paging import WebDispatcher, WebRouter, counts, see, shows
from .swarming import HELLO, launch
from .working import RELEASE, WorkRouter

PARTS = ("", "workflows", "workflow/run-1", "tasks", "workers", "metrics")

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")


def furnish(router: WorkRouter) -> None:
    """Something of everything."""
    do, board = router.do, router.board
    do(board.deploy, RELEASE)
    for symbol, state in (("fetch", "completed"), ("compile", "running"), ("lint", "failed")):
        do(board.task, "run-1", symbol, state, agent="id-rack-1", attempts=1)
    host = "node-17.a-cluster-with-a-long-name.example.org"
    do(board.worker, "rack-1", host=host, executors=["wasm", "process", "internal"])
    for name in ("joining", "suspect", "draining", "lost", "excluded"):
        do(board.worker, name, state=name, reason="its heartbeat is " + "x" * 60)
    states: Any = ("running", "queued", "waiting", "failed", "completed", "cancelled")
    router.emit([
        {"type": "task_changed", "data": {"task": TaskInfo(
            task_id=f"task-{n}-{'6b026d0cd308b0464dd90000' * 3}", name=f"shard {n} of 6",
            state=state, executor="wasm", agent="id-rack-1", attempts=2, error="y" * 200)}}
        for n, state in enumerate(states)
    ])  # fmt: skip


def turn_to(page: Any, part: str) -> None:
    """Look at a part of the page, and wait until it is drawn."""
    section = {"": "swarms", "workflow/run-1": "workflows"}.get(part, part)
    page.evaluate("part => { location.hash = `#/${part}` }", part)
    see(page, f"#sections [data-to={section}][aria-current]")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_all_parts_can_be_read(tmp_path: Path, tabs: Tabs, width: int, colours: str) -> None:
    with WorkRouter(tmp_path) as router:
        page = tabs(router.page_url, width, 800, color_scheme=colours, reduced_motion="reduce")
        shows(page, "#link-text", "live")
        for part in PARTS:
            turn_to(page, part)
            assert page.evaluate(AUDIT) == [], f"{part}, empty"
        furnish(router)
        launch(router, nodes=2, name="echoes", module=HELLO)
        for part, there in zip(PARTS, (
            "#swarms .chip[data-state=running]", "#workflows .name", ".graph [data-state=failed]",
            ".lone tr:nth-child(6)", "[data-worker=excluded]", ".chart:not([hidden])",
        ), strict=True):  # fmt: skip
            turn_to(page, part)
            see(page, there)
            assert page.evaluate(AUDIT) == [], part
        page.evaluate("location.hash = document.querySelector('#swarms a').hash")
        see(page, ".tile[data-state=idle]")
        assert page.evaluate(AUDIT) == []


def test_who_has_nothing_is_told_what_to_type(tmp_path: Path, tabs: Tabs) -> None:
    with WebDispatcher(tmp_path) as host:
        router = f"--router ws://127.0.0.1:{host.server.port}"
        for width in (1280, 360):
            page = tabs(host.page_url, width)
            see(page, "main code", f"swarmc launch --nodes 4 module.wasm {router}")
            page.click("text=Workflows")
            see(page, "main code", f"swarmc deploy workflow.yaml {router}")
            page.click("text=Tasks")
            see(page, "main code", f"swarmc run module.wasm --agents 1000 {router}")
            page.click("text=Workers")
            see(page, "main code", f"swarmc start-worker {router}")


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.hash"))


def test_the_focus_is_not_lost(running: WebRouter, tabs: Tabs) -> None:
    swarm = launch(running, name="small")
    page = tabs(running.page_url, 360, 740)
    see(page, "#swarms .name", "small")
    page.focus("#swarms a")
    page.keyboard.press("Enter")
    shows(page, "#swarm-title", "small")
    assert focused(page) == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "back"
    page.keyboard.press("Enter")
    see(page, "#swarms .name")
    assert focused(page) == f"#/swarm/{swarm}"
    page.keyboard.press("Enter")
    page.focus("#terminate")
    page.keyboard.press("Enter")
    page.keyboard.type("enough")
    page.keyboard.press("Enter")
    shows(page, ".title .chip", "terminated")
    assert focused(page) == "main"


def test_tasks_by_the_keyboard(tmp_path: Path, tabs: Tabs) -> None:
    with WorkRouter(tmp_path) as router:
        furnish(router)
        page = tabs(f"{router.page_url}#/tasks")
        counts(page, ".lone tbody tr", 6)
        page.focus("#theme")
        names = []
        for _ in range(7):
            page.keyboard.press("Tab")
            at = "document.activeElement"
            names.append(page.evaluate(f"{at}.innerText || {at}.id"))
            assert page.evaluate(f"getComputedStyle({at}).outlineStyle") == "solid"
        assert [name.split()[-1] for name in names] == [
            "running", "queued", "waiting", "failed", "completed", "cancelled", "search-tasks",
        ]  # fmt: skip
        page.keyboard.type("shard 3")
        counts(page, ".lone tbody tr", 1)
