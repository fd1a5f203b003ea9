"""Posts the hooks of one call, signed, and keeps a record of each."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urldefrag, urljoin

from jambonz.signature import SIGNATURE_HEADER, sign
from jambonz.simulator.transport import HookResponse, HookTransport, HookUnreachable

HookKind = Literal["session:new", "session:redirect", "session:reconnect", "call:status", "verb:hook"]

HOOK_SECONDS = 10.0
"""How long a feature server waits for the answer to a hook."""

_GOOD = frozenset({200, 202, 204})
_MAX_RETRIES = 5


class HookFailed(Exception):
    """A hook without a usable answer; the message is what the feature server gives for a reason."""


@dataclass(slots=True)
class HookRecord:
    """One request of a hook. Times are the loop's; ``error`` says why there was no usable answer."""

    kind: HookKind
    url: str
    payload: dict[str, Any]
    sent: float
    answered: float | None = None
    status: int | None = None
    response: bytes = b""
    error: str | None = None

    @property
    def name(self) -> str:
        """``call:status in-progress``, ``verb:hook /jambonz/next/1``."""
        path = "/" + self.url.split("/", 3)[-1]
        return f"{self.kind} {self.payload.get('call_status', '') if self.kind == 'call:status' else path}"


def basic_auth(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Requestor:
    """``base_url`` is where the application's call hook is: relative hooks go there too, and with its credentials.

    A URL may end in ``#rc=<retries>&rp=<policy>``, as Jambonz has it: policies are ``ct`` (no connection, the default),
    ``rt`` (no answer in time), ``4xx``, ``5xx`` and ``all``.
    """

    def __init__(
        self,
        transport: HookTransport,
        base_url: str,
        *,
        secret: str | None,
        auth: tuple[str, str] | None,
        wall_clock: Callable[[], float],
        on_record: Callable[[HookRecord], None],
    ) -> None:
        self.base_url = base_url
        self.auth = auth
        self._transport = transport
        self._secret = secret
        self._wall_clock = wall_clock
        self._on_record = on_record

    async def request(self, kind: HookKind, hook: Any, payload: dict[str, Any]) -> Any:
        """Post ``payload`` to a hook (a URL, or an object with one) and return the JSON of the answer, ``""`` if it is
        no JSON. Raises :class:`HookFailed`."""
        target, auth = self._target(hook)
        url, fragment = urldefrag(target)
        retries, policies = retry_policy(fragment)
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
        for attempt in range(retries + 1):
            if attempt:
                await asyncio.sleep(backoff(attempt))
            record = HookRecord(kind, url, payload, asyncio.get_running_loop().time())
            self._on_record(record)
            failure, policy = await self._attempt(record, body, auth)
            if failure is None:
                return _parse(record)
            record.error = failure
            if attempt == retries or not policies & {policy, "all"}:
                raise HookFailed(failure)
        raise AssertionError("unreachable")

    async def _attempt(self, record: HookRecord, body: bytes, auth: tuple[str, str] | None) -> tuple[str | None, str]:
        """One request: why it failed, if it did, and which policy would try again."""
        headers = {"Content-Type": "application/json", "User-Agent": "jambonz"}
        if self._secret:
            headers[SIGNATURE_HEADER] = sign(body, self._secret, self._wall_clock())
        if auth:
            headers["Authorization"] = basic_auth(*auth)
        try:
            response: HookResponse = await asyncio.wait_for(
                self._transport.post(record.url, body, headers), HOOK_SECONDS
            )
        except TimeoutError:
            return "Headers Timeout Error", "rt"
        except HookUnreachable as error:
            return error.code, "ct"
        record.answered = asyncio.get_running_loop().time()
        record.status = response.status
        record.response = response.body if "application/json" in response.content_type.lower() else b""
        if response.status in _GOOD:
            return None, ""
        return "Unexpected HTTP Response", f"{response.status // 100}xx"

    def _target(self, hook: Any) -> tuple[str, tuple[str, str] | None]:
        url = hook.get("url", "") if isinstance(hook, dict) else str(hook)
        auth: tuple[str, str] | None = None
        if isinstance(hook, dict):
            if str(hook.get("method", "POST")).upper() != "POST":
                raise HookFailed("the simulator posts hooks; GET hooks carry no call data and cannot be verified")
            if hook.get("username") and hook.get("password"):
                auth = (hook["username"], hook["password"])
        if "://" not in url:
            auth = auth or self.auth
        elif not url.startswith(("http://", "https://")):
            raise HookFailed(f"a webhook is posted by HTTP, and not to {url}")
        return urljoin(self.base_url, url), auth


def _parse(record: HookRecord) -> Any:
    if not record.response:
        return ""
    try:
        return json.loads(record.response)
    except ValueError as error:
        record.error = f"the answer is not JSON: {error}"
        raise HookFailed(record.error) from error


def retry_policy(fragment: str, default: int = 0) -> tuple[int, frozenset[str]]:
    """How often to try again, and after which failures."""
    options = parse_qs(fragment)
    retries = options.get("rc", [str(default)])[0]
    policies = options.get("rp", ["ct"])[0].split(",")
    return min(int(retries), _MAX_RETRIES) if retries.isdigit() else 0, frozenset(policies)


def backoff(attempt: int) -> float:
    """0.5, 1, 2, 4, 6 seconds."""
    return 0.5 * 2 ** (attempt - 1) if attempt <= 3 else 2.0 * (attempt - 2)
