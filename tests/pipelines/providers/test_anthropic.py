from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.anthropic import AnthropicConnection, AnthropicModel, model_settings
from pipelines.providers.conversation import BEGINNING, SILENCE
from tests.simulators.anthropic_messages import KEY, MessagesServer, message, serve_messages, text, thinking, tool
from tests.simulators.sse_server import Reply
from tests.steady import PATIENCE

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
TOOL = ToolSpec("book", "Books", {"type": "object", "properties": {"day": {"type": "string"}}})
BYE = ToolSpec("bye", "Hangs up", {"type": "object", "properties": {}})
USAGE = Usage(20, 12, 7, cache_write_tokens=5)


@pytest.fixture
async def server() -> AsyncGenerator[MessagesServer, None]:
    async with serve_messages() as server:
        yield server
        assert server.mistakes == []


@pytest.fixture
async def connection(server: MessagesServer) -> AsyncGenerator[AnthropicConnection, None]:
    connection = AnthropicConnection(api_key=KEY, base_url=server.base_url)
    yield connection
    await connection.close()


async def answer(
    connection: AnthropicConnection, messages: list[Message] | None = None, *tools: ToolSpec
) -> list[ModelEvent]:
    model = AnthropicModel(connection, "claude")
    return [event async for event in model.generate(messages or ASKED, tools)]


async def fault(connection: AnthropicConnection) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer(connection, None, TOOL)
    return caught.value


async def test_streams_text_then_usage(server: MessagesServer, connection: AnthropicConnection) -> None:
    model = AnthropicModel(connection, "claude-x", temperature=0.25)
    await model.prepare()
    events = [event async for event in model.generate(ASKED)]
    assert events == [TextDelta("Hello"), TextDelta(" there"), TextDelta("."), USAGE]
    [request] = server.requests
    assert (request["model"], request["temperature"]) == ("claude-x", 0.25)
    assert request["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    assert request["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]
    assert "tools" not in request


async def test_text_is_passed_on_before_the_answer_is_complete(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    server.replies = [Reply(message(text("One", " two")), hang_after=4)]
    async with aclosing(AnthropicModel(connection, "claude").generate(ASKED)) as events:
        async with asyncio.timeout(PATIENCE):
            assert await anext(events) == TextDelta("One")


async def test_a_whole_conversation_is_sent_in_the_vendors_shape(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    calls = (ToolCall("toolu_1", "book", {"day": "Tuesday"}), ToolCall("toolu_2", "book", {"day": "Friday"}))
    messages = [
        Message("system", "Be brief."),
        Message("assistant", "Welcome."),
        Message("user", "Tuesday and Friday."),
        Message("assistant", " ", tool_calls=calls),
        Message("tool", "done", tool_call_id="toolu_1", name="book"),
        Message("tool", "", tool_call_id="toolu_2", name="book"),
        Message("user", "And?"),
        Message("assistant", ""),
        Message("user", "Hello?"),
        Message("assistant", "It is "),
        Message("assistant", " done."),
    ]
    await answer(connection, messages, TOOL, BYE)
    [request] = server.requests
    assert [(said["role"], [_gist(block) for block in said["content"]]) for said in request["messages"]] == [
        ("user", [BEGINNING]),
        ("assistant", ["Welcome."]),
        ("user", ["Tuesday and Friday."]),
        ("assistant", ["toolu_1", "toolu_2"]),
        ("user", ["toolu_1", "toolu_2", "And?", "Hello?"]),
        ("assistant", ["It is", "done."]),
        ("user", [SILENCE]),
    ]
    assert [described.get("cache_control") for described in request["tools"]] == [None, {"type": "ephemeral"}]


def _gist(block: dict[str, Any]) -> str:
    return str(block.get("text") or block.get("id") or block.get("tool_use_id"))


async def test_nothing_said_and_no_prompt(server: MessagesServer, connection: AnthropicConnection) -> None:
    await answer(connection, [Message("system", " ")])
    assert "system" not in server.requests[0]
    assert len(server.requests[0]["messages"]) == 1


async def test_tool_calls_are_put_together_from_fragments(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    blocks = [text("One moment."), tool(1, "toolu_a", "book", '{"day": "Tu', 'esday"}'), tool(2, "toolu_b", "bye")]
    server.replies = [Reply(message(*blocks, stop="tool_use"))]
    assert await answer(connection, None, TOOL, BYE) == [
        TextDelta("One moment."),
        ToolCall("toolu_a", "book", {"day": "Tuesday"}),
        ToolCall("toolu_b", "bye", {}),
        USAGE,
    ]


async def test_blocks_of_thought_and_of_things_to_come_are_passed_over(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    thought = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "something_new", "index": 0},
    ]
    server.replies = [Reply(message(thought, text("Yes.", index=1)))]
    assert await answer(connection) == [TextDelta("Yes."), USAGE]


@pytest.mark.parametrize("arguments", ['{"day": "Tu', "[1]", "Tuesday", '{"day":' * 4000])
async def test_arguments_that_are_no_object_are_an_error(
    server: MessagesServer, connection: AnthropicConnection, arguments: str
) -> None:
    server.replies = [Reply(message(tool(0, "toolu_a", "book", arguments), stop="tool_use"))]
    error = await fault(connection)
    assert error.kind == "protocol"
    assert "'book'" in str(error)


async def test_a_call_that_was_cut_off_is_not_made(server: MessagesServer, connection: AnthropicConnection) -> None:
    server.replies = [Reply(message(tool(0, "toolu_a", "book"), stop="max_tokens"))]
    assert "cut off" in str(await fault(connection))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(message(text("Half", " of")), break_after=5), "connect"),
        (Reply(message(text("Half"))[:-1]), "connect"),
        (Reply(message(text("No.")), content_type="text/html"), "protocol"),
        (Reply(garbage="data: {not json\n\n"), "protocol"),
        (Reply(garbage="data: [1]\n\n"), "protocol"),
        (Reply(garbage='data: {"type": "content_block_delta"}\n\n'), "protocol"),
        (Reply(garbage='data: {"type": "message_start", "message": 5}\n\n'), "protocol"),
        (Reply(garbage="x" * 3_000_000), "protocol"),
        (Reply(message(stop="refusal")), "bad_request"),
    ],
)
async def test_answers_that_break(
    server: MessagesServer, connection: AnthropicConnection, reply: Reply, kind: str
) -> None:
    server.replies = [reply]
    assert (await fault(connection)).kind == kind


