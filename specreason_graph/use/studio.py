"""The graph that `langgraph.json` names: on the `SPECREASON_…` servers, or else on the embedded pair.

The server brings its own checkpointer. Models are looked for when this module is imported, so a server that can't run
does not start. It asks for no key, so of the pages in a developer's browser only LangSmith's may talk to it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from specreason_graph.loop.graph import create_specreason

PAGES = ("https://smith.langchain.com",)
"""As `langgraph.json` has them for browsers that ask first."""
_HERE = ("localhost", "127.0.0.1", "::1")


class KnownPages:
    """Refuses what the scripts of other pages send: browsers ask first only for some requests, and not for all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        headers = dict(scope.get("headers", ()))
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or origin in PAGES or _is_own(origin, headers.get(b"host", b"").decode("latin-1")):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            said = (
                f"pages of {origin[:100]} may not use this server; langgraph.json and use/studio.py name those that may"
            )
            await JSONResponse({"detail": said}, 403)(scope, receive, send)


def _is_own(origin: str, host: str) -> bool:
    """Whether it is a page of this server; a name that somebody else has lead here does not count."""
    page = urlsplit(origin)
    return page.netloc == host and page.hostname in _HERE


graph = create_specreason().compile(name="specreason")
app = Starlette(middleware=[Middleware(KnownPages)])
"""What LangGraph's server puts around its own routes."""
