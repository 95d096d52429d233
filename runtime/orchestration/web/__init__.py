"""The router's page: swarms, their nodes, what they do, and what one can ask of them.

The page is files that a browser takes as they are: no build step, nothing from elsewhere. It speaks
``codeswarm.router.v1`` over WebSocket with the router that served it, as any other client does.
"""

from __future__ import annotations

from .site import page_url, routes

__all__ = ["page_url", "routes"]
