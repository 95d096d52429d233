"""A Chromium for the tests of a module, and routers whose pages it opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..router.routing import Holding
from .paging import FLAGS, EchoProvider, WebDispatcher, WebRouter
from .swarming import HELLO

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")  # longer, its event loop would be in the way of other tests
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def holding() -> Holding:
    return Holding()


@pytest.fixture
def host(tmp_path: Path, holding: Holding) -> Iterator[WebDispatcher]:
    with WebDispatcher(tmp_path, holding.table()) as host:
        yield host
        holding.go.set()


class Tabs:
    """Opens the page, each time in a browser of its own. Errors of scripts fail the test."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.wrong: list[str] = []
        self.asked: list[str] = []

    def __call__(self, url: str, width: int = 1280, height: int = 860, **options: Any) -> Any:
        size = {"width": width, "height": height}
        context = self._browser.new_context(viewport=size, **options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # machines may be busy
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._console)
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(url)
        return page

    def _console(self, message: Any) -> None:
        # The browser itself tells of connections that fail; the page is to survive these.
        if message.type == "error" and "WebSocket" not in message.text:
            self.wrong.append(message.text)

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def tabs(chromium: Any) -> Iterator[Tabs]:
    opened = Tabs(chromium)
    try:
        yield opened
    finally:
        opened.close()
    assert opened.wrong == []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[WebRouter]:
    """A router whose nodes echo."""
    with WebRouter(tmp_path, EchoProvider(), module=HELLO, heartbeat_timeout=600.0) as router:
        yield router
