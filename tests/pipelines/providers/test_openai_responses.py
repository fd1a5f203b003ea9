from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import TypeAdapter

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.openai_models import (
    api_for,
    chat_fields,
    model_settings,
    quickest_effort,
    responses_fields,
)
from pipelines.providers.openai_responses import ResponsesConnection, ResponsesModel
from pipelines.providers.registry import Registry
from tests.simulators import openai_chat
from tests.simulators.openai_responses import (
    KEY,
    ResponsesServer,
    refusal,
    response,
    serve_responses,
    text,
    thought,
    tool,
)
from tests.simulators.sse_server import Reply
from tests.steady import PATIENCE

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
TOOL = ToolSpec("book", "Books", {"type": "object", "properties": {"day": {"type": "string"}}})
BYE = ToolSpec("bye", "Hangs up", {"type": "object", "properties": {}})
USAGE = Usage(20, 12, 7, reasoning_tokens=4, cache_write_tokens=5)
QUICK = {"reasoning": {"effort": "none"}}
SLOW = {"reasoning": {"effort": "low"}}


@pytest.fixture
async def server() -> AsyncGenerator[ResponsesServer, None]:
    async with serve_responses() as server:
        yield server
        assert server.mistakes == []


@pytest.fixture
async def connection(server: ResponsesServer) -> AsyncGenerator[ResponsesConnection, None]:
    connection = ResponsesConnection(api_key=KEY, base_url=server.base_url)
    yield connection
    await connection.close()


async def collect(model: ResponsesModel, messages: list[Message] | None = None, *tools: ToolSpec) -> list[ModelEvent]:
    async with asyncio.timeout(PATIENCE):
        return [event async for event in model.generate(messages or ASKED, tools)]


async def fault(connection: ResponsesConnection) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(ResponsesModel(connection, "gpt-5.4"), None, TOOL)
    return caught.value


async def test_streams_text_then_usage(server: ResponsesServer, connection: ResponsesConnection) -> None:
    model = ResponsesModel(connection, "gpt-5.4", temperature=0.25, fields=QUICK)
    await model.prepare()
    assert await collect(model) == [TextDelta("Hello"), TextDelta(" there"), TextDelta("."), USAGE]
    [request] = server.requests
    assert request == {
        "model": "gpt-5.4",
        "stream": True,
        "store": False,
        "temperature": 0.5,
        "reasoning": {"effort": "none"},
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hello?"}],
    }


