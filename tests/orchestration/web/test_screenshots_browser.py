"""The pictures in docs/orchestration/web.md: what the page shows of agents that run.

``SWARMC_SCREENSHOTS=docs/orchestration python -m pytest tests/orchestration/web -k pictures``
takes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm
from swarmc.runtime.orchestration.router.protocol_tasks import (
    TaskSpec,
    TaskSubmit,
    WorkflowDeploy,
)

from ..router.routing import Holding, ThreadProvider, until
from .conftest import Tabs
from .paging import WebDispatcher, WebRouter, see

CORPUS = Path("corpus")
LARGEST = 200_000  # bytes of a picture
PROMPTS = (
    "the quick brown fox jumps over the lazy dog and the dog does not mind",
    "to be or not to be that is the question",
    "a rose is a rose is a rose",
    "one fish two fish red fish blue fish",
)


def completed(client: RouterClient) -> int:
    return int(client.call("status", Nothing()).completed)


def launch(client: RouterClient, name: str, nodes: int, **what: Any) -> str:
    def all_there() -> bool:
        found = client.call("swarm_status", OfSwarm(swarm_id=swarm.swarm_id))
        return bool(found.status == "running")

    module = str(CORPUS / what.pop("module"))
    swarm = client.call("swarm_launch", Launch(name=name, nodes=nodes, module=module, **what))
    until(all_there)
    return str(swarm.swarm_id)


def set_the_scene(client: RouterClient, provider: ThreadProvider) -> str:
    """Swarms in several states; the one to look at."""
    done = launch(client, "first steps", 1, module="hello.wasm", agents=2)
    client.call("swarm_terminate", OfSwarm(swarm_id=done, reason="no longer needed"))
    launch(client, "greetings", 3, module="hello.wasm")
    words = launch(
        client, "word counts", 4, module="tokeniser.wasm", agents=2, prompt="Count words."
    )
    client.call("swarm_inject", Inject(swarm_id=words, prompt=PROMPTS[2], nodes=[0]))
    until(lambda: completed(client) == 1)  # the others need not compile it
    provider.workers["job-2"][1].drain()
    for number, prompt in enumerate(PROMPTS * 3):
        nodes = None if number % 4 == 0 else [number % 4]
        client.call("swarm_inject", Inject(swarm_id=words, prompt=prompt * (number + 1),
                                           nodes=nodes))  # fmt: skip
    return words


def test_pictures(tmp_path: Path, tabs: Tabs) -> None:
    folder = Path(os.environ.get("SWARMC_SCREENSHOTS", tmp_path))
    with WebRouter(tmp_path, heartbeat_timeout=600.0) as running, running.client() as client:
        words = set_the_scene(client, running.provider)
        until(lambda: completed(client) == 1 + 3 * 4 + 9)
        url = f"{running.page_url}#/swarm/{words}"
        taken = []
        for name, width, height, colours in (
            ("web-light", 1280, 800, "light"), ("web-dark", 1280, 800, "dark"),
            ("web-phone", 390, 780, "dark"),
        ):  # fmt: skip
            page = tabs(url, width, height, color_scheme=colours)
            page.locator("#router", has_text="completed").wait_for(state="attached")
            page.click(".tile[data-node='0']")
            page.click(".tile[data-node='2']")
            page.fill("#prompt", PROMPTS[0])
            page.click("#inject")
            page.locator(".turn .prompt").nth(1).wait_for()
            busy = page.locator(".turn .chip:not([data-state=completed])")
            until(lambda: busy.count() == 0)  # noqa: B023
            page.evaluate("window.scrollTo(0, 0)")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            taken.append(folder / f"{name}.png")
            page.screenshot(path=taken[-1])
        assert all(0 < picture.stat().st_size < LARGEST for picture in taken)


def report() -> dict[str, Any]:
    """A workflow that waits in its middle, where one of its tasks is tried again."""

    def symbol(name: str, operation: str, *dependencies: str) -> dict[str, Any]:
        return {"name": name, "type": "action", "parameters": {"operation": operation},
                "dependencies": list(dependencies)}  # fmt: skip

    regions = ("north", "east", "south", "west")
    return {"name": "nightly report", "version": "3.1.0", "symbols": [
        symbol("calendar", "echo"), symbol("fetch", "echo"), symbol("check", "echo", "fetch"),
        *(symbol(f"parse {name}", "again" if name == "east" else
                 "hold" if name in ("south", "west") else "echo", "check") for name in regions),
        symbol("merge", "inputs", *(f"parse {name}" for name in regions)),
        symbol("draw", "inputs", "merge"), symbol("totals", "inputs", "merge"),
        symbol("publish", "inputs", "draw", "totals", "calendar"),
    ]}  # fmt: skip


def tasks_of_many_kinds() -> list[TaskSpec]:
    """Some that end, one that fails, one that runs, and one that waits for it."""

    def task(name: str, operation: str, **more: Any) -> TaskSpec:
        payload = msgspec.Raw(b'{"parameters": {"operation": "%s"}}' % operation.encode())
        return TaskSpec(name=name, executor="internal", payload=payload, **more)

    return [
        *(task(f"shard {n} of 6", "echo") for n in range(6)),
        task("convert", "to_csv", retries=0), task("fit the model", "hold", task_id="fit"),
        task("draw the model", "echo", dependencies=["fit"]),
    ]  # fmt: skip


@pytest.fixture
def working(tmp_path: Path) -> Iterator[WebDispatcher]:
    holding = Holding()
    tried: list[int] = []

    def again(call: Any) -> Any:
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("the table is not there yet")
        return holding.hold(call)

    with WebDispatcher(tmp_path, {**holding.table(), "again": again}) as host:
        yield host
        holding.go.set()


def picture(page: Any, path: Path) -> None:
    page.evaluate("window.scrollTo(0, 0)")
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.screenshot(path=path)
    assert 0 < path.stat().st_size < LARGEST


def test_pictures_of_work(working: WebDispatcher, tmp_path: Path, tabs: Tabs) -> None:
    folder = Path(os.environ.get("SWARMC_SCREENSHOTS", tmp_path))
    figures = tabs(f"{working.page_url}#/metrics", 1280, 620, color_scheme="dark")
    echo = msgspec.Raw(b'{"parameters": {"operation": "echo"}}')
    with working.client() as client:
        for count in (40, 160, 90):
            tasks = [TaskSpec(name="echo", executor="internal", payload=echo)] * count
            client.call("task_submit", TaskSubmit(tasks=tasks))
            figures.wait_for_timeout(1100)
        manifest = msgspec.Raw(msgspec.json.encode(report()))
        run = client.call("workflow_deploy", WorkflowDeploy(manifest=manifest)).workflow_id
    for name, width, height, colours in (
        ("web-workflow", 1280, 800, "light"), ("web-workflow-phone", 390, 780, "dark"),
    ):  # fmt: skip
        page = tabs(f"{working.page_url}#/workflow/{run}", width, height, color_scheme=colours)
        for region in ("east", "south", "west"):
            see(page, f"[data-task$='/parse {region}'][data-state=running]")
        see(page, ".graph", "attempt 2")
        page.click("[data-task$='/parse east']")
        picture(page, folder / f"{name}.png")
    with working.client() as client:
        client.call("task_submit", TaskSubmit(tasks=tasks_of_many_kinds()))
    tasks = tabs(f"{working.page_url}#/tasks", 1280, 620)
    for state in ("waiting", "running", "failed"):
        see(tasks, f".lone tr[data-state={state}]")
    picture(tasks, folder / "web-tasks.png")
    see(figures, ".chart [aria-label^='Tasks running'][aria-label*=': latest ']")
    picture(figures, folder / "web-metrics.png")
