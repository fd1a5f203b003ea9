"""What the simulator posts is what Jambonz's own JSON Schemas of its callbacks describe."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jambonz.simulator.caller import Caller, Dtmf, HangUp, Wait
from jambonz.simulator.outcomes import DialOutcome, Outcomes
from tests.clock import run_virtual
from tests.jambonz.simulator.service import LISTEN, Service

SCHEMAS = Path(__file__).parents[2] / "node" / "node_modules" / "@jambonz" / "schema" / "callbacks"


@cache
def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="there is no jsonschema to validate with")
    referencing = pytest.importorskip("referencing", reason="there is no referencing to resolve schemas with")
    if not SCHEMAS.is_dir():
        pytest.skip("Jambonz's schemas are not installed; npm ci in tests/node installs them")
    schemas = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")]
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas
    )
    found = {"$ref": f"https://jambonz.org/schema/callbacks/{name}"}
    return jsonschema.Draft202012Validator(found, registry=registry)


def test_hooks_satisfy_the_schemas() -> None:
    validate_all = {
        name: validator(name)
        for name in ("session-new", "call-status", "listen", "dial", "play", "gather", "sip-refer", "sip-request")
    } | {"event": validator("sip-refer-event")}
    service = Service(
        [
            {"verb": "tag", "data": {"a": 1}},
            {**LISTEN, "finishOnKey": "#", "actionHook": "/listen"},
            {"verb": "play", "url": "http://a/b.wav", "actionHook": "/play"},
            {"verb": "gather", "timeout": 1, "actionHook": "/gather"},
            {"verb": "dial", "target": [{"type": "phone", "number": "1"}], "actionHook": "/dial"},
            {"verb": "sip:request", "method": "INFO", "actionHook": "/sip-request"},
            {"verb": "sip:refer", "referTo": "1", "actionHook": "/sip-refer", "eventHook": "/event"},
        ],
    )
    jambonz = service.jambonz(outcomes=Outcomes(dials=(DialOutcome("busy", 486),)))
    caller = Caller([Wait(1), Dtmf("#"), Wait(30), HangUp()])
    report = run_virtual(jambonz.place_call(to="+1", from_="+2", caller=caller))
    assert report.ended_by == "caller"

    names = {"jambonz/call": "session-new", "jambonz/status": "call-status"}
    seen = set()
    for path, payload, _, _ in service.hooks:
        name = names.get(path[1:], path[1:])
        validate_all[name].validate(payload)
        seen.add(name)
    assert seen == set(validate_all)


def test_a_redirect_satisfies_its_schema() -> None:
    redirect = validator("session-redirect")
    service = Service([{"verb": "answer"}, {"verb": "pause", "length": 5}], elsewhere=[{"verb": "hangup"}])
    jambonz = service.jambonz()

    async def run() -> None:
        placing = asyncio.create_task(jambonz.place_call(to="1", from_="2", caller=Caller([])))
        await asyncio.sleep(1)
        [sid] = jambonz.calls
        jambonz.update_call(sid, {"call_hook": "/elsewhere"})
        await placing

    run_virtual(run())
    redirect.validate(service.posted("/elsewhere")[0])


def test_the_schemas_can_say_no() -> None:
    assert not validator("call-status").is_valid({"call_status": "dead"})
    assert not validator("sip-refer").is_valid({})
