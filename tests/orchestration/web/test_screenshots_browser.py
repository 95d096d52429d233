"""The pictures in docs/orchestration/web.md: what the page shows of agents that run.

``SWARMC_SCREENSHOTS=docs/orchestration python -m pytest tests/orchestration/web -k pictures``
takes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol import Inject, Launch, Nothing, OfSwarm

from ..router.routing import ThreadProvider, until
from .conftest import Tabs
from .paging import WebRouter

CORPUS = Path("corpus")
LARGEST = 150_000  # bytes of a picture
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
