"""Services that functions ask, without a wire: each takes its time, and counts what was done there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.tools.means import HttpAnswer, ToolFault
from pipelines.tools.request import HttpRequest


@dataclass
class Services:
    """By host: ``seconds`` that an answer takes (0 where it is not there), ``answers`` (None: it fails)."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    answers: Mapping[str, str | None] = field(default_factory=dict)
    asked: list[tuple[str, float]] = field(default_factory=list)
    """Host, and when."""
    done: list[str] = field(default_factory=list)
    """What was answered."""
    stopped: list[str] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    keys: list[str] = field(default_factory=list)
    """Idempotency keys."""
    bodies: list[Any] = field(default_factory=list)
    """Of the requests."""

    async def ask(self, request: HttpRequest, *, seconds: float, tenant: str) -> HttpAnswer:
        host = request.url.split("/")[2]
        self.asked.append((host, asyncio.get_running_loop().time()))
        self.is_asked.set()
        self.bodies.append(json.loads(request.body or "null"))
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        try:
            await asyncio.sleep(self.seconds.get(host, 0.0))
        except asyncio.CancelledError:
            self.stopped.append(host)
            raise
        answer = self.answers.get(host, f"done by {host}")
        if answer is None:
            raise ToolFault("the service could not be reached")
        self.done.append(host)
        return HttpAnswer(200, "OK", "text/plain", answer)


def function(name: str, **fields: object) -> dict[str, object]:
    """One that posts to the host of its name."""
    return {
        "name": name,
        "implementation": "rest",
        "method": "post",
        "url": f"https://{name}/",
        "description": f"The {name}.",
        **fields,
    }
