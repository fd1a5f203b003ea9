"""Webhooks of Jambonz: verified, and read. What is done about them is the switchboard's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import structlog

from gateway import metrics
from jambonz.hooks import MAX_HOOK_BYTES, Hook, HookRefused, parse_hook
from jambonz.signature import REFUSED_STATUS, SignatureRefused, verify
from jambonz.verbs import Verb

log = structlog.get_logger(__name__)

HookName = Literal["call", "status", "next", "redirect"]
HookT = TypeVar("HookT", bound=Hook)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer to Jambonz; without ``verbs`` its body is empty. On an application socket the verbs are the
    acknowledgement's."""

    status: int
    verbs: Sequence[Verb] | None = None
    error: str | None = None


class HookReader:
    """``secrets`` verify webhooks (several while one is being replaced); without any, webhooks are not verified."""

    def __init__(self, secrets: Sequence[str], wall_clock: Callable[[], float]) -> None:
        self._secrets = secrets
        self._wall_clock = wall_clock

    def genuine(self, body: bytes, signature: str | None) -> bool:
        """Whether it is worth to be passed on to another process, which will read it. Nothing is counted or logged."""
        try:
            if self._secrets:
                verify(signature, body, self._secrets, self._wall_clock())
        except SignatureRefused:
            return False
        return len(body) <= MAX_HOOK_BYTES

    def read(self, name: HookName, model: type[HookT], body: bytes, signature: str | None) -> HookT | Reply:
        """Verify, then parse. A refusal is counted, and logged without the body."""
        try:
            if len(body) > MAX_HOOK_BYTES:
                raise HookRefused(413, f"a webhook's body is at most {MAX_HOOK_BYTES} bytes")
            if self._secrets:
                verify(signature, body, self._secrets, self._wall_clock())
            return parse_hook(model, body)
        except SignatureRefused as refused:
            metrics.hooks_refused.labels(name, refused.reason.value).inc()
            log.warning("a webhook was refused", hook=name, reason=refused.reason.value)
            return Reply(REFUSED_STATUS, error=str(refused))
        except HookRefused as refused:
            metrics.hooks_refused.labels(name, "bad_request").inc()
            log.warning("a webhook was refused", hook=name, reason=str(refused))
            return Reply(refused.status, error=str(refused))
