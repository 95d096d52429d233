"""The page's files are served as they should be, and nothing else is."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.web import page_url

from .paging import WebRouter

PAGE = Path(__file__).parents[3] / "runtime" / "orchestration" / "web" / "page"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with WebRouter(tmp_path_factory.mktemp("router")) as running:
        yield running.server.port


def get(
    port: int, path: str, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()
    finally:
        connection.close()


def test_the_page_is_not_stored(port: int) -> None:
    status, headers, body = get(port, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    assert body == (PAGE / "index.html").read_bytes()


@pytest.mark.parametrize("path", ["/", "/ui/main.js", "/ui/nothing"])
def test_nothing_from_elsewhere_is_allowed(port: int, path: str) -> None:
    _, headers, _ = get(port, path)
    policy = headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_every_file_has_its_type(port: int) -> None:
    types = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
             ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8"}  # fmt: skip
    files = [path for path in PAGE.iterdir() if path.suffix in types]
    assert len(files) > 10
    for path in files:
        status, headers, body = get(port, f"/ui/{path.name}")
        assert (status, headers["content-type"]) == (200, types[path.suffix])
        assert body == path.read_bytes()
        again, _, nothing = get(port, f"/ui/{path.name}", {"If-None-Match": headers["etag"]})
        assert (again, nothing) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/ui/", "/ui/../site.py", "/ui/..%2fsite.py", "/ui/%2e%2e/site.py", "/ui/__init__.py",
        "/ui/..%5csite.py", "/ui//etc/passwd", "/ui/%2fetc%2fpasswd", "/ui/main.js%00",
    ],
)  # fmt: skip
def test_nothing_else_is_served(port: int, path: str) -> None:
    assert get(port, path)[0] == 404


def test_files_name_only_each_other() -> None:
    known = {path.name for path in PAGE.iterdir()}
    for path in PAGE.iterdir():
        if path.suffix not in {".js", ".css", ".html", ".svg"}:
            continue
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"\bhttps?://|innerHTML|outerHTML|document\.write|\beval\(", text)
        named = re.findall(r'(?:from "\./|/ui/)([\w.]+)', text)
        assert set(named) <= known
        assert len(text.splitlines()) <= 400


@pytest.mark.parametrize(
    ("host", "tls", "url"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:8080/"),
        ("0.0.0.0", False, "http://127.0.0.1:8080/"),
        ("::", False, "http://[::1]:8080/"),
        ("swarm.example.org", True, "https://swarm.example.org:8080/"),
    ],
)
def test_where_the_page_is(host: str, tls: bool, url: str) -> None:
    assert page_url(host, 8080, tls=tls) == url
