"""The simulated REST API of Jambonz, for provisioning: in memory, where a process can be killed at any request; and on
loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiohttp import web
from aiohttp.test_utils import TestServer

from jambonz.rest import Unavailable, understood
from jambonz.simulator.rest_api import ApiServer, Response

Fault = Literal["unreachable", "lost"]
"""The request does not arrive; it is done, and its answer is lost."""


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Wire:
    """A client of ``server`` without a socket. ``changes`` are the requests that change something.

    ``kill_at`` counts those from 1: the process is killed before that one (``done`` False) or just after it was done.
    ``faults`` says what becomes of a request.
    """

    def __init__(
        self,
        server: ApiServer,
        *,
        kill_at: int = 0,
        done: bool = False,
        faults: Callable[[str, str], Fault | None] = lambda _method, _path: None,
    ) -> None:
        self.server = server
        self.kill_at = kill_at
        self.done = done
        self.faults = faults
        self.changes: list[tuple[str, str, Any]] = []
        self.asked = 0

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        self.asked += 1
        fault = self.faults(method, path)
        if fault == "unreachable":
            raise Unavailable(f"{method} {path} was not answered")
        if method != "GET":
            self.changes.append((method, path, body))
            if len(self.changes) == self.kill_at:
                if self.done:
                    self._handle(method, path, body)
                raise Killed
        answer = self._handle(method, path, body)
        if fault == "lost":
            raise Unavailable(f"{method} {path} was not answered within 10 s")
        return understood(answer.status, answer.body, f"{method} {path}")

    async def close(self) -> None: ...

    def _handle(self, method: str, path: str, body: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.server.api_key}"}
        return self.server.handle(method, "/v1" + path, headers, b"" if body is None else json.dumps(body).encode())


@asynccontextmanager
async def jambonz_on_loopback(
    server: ApiServer, instead: Mapping[str, Callable[[web.Request], Any]] | None = None
) -> AsyncIterator[str]:
    """Its URL. ``instead``: handlers for paths (below ``/v1``) that answer in their own way."""

    async def answer(request: web.Request) -> web.StreamResponse:
        for path, handler in (instead or {}).items():
            if request.path == f"/v1{path}":
                return await handler(request)  # type: ignore[no-any-return]
        given = server.handle(request.method, request.path_qs, request.headers, await request.read())
        headers = {"Content-Type": given.content_type} if given.content_type else {}
        return web.Response(status=given.status, body=given.body, headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    at = TestServer(app, host="127.0.0.1")
    await at.start_server()
    try:
        yield str(at.make_url("")).rstrip("/")
    finally:
        await at.close()
