"""The served OpenAPI against the service, by schemathesis: what it makes up of the document is sent over real HTTP, by
two tenants, and no answer is a fault of ours, undocumented, or somebody else's.

``SCHEMATHESIS_EXAMPLES`` is how many requests there are for an operation, and ``SCHEMATHESIS_DATABASE_URL`` an empty
database of PostgreSQL to run upon. A longer run, with all it can think of:

    SCHEMATHESIS_EXAMPLES=100 SCHEMATHESIS_PHASES=examples,coverage,fuzzing,stateful \\
        pytest --timeout 0 tests/gateway/test_schemathesis.py
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Set
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import schemathesis
from blockbuster import BlockBuster
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.engine import Status, events, from_schema

from tests.gateway.service import serving
from tests.simulators.issuer import AUDIENCE, SimulatedIssuer, serve_issuer

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "1"))
PHASES = set(os.environ.get("SCHEMATHESIS_PHASES", "examples,fuzzing,stateful").split(","))

CHAIN_SECONDS = 8
"""Of requests that follow from the answers to others, unless it is a longer run: there is no end of them, and how many
come in that time is the machine's affair. What is sent before is the same on any machine."""

DATABASE_URL = os.environ.get("SCHEMATHESIS_DATABASE_URL")

PEERS = ("ann", "bob")
MARK = "what-nobody-else-may-read"


def configuration(directory: Path, base_url: str, issuer: SimulatedIssuer, phases: Set[str]) -> SchemathesisConfig:
    """Two users of the issuer, who are of no common organisation. Nobody can take their tokens away from them, as keys
    could be, which schemathesis finds and deletes."""
    users = directory / "users.json"
    tokens = {name: issuer.token(sub=name, exp=4_000_000_000) for name in PEERS}
    auth = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    users.write_text(json.dumps({"auth": auth}))
    return SchemathesisConfig.from_dict(
        {
            "base-url": base_url,
            "cache": {"enabled": False},
            "continue-on-failure": True,
            **({"max-time": CHAIN_SECONDS} if EXAMPLES < 10 and "stateful" in phases else {}),
            "request-timeout": 30,
            "auth": {"wfc": {"path": str(users), "peers": list(PEERS)}},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "no-shrink": EXAMPLES < 10},
            "phases": {
                **{name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")},
                "stateful": {"enabled": "stateful" in phases, "max-steps": 8},
            },
            "checks": {
                # In words, for what is not installed; and where nothing listens to the database.
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", 501]},
                # Rules between fields, and those of an organisation's trunks, are not in the document.
                "positive_data_acceptance": {"enabled": False},
            },
        }
    )


def run(document: dict[str, Any], config: SchemathesisConfig) -> tuple[list[str], int]:
    """What is wrong, and how many requests were sent. Blocking."""
    wrong: list[str] = []
    sent = 0
    for event in from_schema(schemathesis.openapi.from_dict(document, config=config)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(str(event))
        if not isinstance(event, events.ScenarioFinished):
            continue
        for interaction in event.recorder.interactions.values():
            sent += 1
            answer = interaction.response
            if answer is not None and MARK in answer.text:
                wrong.append(f"{interaction.request.method} {interaction.request.uri} told of somebody else's")
        if event.status in (Status.FAILURE, Status.ERROR):
            for checks in event.recorder.checks.values():
                wrong += [
                    f"{event.label}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
                    for check in checks
                    if check.failure_info is not None and not _means_the_same(check.failure_info.failure)
                ]
    return wrong, sent


def _means_the_same(failure: Failure) -> bool:
    """What is of another type and means the same is taken: "1" for 1, 0 for false. (true for 1 is not.)"""
    return isinstance(failure, AcceptedNegativeData) and "Incorrect type" in failure.message


@pytest.mark.realtime
async def test_whatever_is_made_up_of_the_document_is_answered_as_it_says(
    tmp_path: Path, no_blocking_calls: BlockBuster
) -> None:
    """Some hundreds of requests over real HTTP: they take as long as they take."""
    no_blocking_calls.deactivate()  # of schemathesis: it runs in a thread, with a loop of its own here and there
    async with (
        serve_issuer() as issuer,
        serving(
            tmp_path,
            oidc_issuers=issuer.url,
            oidc_audience=AUDIENCE,
            requests_per_second=0,
            max_calls=50,
            database_url=DATABASE_URL,
        ) as service,
        aiohttp.ClientSession() as http,
    ):
        headers = {"Authorization": f"Bearer {issuer.token(sub='eve')}"}
        agent = {"name": MARK, "modelName": "scripted/echo", "prompt": MARK}
        async with http.post(f"{service.url}/api/agents", json=agent, headers=headers) as answer:
            assert answer.status == 200
        async with http.get(f"{service.url}/api/openapi.json") as answer:
            document = await answer.json()
        for phases in filter(None, (PHASES - {"stateful"}, PHASES & {"stateful"})):
            config = configuration(tmp_path, service.url, issuer, phases)
            wrong, sent = await asyncio.to_thread(run, document, config)
            print(f"{sent} requests: {', '.join(sorted(phases))}")
            assert not wrong, "\n\n".join(wrong)
            assert sent > (0 if "stateful" in phases else len(document["paths"]))
        await service.switchboard.live.drain(0)
