"""Workers that are processes, seen in a browser: a killed one is lost, and its task goes on."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ..cluster.processes import LONG, grid, iterations
from .conftest import Tabs
from .paging import deploy_by_form, see, shows

pytest.importorskip("distributed")

#: Connections that are lost are seen without it; so late is no heartbeat missed under load.
PATIENT = {"interval": 100, "timeout": 60_000}
LASTING = 300_000_000
LARGEST = 150_000  # bytes of a picture


def manifest() -> str:
    def symbol(name: str, count: int, *after: str) -> dict[str, Any]:
        return {"name": name, "type": "transform", "dispatch": "wasm", "timeout": 600_000,
                "dependencies": list(after),
                "parameters": {**iterations(count), "fuel": 1 << 40}}  # fmt: skip

    return json.dumps({"name": "orbits", "symbols": [
        symbol("first", 10_000), symbol("long", LASTING, "first"), symbol("last", 10_000, "long"),
    ]})  # fmt: skip


def test_a_killed_worker_is_seen_and_its_task_goes_on(tmp_path: Path, tabs: Tabs) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        cluster.start()
        page_url = cluster.url.replace("ws://", "http://")
        workers, page = tabs(f"{page_url}#/workers"), tabs(f"{page_url}#/workflows")
        for name in ("rack-1", "rack-2"):
            cluster.work(name)
            see(workers, f"[data-worker={name}][data-state=ready]")
        shows(page, "#link-text", "live")
        deploy_by_form(page, manifest())
        see(page, "[data-task$='/long'][data-state=running]")
        killed = page.inner_text("[data-task$='/long'] .more")
        other = {"rack-1": "rack-2", "rack-2": "rack-1"}[killed]
        see(workers, f"[data-worker={killed}][data-state=busy]")
        began = time.monotonic()
        cluster.workers[killed].kill()
        see(workers, f"[data-worker={killed}][data-state=lost]", "connection was lost")
        assert time.monotonic() - began < PATIENT["timeout"] / 3000
        see(workers, f"[data-worker={other}][data-state=busy]")
        see(page, "[data-task$='/long'] .more", f"attempt 2 · {other}")
        folder = Path(os.environ.get("SWARMC_SCREENSHOTS", tmp_path))
        workers.set_viewport_size({"width": 1280, "height": 300})
        workers.screenshot(path=folder / "web-workers.png")
        assert 0 < (folder / "web-workers.png").stat().st_size < LARGEST
        done = page.locator("[data-task$='/last'][data-state=completed]")
        done.wait_for(timeout=LONG * 1000)
        shows(page, ".title .chip", "completed")
