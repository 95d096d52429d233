"""Workflows that a dispatcher runs, from a manifest in the page to their end."""

from __future__ import annotations

import json
from typing import Any

from ..router.routing import Holding
from .conftest import Tabs
from .paging import WebDispatcher, counts, deploy_by_form, see, shows


def symbol(name: str, operation: str, *dependencies: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "action", "parameters": {"operation": operation},
            "dependencies": list(dependencies), **more}  # fmt: skip


def manifest(*symbols: dict[str, Any]) -> str:
    return json.dumps({"name": "nightly", "version": "3.0.0", "symbols": symbols})


def state(page: Any, name: str, state: str) -> None:
    see(page, f".graph [data-task$='/{name}'][data-state={state}]")


def test_a_workflow_is_deployed_watched_and_ends(
    host: WebDispatcher, holding: Holding, tabs: Tabs
) -> None:
    page, other = tabs(f"{host.page_url}#/workflows"), tabs(f"{host.page_url}#/workflows")
    shows(page, "#link-text", "live")
    deploy_by_form(page, manifest(
        symbol("fetch", "echo"), symbol("left", "hold", "fetch"), symbol("right", "hold", "fetch"),
        symbol("join", "inputs", "left", "right"),
    ))  # fmt: skip
    see(other, "#workflows .name", "nightly").click()
    for one in (page, other):
        state(one, "left", "running")
        state(one, "right", "running")
        state(one, "fetch", "completed")
        state(one, "join", "waiting")
        see(one, ".graph .more", "worker-node-1")
    holding.go.set()
    for one in (page, other):
        shows(one, ".title .chip", "completed")
        counts(one, ".graph [data-state=completed]", 4)
        shows(one, "[data-fact=Done] dd", "4 of 4 tasks")
    assert page.inner_html(".graph") == other.inner_html(".graph")
    page.click("text=Metrics")
    see(page, ".chart", "Tasks completed")
    page.click("text=All metrics, as Prometheus reads them")
    see(page, ".all pre", "swarmc_tasks_completed_total 4.0")
    with page.context.expect_page() as opened:
        page.click(".metrics .note a", modifiers=["Control"])
    opened.value.wait_for_load_state()
    assert "swarmc_tasks_completed_total 4.0" in opened.value.inner_text("body")


def test_a_cancelled_workflow_is_rolled_back(
    host: WebDispatcher, holding: Holding, tabs: Tabs
) -> None:
    page = tabs(f"{host.page_url}#/workflows")
    shows(page, "#link-text", "live")
    undo = {"name": "undo", "type": "action", "parameters": {"operation": "echo"}}
    deploy_by_form(page, manifest(
        symbol("fetch", "echo", rollback=undo), symbol("work", "hold", "fetch"),
        symbol("publish", "echo", "work"),
    ))  # fmt: skip
    state(page, "work", "running")
    page.click("#cancel")
    page.fill("#cancel-reason", "not tonight")
    page.click("#cancel-dialog button[type=submit]")
    shows(page, ".title .chip", "rolled back")
    state(page, "fetch", "rolled_back")
    state(page, "work", "cancelled")
    state(page, "publish", "cancelled")
    see(page, ".head .error", "not tonight")
    page.reload()
    state(page, "fetch", "rolled_back")
    shows(page, "#workflow-title", "nightly")


def test_all_mistakes_of_a_manifest_are_told(host: WebDispatcher, tabs: Tabs) -> None:
    page = tabs(f"{host.page_url}#/workflows")
    shows(page, "#link-text", "live")
    deploy_by_form(page, manifest(symbol("one", "echo", "two"), {"name": "three"}))
    notice = see(page, ".notice", "Deployment of nightly was not done")
    assert "two" in notice.inner_text()
    assert "type" in notice.inner_text()
    counts(page, "#workflows li", 0)


def test_a_router_that_begins_anew_goes_on(
    host: WebDispatcher, holding: Holding, tabs: Tabs
) -> None:
    page = tabs(f"{host.page_url}#/workflows")
    shows(page, "#link-text", "live")
    deploy_by_form(page, manifest(symbol("first", "hold"), symbol("second", "echo", "first")))
    state(page, "first", "running")
    holding.go.set()
    host.stop()
    shows(page, "#link-text", "connection lost, trying again")
    host.start_again()
    shows(page, ".title .chip", "completed")
    counts(page, ".graph [data-state=completed]", 2)
