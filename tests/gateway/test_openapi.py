"""The OpenAPI document: its examples are what the service takes and answers, and the page begins with them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.api import OPERATIONS, examples
from gateway.api.docs_page import PAGE
from gateway.api.openapi import _ALWAYS
from tests.gateway.api_service import DOCUMENT, conforms, serving


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def holds(example: Any, schema: Any) -> None:
    jsonschema.validate(example, {**schema, "components": DOCUMENT["components"]})


def test_every_operation_has_examples_that_hold() -> None:
    for name, operation in described():
        body = operation.get("requestBody")
        if body is not None:
            content = body["content"]["application/json"]
            assert "example" in content, f"{name} takes a body, and there is no example of one"
            holds(content["example"], content["schema"])
        for status, answer in operation["responses"].items():
            for media, content in answer.get("content", {}).items():
                if media != "application/json":
                    assert content["schema"] == {"type": "string", "format": "binary"}, f"{name} answers {media}"
                    continue
                assert "example" in content, f"{name} answers {status}, and there is no example of that"
                holds(content["example"], content["schema"])
        for parameter in operation["parameters"]:
            if "example" in parameter:
                holds(parameter["example"], parameter["schema"])
            else:
                assert parameter["in"] == "query", f"{name}: an example of {parameter['name']} is missing"


def test_no_example_is_left_over() -> None:
    ids = {operation.id for operation in OPERATIONS}
    assert set(examples.BODIES) <= ids
    assert set(examples.ANSWERS) <= ids
    used = {parameter["name"] for _, operation in described() for parameter in operation["parameters"]}
    assert set(examples.PARAMETERS) <= used
    assert set(examples.ERRORS) == {status for one in OPERATIONS for status in one.errors} | {*_ALWAYS, 408, 413}


async def test_what_the_examples_send_is_taken_and_answered_as_they_say(tmp_path: Path) -> None:
    """In the order of a walk-through. Joining, ringing somebody, and what is only there in the middle of a call, need a
    whole service: test_rooms, test_originate and test_messages."""
    ids = dict(examples.PARAMETERS)
    made = {"create_agent": "agentId", "listen": "listenerId", "create_key": "keyId", "create_trunk": "trunkId"}
    apart = {"join_listener", "join_room", "originate"}
    asked = [one for one in OPERATIONS if one.id in examples.BODIES and one.tag != "Messages" and one.id not in apart]
    async with serving(tmp_path) as api:
        for operation in sorted(asked, key=lambda one: ("create" not in one.id, one.id != "listen")):
            path, body = operation.path.format(**ids), examples.BODIES[operation.id]
            answer = await api(operation.method, path, body, status=operation.status)
            assert set(answer) == set(examples.ANSWERS[operation.id]), operation.id
            if operation.id in made:
                ids[made[operation.id]] = answer["id"]


BROWSER = """
const made = [];
const node = (tag) => ({ tag, children: [], append(...more) { this.children.push(...more); } });
const named = { key: { value: "trk_of_mine" }, operations: node("main"), schemas: node("section") };
globalThis.document = {
  createElement: (tag) => { const one = node(tag); made.push(one); return one; },
  getElementById: (id) => named[id],
};
const asked = [];
globalThis.fetch = async (url, request) => {
  if (url === "openapi.json") return { json: async () => DOCUMENT };
  asked.push({ url, ...request });
  return { status: 200, text: async () => '{"fine":true}' };
};
(0, eval)(SCRIPT);
setTimeout(async () => {
  const send = made.filter((one) => one.tag === "button");
  for (const one of send) await one.onclick();
  const first = asked.splice(0);
  for (const one of made) if (one.title === "Idempotency-Key") one.value = "order-7";
  for (const one of send) await one.onclick();
  console.log(JSON.stringify([first, asked]));
}, 0);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js to run the page's code")
def test_the_page_sends_the_examples_as_they_stand() -> None:
    script = re.search(r"<script>(.*)</script>", PAGE, re.DOTALL)
    assert script is not None
    given = f"const DOCUMENT = {json.dumps(DOCUMENT)}, SCRIPT = {json.dumps(script[1])};"
    run = subprocess.run(["node", "-"], input=given + BROWSER, capture_output=True, text=True, timeout=100, check=True)
    first, then = json.loads(run.stdout)
    asked = {(one["method"], one["url"]): one for one in first}
    assert len(asked) == len(OPERATIONS)
    assert not any("Idempotency-Key" in one["headers"] for one in first), "it is there to be chosen"
    [again] = [one for one in then if "Idempotency-Key" in one["headers"]]
    assert again["url"].endswith("/originate")
    assert again["headers"]["Idempotency-Key"] == "order-7"
    for operation in OPERATIONS:
        path = f"/api{operation.path.format(**examples.PARAMETERS)}"
        sent = asked[operation.method, path]
        assert sent["headers"]["Authorization"] == "Bearer trk_of_mine"
        if operation.body:
            assert json.loads(sent["body"]) == examples.BODIES[operation.id]


def test_a_body_is_required_where_nothing_would_be_wrong() -> None:
    required = {name for name, operation in described() if operation.get("requestBody", {}).get("required")}
    assert {"create_agent", "create_phone_endpoint", "create_key", "originate", "say", "update_call"} <= required
    assert required.isdisjoint({"update_agent", "listen", "join_room", "rotate_key", "hang_up", "update_trunk"})


def test_a_header_is_described_where_it_is_read() -> None:
    """And nowhere else: a client that reads the document knows which requests may be sent again."""
    takes = {
        name: parameter
        for name, operation in described()
        for parameter in operation["parameters"]
        if parameter["in"] == "header"
    }
    assert set(takes) == {"originate"}
    key = takes["originate"]
    assert (key["name"], key["required"]) == ("Idempotency-Key", False)
    assert "409" in key["description"]
    for good in ("a", "reminder-4711", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "~" * 255):
        holds(good, key["schema"])
    for bad in ("", "a" * 256, "a b", "é", 7):
        with pytest.raises(jsonschema.ValidationError):
            holds(bad, key["schema"])


@pytest.mark.parametrize("path", ["/openapi.json", "/api-docs"])
async def test_the_document_is_at_both_its_places(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as api, api.client.get(f"/api{path}") as answer:
        assert await answer.json() == DOCUMENT


def test_an_error_example_is_an_error() -> None:
    for status, example in examples.ERRORS.items():
        assert example["error"].strip(), status
    conforms("GET", "/agents", 401, {"details": None, **examples.ERRORS[401]})


def test_what_a_docstring_says_beyond_its_first_line_is_the_description() -> None:
    description = dict(described())["update_agent"]["description"]
    assert description.startswith(
        "What is never given back of the options (hashKey of a callHook, key of recording) stays "
    )
    assert description.endswith("goes with null. Needs the scope `agents:write`.")
