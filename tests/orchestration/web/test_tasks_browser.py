"""Tasks that clients submit on their own, in a browser: live, by state, and many of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.router import book
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol_tasks import (
    TaskCancel,
    TaskInfo,
    TaskSpec,
    TaskState,
    TaskStatus,
    TaskSubmit,
)

from ..router.routing import Holding
from .conftest import Tabs
from .paging import (
    WebDispatcher,
    WebRouter,
    counts,
    deploy_by_form,
    hold,
    rename,
    see,
    shows,
)
from .working import RELEASE, WorkRouter

MANY = 10_000


@pytest.fixture
def board(tmp_path: Path) -> Iterator[WorkRouter]:
    with WorkRouter(tmp_path) as router:
        yield router


def submit(client: RouterClient, *names: str, operation: str = "echo", **more: Any) -> list[str]:
    payload = msgspec.Raw(b'{"parameters": {"operation": "%s"}}' % operation.encode())
    tasks = [TaskSpec(name=name, executor="internal", payload=payload, **more) for name in names]
    found: list[str] = client.call("task_submit", TaskSubmit(tasks=tasks)).task_ids
    return found


def events(state: TaskState, numbers: range, **more: Any) -> list[dict[str, Any]]:
    """Events of tasks, as a router tells them."""
    return [
        {"type": "task_changed", "data": {"task": TaskInfo(
            task_id=f"t-{n}", name=f"shard {n}", state=state, executor="wasm", **more)}}
        for n in numbers
    ]  # fmt: skip


def row(task: str, state: str = "") -> str:
    return f"[data-task='{task}']" + (f"[data-state={state}]" if state else "")


def test_submitted_tasks_are_shown_live(host: WebDispatcher, holding: Holding, tabs: Tabs) -> None:
    page = tabs(f"{host.page_url}#/tasks")
    see(page, ".lone .empty code", "swarmc run module.wasm --agents 1000 --router ws://127.0.0.1:")
    with host.client() as client:
        [held] = submit(client, "held", operation="hold")
        see(page, row(held, "running"), "worker-node-1")
        see(page, f"{row(held)} [data-head=Time]", " so far")
        [last] = submit(client, "last", dependencies=[held])
        see(page, row(last, "waiting"), "waiting")
        [wrong] = submit(client, "wrong", operation="nothing of this name", retries=0)
        see(page, row(wrong, "failed"), "nothing of this name")
        [dropped] = submit(client, "dropped", dependencies=[held])
        client.call("task_cancel", TaskCancel(task_ids=[dropped], reason="not needed"))
        see(page, row(dropped, "cancelled"), "not needed")
    assert page.locator(".lone tbody th > span:first-child").all_inner_texts() == [
        "held", "dropped", "wrong", "last",
    ]  # fmt: skip
    see(page, ".states button[data-state=failed]", "1").click()
    counts(page, ".lone tbody tr", 1)
    see(page, row(wrong))
    page.click(".states button[data-state=failed]")
    counts(page, ".lone tbody tr", 4)
    holding.go.set()
    see(page, row(held, "completed"))
    see(page, row(last, "completed"))
    took = page.inner_text(f"{row(held)} [data-head=Time]")
    assert "so far" not in took
    page.reload()
    see(page, row(held, "completed"))
    assert page.inner_text(f"{row(held)} [data-head=Time]") == took
    see(page, row(dropped, "cancelled"), "not needed")
    see(page, ".lone .head .note", "2 completed")


def test_tasks_of_workflows_are_not_among_them(host: WebDispatcher, tabs: Tabs) -> None:
    page, tasks = tabs(f"{host.page_url}#/workflows"), tabs(f"{host.page_url}#/tasks")
    shows(page, "#link-text", "live")
    see(tasks, ".lone .empty code")
    manifest = {**RELEASE, "symbols": [{"name": "only", "type": "action",
                                        "parameters": {"operation": "echo"}}]}  # fmt: skip
    deploy_by_form(page, msgspec.json.encode(manifest).decode())
    shows(page, ".title .chip", "completed")
    with host.client() as client:
        [mine] = submit(client, "mine")
    see(tasks, row(mine, "completed"))
    counts(tasks, ".lone tbody tr", 1)


def test_ten_thousand_tasks_stay_quick(board: WorkRouter, tabs: Tabs) -> None:
    page = tabs(f"{board.page_url}#/tasks")
    see(page, ".lone .empty code")
    before = page.evaluate("document.querySelectorAll('*').length")
    began = time.monotonic()
    board.emit(events("queued", range(MANY)))
    board.emit(events("running", range(MANY), agent="id-rack-1", attempts=1))
    board.emit(events("completed", range(MANY - 1), agent="id-rack-1", attempts=1))
    see(page, row(f"t-{MANY - 2}", "completed"))
    assert time.monotonic() - began < 60  # it takes about two seconds
    counts(page, ".lone tbody tr", 100)
    assert page.evaluate("document.querySelectorAll('*').length") - before < 1500
    see(page, "#more-tasks", "Show 100 more").click()
    counts(page, ".lone tbody tr", 200)
    told = page.inner_text(".lone > .bar .note")
    more, left = (int(part.split()[0].replace(",", "")) for part in told.split(" · "))
    assert "tasks more" in told
    assert "older tasks left out" in told
    assert 200 + more + left == MANY
    assert 2000 <= 200 + more <= 2200
    page.click(".states button[data-state=running]")
    counts(page, ".lone tbody tr", 1)
    see(page, row(f"t-{MANY - 1}", "running"))
    page.click(".states button[data-state=running]")
    page.fill("#search-tasks", f"SHARD {MANY - 7}")
    counts(page, ".lone tbody tr", 1)
    page.fill("#search-tasks", "nobody")
    shows(page, ".lone .empty", "No task matches.")
    board.do(board.board.worker, "rack-1")
    page.fill("#search-tasks", "rack-1")
    see(page, f"{row(f't-{MANY - 1}')} [data-head=Worker]", "rack-1")


def test_old_tasks_are_there_after_a_reload(host: WebDispatcher, tabs: Tabs) -> None:
    with host.client() as client:
        [held] = submit(client, "held", operation="hold")
        [last] = submit(client, "last", dependencies=[held])
        [early] = submit(client, "early")
        client.call("task_status", TaskStatus(task_ids=[early], wait_ms=10_000))
        page = tabs(f"{host.page_url}#/tasks")
        see(page, row(held, "running"))
        host.emit(events("queued", range(5_100), workflow_id="run-1"))
        page.reload()
        see(page, row(early, "completed"))
        see(page, row(held, "running"), "worker-node-1")
        see(page, row(last, "waiting"))
        names = page.locator(".lone tbody th > span:first-child").all_inner_texts()
        assert names == ["held", "last", "early"]
        # What happens to them from now on is told by events.
        client.call("task_cancel", TaskCancel(task_ids=[held], reason="long enough"))
    see(page, row(held, "cancelled"), "long enough")
    see(page, row(last, "cancelled"))


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "by an older router"])
def test_what_was_missed_is_asked_for(
    host: WebDispatcher, holding: Holding, tabs: Tabs, monkeypatch: pytest.MonkeyPatch, lists: bool
) -> None:
    page = tabs(f"{host.page_url}#/tasks")
    see(page, ".lone .empty code")
    with host.client() as client:
        [held] = submit(client, "held", operation="hold")
        [last] = submit(client, "last", dependencies=[held])
        [other] = submit(client, "other", operation="hold")
    see(page, row(last, "waiting"))
    see(page, row(held, "running"))
    monkeypatch.setattr(book, "KEPT_EVENTS", 2)
    hold(page, "hello")
    host.cut_clients()
    page.wait_for_function("() => window.held")
    with host.client() as client:
        client.call("task_cancel", TaskCancel(task_ids=[held], reason="meanwhile"))
        submit(client, *"abc")
    asked = "task_list" if lists else "task_status"
    hold(page, asked)
    if not lists:
        rename(page, "task_list", "list_of_tasks")
    page.evaluate("window.held()")
    see(page, row(held, "unknown"), "? unknown")
    page.wait_for_function("(name) => window.held.method === name", arg=asked)
    see(page, row(other, "unknown"))
    for _ in range(3 if lists else 1):
        page.wait_for_function("() => window.held")
        page.evaluate("() => { const go = window.held; window.held = null; go(); }")
        see(page, row(other, "running"))  # it is in the first list
    see(page, row(held, "cancelled"), "meanwhile")
    see(page, row(last, "cancelled"))
    if lists:
        counts(page, ".lone tbody tr", 6)  # a, b and c, too, of which events are gone


def test_a_router_of_swarms_alone_has_none(running: WebRouter, tabs: Tabs) -> None:
    page = tabs(f"{running.page_url}#/tasks")
    shows(page, ".lone .empty", "This router runs no tasks of clients, only swarms.")
