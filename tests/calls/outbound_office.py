"""The office with a REST API of Jambonz, by which it has people rung."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Literal

from gateway.dialler import Dialler
from gateway.session import CallSession
from jambonz.provisioning.wanted import Application
from jambonz.rest import Unavailable, understood
from jambonz.simulator.outgoing import Callee
from jambonz.simulator.report import CallReport
from jambonz.simulator.rest_api import ApiServer
from tests.calls.office import APPLICATION, BASE, NUMBER, Office

CALLED = "442079460123"
FROM = f"+{NUMBER}"

Fault = Literal["unreachable", "lost"]


class Exchange:
    """Jambonz's REST API before the simulated feature server; ``faults`` says what becomes of a request. With
    ``quick_hooks`` the answer to a request that places a call takes longer than what it tells of the call."""

    def __init__(self, office: Office) -> None:
        self.server = ApiServer(api_key="key")
        self.faults: Callable[[str, str], Fault | None] = lambda _method, _path: None
        self.asked: list[tuple[str, str]] = []
        self.seconds = 0.01
        self.office = office
        self.server.on_create = self._create
        self.server.on_update = office.jambonz.update_call
        hook = {"url": APPLICATION} if office.application else {"url": f"{BASE}/jambonz/call"}
        status = hook if office.application else {"url": f"{BASE}/jambonz/status"}
        self._handle("POST", "/Applications", self.application(call_hook=hook, call_status_hook=status))
        office.api = self
        office.dialler = Dialler(self, None, BASE)

    @staticmethod
    def application(**hooks: Any) -> dict[str, Any]:
        return {"name": Application.at(BASE).name, **hooks}

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        self.asked.append((method, path.split("?")[0].rsplit("/", 1)[-1] if method == "GET" else path.split("/")[3]))
        await asyncio.sleep(self.seconds / 2)
        fault = self.faults(method, path)
        if fault == "unreachable":
            raise Unavailable(f"{method} {path} was not answered")
        answer = self._handle(method, path, body)
        await asyncio.sleep(self.seconds / 2)
        if fault == "lost":
            raise Unavailable(f"{method} {path} was not answered within 10 s")
        return understood(answer.status, answer.body, f"{method} {path}")

    def _handle(self, method: str, path: str, body: Any) -> Any:
        key = {"Authorization": "Bearer key"}
        return self.server.handle(method, f"/v1{path}", key, b"" if body is None else json.dumps(body).encode())

    def _create(self, body: dict[str, Any], sid: str) -> None:
        self.office.jambonz.create_call(body, call_sid=sid, account_sid=self.server.account_sid)


class Lines(Exchange):
    """It knows the calls that came in, too."""

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        sid = path.rsplit("/", 1)[-1]
        known = self.office.jambonz.calls.get(sid)
        if known is not None:
            assert path == f"/Accounts/{known.info.account_sid}/Calls/{sid}", "the call's own account"
            self.server.calls.add(sid)
            path = f"/Accounts/{self.server.account_sid}/Calls/{sid}"
        return await super().request(method, path, body)


async def ring(office: Office, callee: Callee, **options: Any) -> CallSession:
    """Have somebody rung who is like ``callee``."""
    office.jambonz.callees[f"+{CALLED}"] = callee
    [listener] = office.store.listeners.values()
    return await office.switchboard.placing.originate(listener, CALLED, from_=FROM, **options)


async def rung(office: Office, callee: Callee, **options: Any) -> CallReport:
    """The same, until the call is over, and nothing of it is left."""
    await ring(office, callee, **options)
    [report] = await office.jambonz.placed()
    await asyncio.sleep(0.5)
    await office.recorder.settled()
    left_nothing(office)
    return report


def left_nothing(office: Office) -> None:
    assert office.switchboard.calls == ()
    assert office.jambonz.calls == {}
    assert office.store.places.taken == {}
