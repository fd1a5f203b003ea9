"""The page for people at ``/``: agents, listeners, live calls and their logs, by way of the public API and no other.

It is made of the files beside this one, as they are: no build step, and nothing is fetched from elsewhere.
"""

from __future__ import annotations

from importlib.resources import files

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",  # the API, and the progress socket of the same origin
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}

FILES = {
    "/": ("index.html", "text/html"),
    "/playground/style.css": ("style.css", "text/css"),
    **{
        f"/playground/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("app", "socket", "transcript", "conversation", "dom")
    },
}
"""Path, file, type. Small enough to be kept in memory, and read with the module."""

CONTENTS = {path: (files(__name__) / name).read_text("utf-8") for path, (name, _) in FILES.items()}


def routes() -> list[web.RouteDef]:
    return [web.get(path, _handler(CONTENTS[path], kind)) for path, (_, kind) in FILES.items()]


def _handler(text: str, content_type: str) -> Handler:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return serve
