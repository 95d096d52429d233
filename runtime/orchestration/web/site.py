"""HTTP routes for the page and its files, for the same server as the router."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

#: Where the page is, and where its files are.
PAGE = "/"
FILES = "/ui/"

_INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Nothing from elsewhere, nothing inline; text never becomes markup, even by mistake.
_POLICY = "; ".join((
    "default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'",
    "frame-ancestors 'none'", "require-trusted-types-for 'script'",
))  # fmt: skip
_SAFE = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Hosts to listen on that are no address to connect to.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    type: str
    tag: str


def routes() -> tuple[BaseRoute, ...]:
    """The page at ``/`` and its files at ``/ui/``, for ``RouterServer(…, routes=routes())``.

    The files are read once. A request names one of them, never a path.
    """
    found = _read()

    async def page(request: Request) -> Response:
        headers = {**_SAFE, "Cache-Control": "no-store"}
        return Response(found[_INDEX].data, headers=headers, media_type=found[_INDEX].type)

    async def file(request: Request) -> Response:
        known = found.get(request.path_params["name"])
        if known is None:
            return Response("there is no such file\n", 404, headers=_SAFE, media_type="text/plain")
        headers = {**_SAFE, "Cache-Control": "no-cache", "ETag": known.tag}
        if request.headers.get("if-none-match") == known.tag:
            return Response(status_code=304, headers=headers)
        return Response(known.data, headers=headers, media_type=known.type)

    return (Route(PAGE, page), Route(FILES + "{name}", file))


def page_url(host: str, port: int, *, tls: bool = False) -> str:
    """Where a browser finds the page of a router that listens on ``host`` and ``port``."""
    host = _ANY.get(host, host)
    if ":" in host:
        host = f"[{host}]"
    return f"{'https' if tls else 'http'}://{host}:{port}{PAGE}"


def _read() -> dict[str, _File]:
    """The files of the page, by name."""
    found = {}
    for entry in files(f"{__package__}.page").iterdir():
        kind = _TYPES.get(PurePath(entry.name).suffix)
        if kind is not None:
            data = entry.read_bytes()
            found[entry.name] = _File(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found
