"""The API on loopback over a fresh store; every answer is held against the OpenAPI that the service gives out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from gateway.api import OPERATIONS, setup
from gateway.api.openapi import document
from gateway.keys import PROVISIONER, RECORDINGS, SETTINGS, STORE
from gateway.provisioner import Provisioner
from gateway.recordings.keeper import Recordings
from gateway.recordings.places import Folder
from gateway.settings import Settings
from store import DEFAULT_OWNER, Owner, Store

KEY, OTHER_KEY = "key-of-the-default-user", "key-of-somebody-else"
DOCUMENT = document(OPERATIONS)
AGENT: dict[str, Any] = {"modelName": "scripted/echo", "prompt": "Echo."}


@dataclass(slots=True)
class Api:
    """``owner`` has ``KEY``, ``other`` (of another organisation) has ``OTHER_KEY``."""

    client: TestClient[Request, Application]
    store: Store
    owner: Owner
    other: Owner

    async def __call__(
        self, method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = KEY, **query: Any
    ) -> Any:
        """The JSON of the answer (None for an empty one), whose status and shape have to be as documented."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        params = [(name, str(one)) for name, v in query.items() for one in (v if isinstance(v, list) else [v])]
        async with self.client.request(method, f"/api{path}", json=body, headers=headers, params=params) as answer:
            text = await answer.text()
            assert answer.status == status, f"{method} {path}: {answer.status} {text}"
            given = await answer.json() if text else None
        conforms(method, path, status, given)
        return given

    async def agent(self, **changes: Any) -> Any:
        return await self("POST", "/agents", {**AGENT, **changes})

    async def number(self, number: str = "+442080996945") -> Any:
        return await self("POST", "/phone-endpoints", {"type": "e164-ddi", "number": number}, status=201)

    async def listener(self, agent_id: str, **body: Any) -> Any:
        return await self("POST", f"/agents/{agent_id}/listen", body)


def conforms(method: str, path: str, status: int, answer: Any) -> None:
    """Raises unless the OpenAPI says that ``method path`` may answer so."""
    for template, methods in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), f"/api{path}") and method.lower() in methods:
            content = methods[method.lower()]["responses"][str(status)].get("content")
            if content is None:
                assert answer is None
            else:
                schema = content["application/json"]["schema"]
                jsonschema.validate(answer, {**schema, "components": DOCUMENT["components"]})
            return
    raise AssertionError(f"the OpenAPI does not have {method} {path}")


@asynccontextmanager
async def serving(directory: Path, **settings: Any) -> AsyncIterator[Api]:
    store = await Store.open(f"sqlite:///{directory}/db.sqlite3", data_dir=directory, credentials_key="c")
    app = Application()
    app[STORE] = store
    app[SETTINGS] = Settings(**settings)
    app[PROVISIONER] = Provisioner(None)
    app[RECORDINGS] = recordings = Recordings(store.recordings, directory / "recording", Folder(directory / "kept"))
    setup(app)
    try:
        other = await store.accounts.create_organisation("other")
        await store.accounts.add_key(DEFAULT_OWNER, "mine", KEY)
        await store.accounts.add_key(other, "other", OTHER_KEY)
        async with TestClient(TestServer(app)) as client:
            yield Api(client, store, DEFAULT_OWNER, other)
    finally:
        await recordings.close()
        await store.close()
