"""The same WASI command gives the same in a browser: bytes of its output, and exit code."""

from __future__ import annotations

import base64
import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swarmc.runtime.manager import SwarmManager
from swarmc.runtime.orchestration.pipeline import Executor, deserialize_numpy, serialize_numpy

from .pipeline_tools import equal, pipeline

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
PAGE = ROOT / "docs" / "examples" / "browser"
NPM, CHROMIUM = shutil.which("npm"), shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(NPM is None, reason="npm is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page with what it needs, served on this machine."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("index.html", "run.js", "package.json", "package-lock.json"):
        shutil.copy(PAGE / name, folder)
    assert NPM is not None
    subprocess.run(
        [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True,
        capture_output=True, timeout=120,
    )  # fmt: skip

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def page(site: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            opened = browser.new_page()
            wrong: list[str] = []
            opened.on("pageerror", lambda error: wrong.append(str(error)))
            opened.goto(site)
            yield opened
            assert wrong == []
        finally:
            browser.close()


def in_browser(page: Any, module: Path, argv: list[str], stdin: bytes, env: dict[str, str]) -> Any:
    """Exit code, standard output and standard error, by way of the page's own module."""
    script = """
    async ([module, stdin, argv, env]) => {
      const { runCommand } = await import("./run.js");
      const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      const text = (data) => btoa(Array.from(data, (b) => String.fromCharCode(b)).join(""));
      const result = await runCommand(bytes(module).buffer, { argv, env, stdin: bytes(stdin) });
      return [result.exitCode, text(result.stdout), text(result.stderr)];
    }
    """
    data = base64.b64encode(module.read_bytes()).decode()
    code, stdout, stderr = page.evaluate(
        script, [data, base64.b64encode(stdin).decode(), argv, env]
    )
    return code, base64.b64decode(stdout), base64.b64decode(stderr)


def in_swarm(module: Path, argv: list[str], stdin: bytes, env: dict[str, str]) -> Any:
    with SwarmManager.from_wasm(module.read_bytes(), max_agents=1, output_size=1 << 20) as swarm:
        result = swarm.run_agents(1, argv=argv, stdin=stdin, env=env)
        (id_,) = result.ids.tolist()
        return (
            result.exit_codes.get(id_), result.agent_outputs[id_], result.agent_errors[id_],
        )  # fmt: skip


SIGNAL = np.random.default_rng(7).standard_normal(512).astype(np.float32)
NODE_INPUT = json.dumps({
    "id": "spectrum", "params": {"window": "hann"}, "inputs": {"input": serialize_numpy(SIGNAL)},
}).encode()  # fmt: skip


@pytest.mark.parametrize(
    ("name", "args", "stdin", "env"),
    [
        ("spectrum", [], NODE_INPUT, {}),
        ("spectrum", [], b"{}", {}),
        ("hello", ["Ada", "\u00fc\u4e2d"], b"", {}),
        ("sha256", [], bytes(range(256)) * 40, {}),
        ("tokeniser", ["3"], b"if (x1 > 10) return x1 * 0x2;\n" * 30, {}),
        ("mandelbrot", ["40", "24", "6"], b"", {}),
        ("wasi", ["env"], b"", {"SEED": "7", "NAME": "an agent"}),
        ("wasi", ["cat"], bytes(range(256)) * 100, {}),
        ("wasi", ["exit", "3"], b"", {}),
        ("wasi", ["stderr"], b"", {}),
        ("wasi", ["abort"], b"", {}),
    ],
)
def test_the_browser_and_the_swarm_agree(
    page: Any, name: str, args: list[str], stdin: bytes, env: dict[str, str]
) -> None:
    module = CORPUS / f"{name}.wasm"
    argv = [module.name, *args]
    found = in_browser(page, module, argv, stdin, env)
    assert found == in_swarm(module, argv, stdin, env)


def test_the_browser_and_the_pipeline_agree(page: Any) -> None:
    module = CORPUS / "spectrum.wasm"
    node = {"id": "spectrum", "node_type": "wasi", "module": str(module),
            "params": {"window": "hann"}}  # fmt: skip
    # Playwright has an event loop in this thread, and a sync execution refuses to block one
    with Executor() as executor, ThreadPoolExecutor(1) as thread:
        done = thread.submit(executor.execute_with_input_sync, pipeline([node]), [SIGNAL])
        (expected,) = done.result(60).output
    code, stdout, _ = in_browser(page, module, [module.name], NODE_INPUT, {})
    assert code == 0
    assert equal(deserialize_numpy(json.loads(stdout)), expected)


def test_the_form_of_the_page(page: Any) -> None:
    page.get_by_label("Module").set_input_files(str(CORPUS / "sha256.wasm"))
    page.get_by_label("Standard input").fill("abc")
    page.get_by_role("button", name="Run").click()
    output = page.locator("output")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    page.wait_for_function("document.querySelector('output').value.includes('exit code')")
    assert output.text_content() == f"{digest}  -\nexit code 0"
    page.get_by_label("Module").set_input_files(str(CORPUS / "wasi.wasm"))
    page.get_by_label("Arguments").fill("abort")
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("document.querySelector('output').value.includes('trap')")
    assert "trap: unreachable" in output.text_content()
    page.get_by_label("Module").set_input_files(str(CORPUS / "hello.c"))
    page.get_by_role("button", name="Run").click()
    page.wait_for_function("document.querySelector('output').value.includes('Error')")
    assert "CompileError" in output.text_content()


def test_nothing_of_npm_is_in_the_repository() -> None:
    lock = json.loads((PAGE / "package-lock.json").read_text())
    package = json.loads((PAGE / "package.json").read_text())
    (shim,) = package["dependencies"].items()
    assert lock["packages"][f"node_modules/{shim[0]}"]["version"] == shim[1]
    assert lock["packages"][f"node_modules/{shim[0]}"]["integrity"].startswith("sha512-")
    tracked = subprocess.run(
        ["git", "ls-files", str(PAGE)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(Path(name).name for name in tracked) == [
        ".gitignore", "index.html", "package-lock.json", "package.json", "run.js",
    ]  # fmt: skip
