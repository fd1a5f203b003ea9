"""How the simulated Jambonz is set up, and what it reaches the application of a call with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jambonz.simulator.application import OnCommand, SocketRequestor
from jambonz.simulator.conference import Rooms
from jambonz.simulator.outcomes import Outcomes
from jambonz.simulator.report import CallReport
from jambonz.simulator.requestor import Requestor
from jambonz.simulator.transport import Transport


@dataclass(frozen=True, slots=True)
class Settings:
    """How the simulated Jambonz is set up, the same for all its calls."""

    base_url: str
    call_hook: Any = "/jambonz/call"
    status_hook: Any = "/jambonz/status"
    webhook_secret: str | None = None
    hook_auth: tuple[str, str] | None = None
    env_vars: Mapping[str, Any] = field(default_factory=dict)
    outcomes: Outcomes = field(default_factory=Outcomes)
    status_delays: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which the status hook of a state is late: for statuses out of order."""
    keep_audio: bool = True
    unevenness: float = 0.02
    wall_clock: Callable[[], float] = lambda: 0.0
    rooms: Rooms = field(default_factory=Rooms)


def requestors(
    settings: Settings,
    transport: Transport,
    call_sid: str,
    report: CallReport,
    *,
    on_command: OnCommand,
    on_note: Callable[[str], None],
) -> tuple[Requestor | SocketRequestor, SocketRequestor | None]:
    """Webhooks; or a socket (twice), where the call hook is one: the hooks of verbs and the states of the call go
    there, too."""
    webhooks = Requestor(
        transport,
        settings.base_url,
        secret=settings.webhook_secret,
        auth=settings.hook_auth,
        wall_clock=settings.wall_clock,
        on_record=report.hooks.append,
    )
    hook, auth = settings.call_hook, settings.hook_auth
    if isinstance(hook, Mapping):
        if hook.get("username") and hook.get("password"):
            auth = str(hook["username"]), str(hook["password"])
        hook = hook.get("url", "")
    if not str(hook).startswith(("ws://", "wss://")):
        return webhooks, None
    socket = SocketRequestor(
        transport,
        str(hook),
        webhooks,
        call_sid=call_sid,
        auth=auth,
        on_record=report.hooks.append,
        on_command=on_command,
        on_note=on_note,
    )
    report.application_closes = socket.closes
    return socket, socket