async def test_text_is_passed_on_before_the_answer_is_complete(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    server.replies = [Reply(response(text("One", " two")), hang_after=5)]
    async with aclosing(ResponsesModel(connection, "m").generate(ASKED)) as events:
        async with asyncio.timeout(PATIENCE):
            assert await anext(events) == TextDelta("One")


async def test_a_whole_conversation_is_sent_in_the_vendors_shape(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    calls = (ToolCall("call_1", "book", {"day": "Tuesday"}), ToolCall("call_2", "book", {"day": "Friday"}))
    messages = [
        *ASKED,
        Message("assistant", "One moment.", tool_calls=calls),
        Message("tool", "done", tool_call_id="call_1", name="book"),
        Message("tool", "", tool_call_id="call_2", name="book"),
        Message("system", "The caller is in a hurry."),
        Message("assistant", "It is done."),
        Message("user", "Thanks."),
    ]
    await collect(ResponsesModel(connection, "m"), messages, TOOL, BYE)
    [request] = server.requests
    assert [item.get("role") or item["type"] for item in request["input"]] == [
        "user",
        "assistant",
        *["function_call"] * 2,
        *["function_call_output"] * 2,
        "developer",
        "assistant",
        "user",
    ]
    assert request["instructions"] == "Be brief."
    assert [described["name"] for described in request["tools"]] == ["book", "bye"]
    server.requests.clear()
    await collect(ResponsesModel(connection, "m"), [Message("system", " "), Message("assistant", "Welcome.")])
    assert "instructions" not in server.requests[0]


async def test_tools_are_called_and_thoughts_before_them_given_back(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    book = tool("call_a", "book", '{"day": "Tu', 'esday"}')
    server.replies = [
        Reply(response(thought("rs_1"), text("One moment."), thought("rs_2"), book, tool("call_b", "bye"))),
        Reply(response(text("Done."))),
    ]
    model = ResponsesModel(connection, "gpt-5.4", fields=SLOW)
    first = await collect(model, None, TOOL, BYE)
    calls = [ToolCall("call_a", "book", {"day": "Tuesday"}), ToolCall("call_b", "bye", {})]
    assert first == [TextDelta("One moment."), *calls, USAGE]
    assert server.requests[0]["include"] == ["reasoning.encrypted_content"]
    said = Message("assistant", "One moment.", tool_calls=tuple(calls))
    results = [Message("tool", "ok", tool_call_id=call.id, name=call.name) for call in calls]
    assert TextDelta("Done.") in await collect(model, [*ASKED, said, *results], TOOL, BYE)
    kinds = [item.get("id") or item.get("role") or item["type"] for item in server.requests[1]["input"]]
    assert kinds == ["user", "rs_1", "rs_2", "assistant", *["function_call"] * 2, *["function_call_output"] * 2]
    # Another call's model has not thought them.
    await collect(ResponsesModel(connection, "gpt-5.4", fields=SLOW), [*ASKED, said, *results], TOOL, BYE)
    assert "rs_1" not in str(server.requests[2])


async def test_thoughts_that_are_not_sealed_cannot_be_given_back(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    server.replies = [
        Reply(response(thought("rs_1", sealed=False), tool("call_a", "bye"))),
        Reply(response(text("Bye."))),
    ]
    model = ResponsesModel(connection, "gpt-5.4", fields=QUICK)
    [call, _] = await collect(model, None, BYE)
    assert isinstance(call, ToolCall)
    after = [Message("assistant", "", tool_calls=(call,)), Message("tool", "ok", tool_call_id=call.id, name="bye")]
    assert TextDelta("Bye.") in await collect(model, [*ASKED, *after], BYE)
    assert "include" not in server.requests[0]


async def test_a_refusal_is_said(server: ResponsesServer, connection: ResponsesConnection) -> None:
    server.replies = [Reply(response(refusal("I cannot help with that.")))]
    assert (await collect(ResponsesModel(connection, "m")))[0] == TextDelta("I cannot help with that.")


@pytest.mark.parametrize("arguments", ['{"day": "Tu', "[1]", "Tuesday"])
async def test_arguments_that_are_no_object_are_an_error(
    server: ResponsesServer, connection: ResponsesConnection, arguments: str
) -> None:
    server.replies = [Reply(response(tool("call_a", "book", arguments)))]
    error = await fault(connection)
    assert (error.kind, "'book'" in str(error)) == ("protocol", True)


async def test_an_answer_that_is_too_long_is_said_and_a_call_that_is_cut_off_not_made(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    cut = {"incomplete_details": {"reason": "max_output_tokens"}}
    server.replies = [Reply(response(text("And so"), ends="incomplete", **cut))]
    assert await collect(ResponsesModel(connection, "m")) == [TextDelta("And so"), USAGE]
    server.replies = [Reply(response(tool("a", "book", '{"d', status="incomplete"), ends="incomplete", **cut))]
    assert "cut off" in str(await fault(connection))
    server.replies = [Reply(response(ends="incomplete", incomplete_details={"reason": "content_filter"}))]
    assert (await fault(connection)).kind == "bad_request"


@pytest.mark.parametrize(
    ("error", "kind"),
    [("server_error", "server"), ("rate_limit_exceeded", "rate_limit"), ("invalid_prompt", "bad_request")],
)
async def test_an_error_in_mid_stream(
    server: ResponsesServer, connection: ResponsesConnection, error: str, kind: str
) -> None:
    server.replies = [Reply(response(text("Half", " of", " it")), error_after=6, error=error, message="Overloaded")]
    events = ResponsesModel(connection, "m").generate(ASKED)
    assert [await anext(events), await anext(events)] == [TextDelta("Half"), TextDelta(" of")]
    with pytest.raises(ProviderError, match="Overloaded") as caught:
        await anext(events)
    assert caught.value.kind == kind
    server.replies = [Reply(response(text("Half"), ends="failed", error={"code": error, "message": "Overloaded"}))]
    with pytest.raises(ProviderError, match="Overloaded") as caught:
        await collect(ResponsesModel(connection, "m"))
    assert (caught.value.kind, connection.retries) == (kind, 0)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(response(text("Half", " of")), break_after=5), "connect"),
        (Reply(response(text("Half"))[:-1]), "connect"),
        (Reply(response(text("No.")), content_type="text/html"), "protocol"),
        (Reply(garbage="data: {not json\n\n"), "protocol"),
        (Reply(garbage="data: [1]\n\n"), "protocol"),
        (Reply(garbage="data: " + "[" * 100_000 + "\n\n"), "protocol"),
        (Reply(garbage='data: {"type": "response.output_text.delta"}\n\n'), "protocol"),
        (Reply(garbage='data: {"type": "response.completed", "response": 5}\n\n'), "protocol"),
        (Reply(garbage="x" * 5_000_000), "protocol"),
        (Reply(garbage="data: [DONE]\n\n"), "connect"),
    ],
)
async def test_answers_that_break(
    server: ResponsesServer, connection: ResponsesConnection, reply: Reply, kind: str
) -> None:
    server.replies = [reply]
    assert (await fault(connection)).kind == kind


async def test_compatible_servers_may_be_sparing(server: ResponsesServer, connection: ResponsesConnection) -> None:
    """No usage, calls that come whole and without an id of theirs, and the end of the older kind of stream."""
    call = '{"type": "function_call", "name": "bye", "arguments": ""}'
    lines = [
        '{"type": "response.output_text.delta", "delta": "Yes."}',
        '{"type": "response.output_text.delta", "delta": ""}',
        f'{{"type": "response.output_item.done", "item": {call}}}',
        '{"type": "response.completed", "response": {"usage": {"input_tokens": "many", "input_tokens_details": 5}}}',
        "[DONE]",
    ]
    server.replies = [Reply(garbage="".join(f"data: {line}\n\n" for line in lines))]
    said, called, used = await collect(ResponsesModel(connection, "m"))
    assert (said, used) == (TextDelta("Yes."), Usage())
    assert isinstance(called, ToolCall)
    assert called.id.startswith("call_")


# Which API, and how much reasoning


@pytest.mark.parametrize(
    ("model", "api", "effort"),
    [
        ("gpt-4o", "chat", None),
        ("gpt-4.1-mini", "chat", None),
        ("gpt-3.5-turbo", "chat", None),
        ("ft:gpt-4o-mini:acme", "chat", None),
        ("llama3", "chat", None),
        ("gpt-oss-120b", "chat", None),
        ("gpt-5", "responses", "minimal"),
        ("gpt-5-mini-2025-08-07", "responses", "minimal"),
        ("gpt-5-chat-latest", "responses", None),
        ("gpt-5-codex", "responses", "low"),
        ("gpt-5.1", "responses", "none"),
        ("gpt-5.4-mini", "responses", "none"),
        ("gpt-5.5-pro", "responses", None),
        ("gpt-6-astra", "responses", "none"),
        ("gpt-6.1-sol", "responses", "none"),
        ("gpt-12", "responses", "none"),
        ("o3", "responses", "low"),
        ("o4-mini", "responses", "low"),
    ],
)
def test_the_api_and_the_least_reasoning_of_a_model(model: str, api: str, effort: str | None) -> None:
    assert (api_for(model), quickest_effort(model)) == (api, effort)


async def test_what_a_model_refuses_it_is_not_sent_again(
    server: ResponsesServer, connection: ResponsesConnection
) -> None:
    for _ in range(2):
        model = ResponsesModel(connection, "gpt-6-astra", temperature=0.5, fields={"reasoning": {"effort": "minimal"}})
        assert TextDelta("Hello") in await collect(model)
    asked = [(request.get("reasoning"), request.get("temperature")) for request in server.requests]
    assert asked == [({"effort": "minimal"}, 1.0), (None, 1.0), (None, None), (None, None)]
    assert connection.retries == 0


async def test_reasoning_that_the_agent_asks_for_is_not_left_out_in_silence(server: ResponsesServer) -> None:
    providers = Registry({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url})
    options = {"vendorSpecific": {"openai": {"reasoning": {"effort": "minimal"}}}}
    model = providers.language_model("openai/gpt-6-astra", options)
    with pytest.raises(ProviderError, match="'minimal' is not supported") as caught:
        [event async for event in model.generate(ASKED)]
    assert caught.value.kind == "bad_request"
    await providers.close_all()


async def test_models_by_name(server: ResponsesServer) -> None:
    settings = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url.removesuffix("/v1")}
    providers = Registry(settings)
    specific = {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "speech": {"speed": 1}}
    for _ in range(2):
        for options in ({"temperature": 0.5}, {"vendorSpecific": {"openai": specific}}):
            model = providers.language_model("openai/gpt-5.4", options)
            assert model.name == "openai"
            await model.prepare()
            assert TextDelta("Hello") in [event async for event in model.generate(ASKED)]
            await model.close()
        await providers.close_all()
    assert [peer == server.peers[0] for peer in server.peers] == [True, True, False, False]
    wanted = [{"effort": "none"}, {"effort": "low"}]
    assert [request["reasoning"] for request in server.requests] == wanted * 2
    assert [request.get("text") for request in server.requests[:2]] == [None, {"verbosity": "low"}]


async def test_a_server_without_responses_is_asked_for_chat_completions_from_then_on() -> None:
    async with openai_chat.serve_chat() as server:
        providers = Registry({"OPENAI_API_KEY": openai_chat.KEY, "OPENAI_BASE_URL": server.base_url})
        for _ in range(2):
            model = providers.language_model("openai/gpt-5.6-sol", {"temperature": 0.5})
            await model.prepare()
            events = [event async for event in model.generate(ASKED, [TOOL])]
            assert events[0] == TextDelta("Hello")
        assert [request["reasoning_effort"] for request in server.requests] == ["none"] * 3
        assert ["temperature" in request for request in server.requests] == [True, False, False]
        assert server.elsewhere == ["/v1/responses"]
        insisting = {"vendorSpecific": {"openai": {"api": "responses"}}}
        with pytest.raises(ProviderError, match="404"):
            [event async for event in providers.language_model("openai/gpt-5.6-sol", insisting).generate(ASKED)]
        await providers.close_all()
        assert server.mistakes == []


async def test_a_model_that_is_not_there_is_no_missing_api(server: ResponsesServer) -> None:
    providers = Registry({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url})
    server.replies = [
        Reply(status=404, message="There is no gpt-9.", error="model_not_found"),
        Reply(response(text("Yes."))),
    ]
    model = providers.language_model("openai/gpt-9", {})
    with pytest.raises(ProviderError, match=r"There is no gpt-9\."):
        [event async for event in model.generate(ASKED)]
    assert TextDelta("Yes.") in [event async for event in model.generate(ASKED)]
    await providers.close_all()


def test_settings_in_the_vendors_words() -> None:
    asked = {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "max_output_tokens": 99}
    settings = model_settings({"openai": {**asked, "api": "chat"}})
    assert responses_fields("gpt-5.4", settings) == asked
    assert chat_fields("gpt-5.4", settings) == {
        "reasoning_effort": "low",
        "verbosity": "low",
        "max_completion_tokens": 99,
    }
    assert responses_fields("gpt-4o", {}) == chat_fields("gpt-4o", {}) == {}
    for wrong, sentence in (
        ({"openai": 5}, "no object"),
        ({"openai": {"reasonin": {}}}, r"has no reasonin; it takes api, .*, reasoning, service_tier, speech, text"),
        ({"openai": {"api": "completions"}}, "it is responses or chat"),
        ({"openai": {"reasoning": "low"}}, r"openai\.reasoning is no object"),
    ):
        with pytest.raises(ValueError, match=sentence):
            model_settings(wrong)


# The judge of the simulation


async def test_the_vendors_own_sdk_understands_the_simulator(sdk: Any, server: ResponsesServer) -> None:
    """Unchanged, it holds a conversation with a tool, and hears of errors."""
    book = tool("call_a", "book", '{"day": "Tu', 'esday"}')
    server.replies = [Reply(response(thought("rs_1"), text("One", " moment."), book)), Reply(response(text("Done.")))]
    client = await asyncio.to_thread(sdk.AsyncOpenAI, api_key=KEY, base_url=server.base_url, max_retries=0)
    described = {"type": "function", "name": "book", "description": "Books", "strict": False}
    asked = [{"role": "user", "content": "Tuesday."}]

    async def ask(items: list[Any]) -> tuple[list[str], Any]:
        async with client.responses.stream(
            model="gpt-5.4",
            input=items,
            tools=[{**described, "parameters": dict(TOOL.parameters)}],
            store=False,
            reasoning={"effort": "low"},
            include=["reasoning.encrypted_content"],
        ) as stream:
            words = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            return words, await stream.get_final_response()

    try:
        words, said = await ask(asked)
        assert words == ["One", " moment."]
        sealed, _, called = said.output
        assert (called.name, called.arguments, sealed.encrypted_content) == (
            "book",
            '{"day": "Tuesday"}',
            "sealed rs_1",
        )
        usage = said.usage
        assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (12, 4)
        given = [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed rs_1"}]
        given += [{"type": "function_call", "call_id": "call_a", "name": "book", "arguments": called.arguments}]
        given += [{"type": "function_call_output", "call_id": "call_a", "output": "ok"}]
        assert (await ask([*asked, *given]))[1].output_text == "Done."
        server.replies = [Reply(status=429)]
        with pytest.raises(sdk.RateLimitError):
            await ask(asked)
        server.replies = [Reply(response(text("Half", " of", " it")), error_after=5)]
        with pytest.raises(RuntimeError, match="completed"):  # the error is an event to it, and there is no response
            await ask(asked)
    finally:
        await client.close()


def test_every_event_is_one_of_the_sdks(sdk: Any) -> None:
    from openai.types.responses import ResponseStreamEvent

    known = TypeAdapter[Any](ResponseStreamEvent)
    answers = [
        response(thought("rs_1"), text("One"), tool("a", "bye", "{}")),
        response(text("And"), ends="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        response(ends="failed", error={"code": "server_error", "message": "no"}),
    ]
    for event in (event for answer in answers for event in answer):
        assert known.validate_python(event).type == event["type"]


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Imported outside the loop: it reads hundreds of files."""
    import openai

    return openai