async def test_the_wait_is_for_the_model_and_not_for_who_listens(server: MessagesServer) -> None:
    connection = AnthropicConnection(
        api_key=KEY, base_url=server.base_url, first_token_seconds=0.1, next_token_seconds=0.1
    )
    heard = []
    async for event in AnthropicModel(connection, "claude").generate(ASKED):
        heard.append(event)
        await asyncio.sleep(0.15)
    assert len(heard) == 4
    await connection.close()


async def test_an_answer_may_take_its_time_as_long_as_it_goes_on(server: MessagesServer) -> None:
    server.replies = [Reply(message(text(*"abcdefgh")), each_after=0.05)]
    connection = AnthropicConnection(
        api_key=KEY, base_url=server.base_url, first_token_seconds=0.4, next_token_seconds=0.4
    )
    assert len(await answer(connection)) == 9
    await connection.close()


async def test_what_is_no_stream_is_not_read_on(server: MessagesServer, connection: AnthropicConnection) -> None:
    server.replies = [Reply(message(), content_type="text/html", hang_after=1)]
    error = await fault(connection)
    async with asyncio.timeout(PATIENCE):
        await server.left.wait()
    assert "text/html" in str(error)


async def test_closing_the_connection_in_the_middle_is_an_error_and_opens_no_other(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    server.replies = [Reply(message(), hang_after=1)]
    task = asyncio.create_task(fault(connection))
    await server.arrived.wait()
    await connection.close()
    assert (await task).kind == "connect"
    assert len(server.requests) == 1
    server.replies = [Reply(message(text("Yes.")))]
    assert len(await answer(connection)) == 2


async def test_a_model_that_refuses_a_temperature_is_asked_without_it_from_then_on(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    for _ in range(2):
        model = AnthropicModel(connection, "claude-sonnet-5", temperature=0.5)
        assert TextDelta("Hello") in [event async for event in model.generate(ASKED)]
    assert ["temperature" in request for request in server.requests] == [True, False, False]
    assert connection.retries == 0
    older = AnthropicModel(connection, "claude-sonnet-4-5", temperature=0.5)
    assert TextDelta("Hello") in [event async for event in older.generate(ASKED)]
    assert server.requests[-1]["temperature"] == 0.5


THINKS = ("claude-opus-5-5", "claude-fable-5-2")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("claude-haiku-5-5", {"thinking": {"type": "disabled"}}),
        ("claude-opus-5", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-20260701", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}),
        *((name, {"output_config": {"effort": "low"}}) for name in THINKS),
        ("claude-haiku-4-5-20251001", {}),
        ("claude-opus-4-8", {}),
        ("claude-3-5-haiku-20241022", {}),
        ("my-gateway/claude", {}),
    ],
)
async def test_models_think_as_little_as_they_can(
    server: MessagesServer, connection: AnthropicConnection, model: str, fields: dict[str, Any]
) -> None:
    answered = [event async for event in AnthropicModel(connection, model).generate(ASKED)]
    assert answered[0] == TextDelta("Hello")
    [request] = server.requests
    assert {name: request[name] for name in ("thinking", "output_config") if name in request} == fields


async def test_a_model_that_cannot_but_think_is_let_think(
    server: MessagesServer, connection: AnthropicConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.providers.anthropic.claude_fields", lambda _: {"thinking": {"type": "disabled"}})
    for _ in range(2):
        assert TextDelta("Hello") in [
            event async for event in AnthropicModel(connection, "claude-opus-5-5").generate(ASKED)
        ]
    assert ["thinking" in request for request in server.requests] == [True, False, False]


async def test_what_the_agent_asks_for_is_not_left_out_in_silence(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    settings = model_settings({"anthropic": {"thinking": {"type": "disabled"}}})
    with pytest.raises(ProviderError, match="not supported for this model"):
        [event async for event in AnthropicModel(connection, "claude-opus-5-5", settings=settings).generate(ASKED)]
    wrongs: tuple[dict[str, Any], ...] = ({"anthropic": {"thinkin": {}}}, {"anthropic": 5})
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"vendorSpecific\.anthropic (has no thinkin|is no)"):
            model_settings(wrong)


async def test_what_was_thought_before_a_call_is_given_back_within_the_turn(
    server: MessagesServer, connection: AnthropicConnection
) -> None:
    """Later it would not be what it was: what came before may have changed, by what was heard of it."""
    first = message(thinking(0, "Hm.", "sig-1"), text("One moment.", index=1), tool(2, "toolu_a", "book"))
    second = message(thinking(0, "And?", "sig-2"), tool(1, "toolu_b", "bye"), stop="tool_use")
    server.replies = [Reply(first), Reply(second), Reply(message(text("Done.")))]
    model = AnthropicModel(connection, "claude-opus-5-5")
    messages = list(ASKED)
    for name, said in (("book", "One moment."), ("bye", "")):
        events = [event async for event in model.generate(messages, [TOOL, BYE])]
        call = next(event for event in events if isinstance(event, ToolCall))
        messages += [
            Message("assistant", said, tool_calls=(call,)),
            Message("tool", "ok", tool_call_id=call.id, name=name),
        ]
    assert TextDelta("Done.") in [event async for event in model.generate(messages, [TOOL, BYE])]
    kinds = [[block["type"] for block in said["content"]] for said in server.requests[2]["messages"]]
    assert kinds[1::2] == [["thinking", "text", "tool_use"], ["thinking", "tool_use"]]
    messages += [Message("assistant", "Done."), Message("user", "Thanks.")]
    await anext(aiter(model.generate(messages, [TOOL, BYE])))
    assert "thinking" not in str(server.requests[3]["messages"])


async def test_the_vendors_own_sdk_understands_the_simulator(sdk: Any, server: MessagesServer) -> None:
    """The judge of the simulation: unchanged, it holds a conversation with a tool, and hears of errors."""
    blocks = [text("One", " moment."), tool(1, "toolu_a", "book", '{"day": "Tu', 'esday"}')]
    server.replies = [Reply(message(*blocks, stop="tool_use")), Reply(message(text("Done.")))]
    client = await asyncio.to_thread(sdk.AsyncAnthropic, api_key=KEY, base_url=server.base_url, max_retries=0)
    cached = {"type": "ephemeral"}
    book = {"name": "book", "description": "Books", "input_schema": dict(TOOL.parameters), "cache_control": cached}
    asked = {"role": "user", "content": [{"type": "text", "text": "Tuesday."}]}

    async def ask(*messages: Any) -> Any:
        system = [{"type": "text", "text": "Be brief.", "cache_control": cached}]
        fields = {"model": "claude", "max_tokens": 99, "system": system, "tools": [book]}
        async with client.messages.stream(messages=list(messages), **fields) as stream:
            return [said async for said in stream.text_stream], await stream.get_final_message()

    try:
        said, called = await ask(asked)
        assert said == ["One", " moment."]
        assert (called.stop_reason, called.content[1].input) == ("tool_use", {"day": "Tuesday"})
        usage = called.usage
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (3, 12, 7)
        use = {"type": "tool_use", "id": "toolu_a", "name": "book", "input": {"day": "Tuesday"}}
        result = {"type": "tool_result", "tool_use_id": "toolu_a", "content": "ok"}
        _, done = await ask(asked, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]})
        assert done.content[0].text == "Done."
        server.replies = [Reply(status=529)]
        with pytest.raises(sdk.InternalServerError) as overloaded:
            await ask(asked)
        assert overloaded.value.status_code == 529
        server.replies = [Reply(message(text("Half", " of", " it")), error_after=4)]
        with pytest.raises(sdk.APIStatusError, match="simulated"):
            await ask(asked)
    finally:
        await client.close()


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Imported outside the loop: it reads thousands of files."""
    import anthropic

    return anthropic
