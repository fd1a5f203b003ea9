"""One account at a vendor over HTTP: posts, bounds waits, tells faults apart. What an answer means is its reader's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import aiohttp
from yarl import URL

from pipelines.parts import ProviderError, ProviderFault
from pipelines.providers.warmth import Warmth
from pipelines.providers.wire import fit_for_log

CONNECT_SECONDS = 3.0

IDLE_SECONDS = 60.0
"""How long a connection is kept for the next request."""

LARGEST_REFUSAL = 1 << 16

RETRIED: frozenset[ProviderFault] = frozenset({"connect", "server"})
"""What is worth asking again at once, before anything came of it."""


class VendorRules(Protocol):
    """What differs from vendor to vendor, of a refusal."""

    def refused(self, status: int, error: Mapping[str, Any]) -> ProviderFault:
        """``error`` is the object of that name in the answer, empty where there is none."""
        ...

    def retry_after(self, error: Mapping[str, Any]) -> str | None:
        """How long to wait, where the body says so and the header ``retry-after`` does not."""
        ...


class RefusedError(ProviderError):
    """The vendor answered with ``status`` and, where it sent one, its own ``error`` object."""

    def __init__(
        self, provider: str, kind: ProviderFault, message: str, *, status: int, error: Mapping[str, Any]
    ) -> None:
        super().__init__(provider, kind, message)
        self.status = status
        self.error = error


class HttpAccount:
    """``headers`` go with every request. The HTTP session is opened by :meth:`prepare`, or when it is first needed, and
    again after :meth:`close`."""

    def __init__(
        self, name: str, rules: VendorRules, *, api_key: str, base_url: str, headers: Mapping[str, str]
    ) -> None:
        self.name = name
        self.retries = 0
        """How many requests were sent a second time."""
        self._rules = rules
        self._api_key = api_key
        self._base_url = base_url.rstrip("/")
        self._place = str(URL(base_url).origin())
        self._headers = dict(headers)
        self._http: aiohttp.ClientSession | None = None
        self._warmth = Warmth(base_url, self._connect)

    async def prepare(self) -> None:
        """The connection is on its way."""
        self.session()
        self._warmth.warm()

    async def _connect(self) -> None:
        """The session keeps what was opened, whatever the answer is."""
        async with self.session().head(self._place, allow_redirects=False) as response:
            await response.read()

    async def close(self) -> None:
        await self._warmth.close()
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()

    def session(self) -> aiohttp.ClientSession:
        if self._http is None:
            # The waits for answers are bounded where they are read: the first wait and later ones have other bounds.
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | aiohttp.FormData,
        deadline: float,
        *,
        types: Collection[str] = (),
        wanted: str = "",
    ) -> aiohttp.ClientResponse:
        """The response, once it is certain that it is one: of status 200, and of one of ``types`` if there are any,
        which is ``wanted`` in words. ``deadline`` is of the loop's clock."""
        response = None
        self._warmth.used()
        try:
            async with asyncio.timeout_at(deadline):
                form = isinstance(body, aiohttp.FormData)
                response = await self.session().post(
                    self._base_url + path,
                    data=body if form else None,
                    json=None if form else body,
                    headers=self._headers,
                    allow_redirects=False,
                )
                if response.status != 200:
                    raise await self._refusal(response)
            if types and response.content_type not in types:
                message = f"{self._place} answered with {response.content_type}, which is no {wanted}"
                raise self.fault("protocol", message)
        except BaseException as error:
            if response is not None:
                response.close()
            if isinstance(error, Exception):
                raise self.explain(error) from error
            raise
        return response

    async def _refusal(self, response: aiohttp.ClientResponse) -> ProviderError:
        raw = b""
        while len(raw) < LARGEST_REFUSAL and (data := await response.content.readany()):
            raw += data
        error = error_of(raw)
        status = response.status
        kind = self._rules.refused(status, error)
        said = error.get("message") or raw.decode("utf-8", "replace")
        wait = response.headers.get("retry-after") or self._rules.retry_after(error)
        message = refusal(kind, status, said, place=self._place, wait=wait)
        return RefusedError(self.name, kind, self._clean(message), status=status, error=error)

    def explain(self, error: Exception) -> ProviderError:
        match error:
            case ProviderError():
                return error
            case TimeoutError():
                return self.fault("timeout", f"{self._place} did not answer in time")
            case aiohttp.ClientError() | OSError():
                return self.fault("connect", f"the connection to {self._place} failed or broke off ({error!r})")
            case _:
                return self.fault("protocol", f"the request or its answer is not as it should be ({error!r})")

    def fault(self, kind: ProviderFault, message: str) -> ProviderError:
        """The error to raise; the key is in no message, even if the server's answer repeated it."""
        return ProviderError(self.name, kind, self._clean(message))

    def _clean(self, message: str) -> str:
        return fit_for_log(message, self._api_key)


def refusal(kind: ProviderFault, status: int, said: str, *, place: str, wait: str | None) -> str:
    """A sentence; ``wait`` is a ``retry-after``: seconds, or a time of day."""
    match kind:
        case "auth":
            return f"{place} refused the key (status {status})"
        case "rate_limit":
            seconds = " s" if wait and wait.replace(".", "", 1).isdecimal() else ""
            after = f" (retry after {wait}{seconds})" if wait else ""
            return f"too many requests, or no credit left{after}: {said}"
        case _:
            return f"status {status}: {said}"


def error_of(raw: bytes) -> dict[str, Any]:
    """The error that a refusal's body holds; empty where it holds none."""
    try:
        return error_in(json.loads(raw))
    except (ValueError, RecursionError):
        return {}


def error_in(body: Any) -> dict[str, Any]:
    if isinstance(body, list) and body:  # Google wraps errors of streams in one more list
        body = body[0]
    if not isinstance(body, dict):
        return {}
    # Servers that are compatible with OpenAI put it into ``error``, into ``detail``, or into nothing at all.
    error = body.get("error") or body.get("detail") or body
    return error if isinstance(error, dict) else {"message": str(error)}
