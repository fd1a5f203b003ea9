from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.openai import OpenAIChatModel, OpenAIConnection
from tests.simulators.openai_chat import KEY, ChatServer, Reply, serve_chat, text

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
TOOL = ToolSpec("book", "Books", {"type": "object", "properties": {"day": {"type": "string"}}})


@pytest.fixture
async def server() -> AsyncGenerator[ChatServer, None]:
    async with serve_chat() as server:
        yield server
        assert server.mistakes == []


@pytest.fixture
async def connection(server: ChatServer) -> AsyncGenerator[OpenAIConnection, None]:
    connection = OpenAIConnection("openai", api_key=KEY, base_url=server.base_url)
    yield connection
    await connection.close()


async def answer(model: OpenAIChatModel, messages: list[Message] | None = None, *tools: ToolSpec) -> list[ModelEvent]:
    return [event async for event in model.generate(messages or ASKED, tools)]


async def fault(model: OpenAIChatModel) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer(model, None, TOOL)
    return caught.value


async def test_streams_text_then_usage(server: ChatServer, connection: OpenAIConnection) -> None:
    model = OpenAIChatModel(connection, "gpt-4o", temperature=0.25)
    await model.prepare()
    assert await answer(model) == [TextDelta("Hello"), TextDelta(" there"), TextDelta("."), Usage(12, 5, 3)]
    [request] = server.requests
    assert (request["model"], request["temperature"]) == ("gpt-4o", 0.5)
    assert request["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    assert "tools" not in request


async def test_a_server_that_reports_no_usage_is_tolerated(server: ChatServer, connection: OpenAIConnection) -> None:
    server.replies = [Reply(text("Yes."), usage=False)]
    assert await answer(OpenAIChatModel(connection, "llama3")) == [TextDelta("Yes.")]


async def test_a_whole_conversation_with_tools_is_sent(server: ChatServer, connection: OpenAIConnection) -> None:
    call = ToolCall("call_1", "book", {"day": "Tuesday"})
    messages = [
        *ASKED,
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "done", tool_call_id="call_1", name="book"),
        Message("assistant", "It is done."),
        Message("user", "Thanks."),
    ]
    await answer(OpenAIChatModel(connection, "gpt-4o"), messages, TOOL)
    assert [message["role"] for message in server.requests[0]["messages"]][2:] == [
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert server.requests[0]["tools"][0]["function"]["name"] == "book"


async def test_tool_calls_are_put_together_from_fragments(server: ChatServer, connection: OpenAIConnection) -> None:
    server.replies = [
        Reply(
            [
                {"role": "assistant", "content": "One moment."},
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "type": "function", "function": {"name": "book", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"day": "Tu'}}]},
                {
                    "tool_calls": [
                        {"index": 1, "id": "b", "type": "function", "function": {"name": "bye", "arguments": ""}}
                    ]
                },
                {"tool_calls": [{"index": 0, "function": {"arguments": 'esday"}'}}]},
            ],
            finish="tool_calls",
        )
    ]
    assert await answer(OpenAIChatModel(connection, "gpt-4o"), None, TOOL) == [
        TextDelta("One moment."),
        ToolCall("a", "book", {"day": "Tuesday"}),
        ToolCall("b", "bye", {}),
        Usage(12, 5, 3),
    ]


async def test_tool_calls_without_index_or_id_are_understood(server: ChatServer, connection: OpenAIConnection) -> None:
    function = {"name": "book", "arguments": '{"day": "Friday"}'}
    server.replies = [
        Reply([{"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}], usage=False)
    ]
    [call] = await answer(OpenAIChatModel(connection, "llama3"), None, TOOL)
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("book", {"day": "Friday"})
    assert call.id.startswith("call_")


@pytest.mark.parametrize("arguments", ['{"day": "Tu', "[1]", "Tuesday"])
async def test_arguments_that_are_no_object_are_an_error(
    server: ChatServer, connection: OpenAIConnection, arguments: str
) -> None:
    function = {"name": "book", "arguments": arguments}
    server.replies = [Reply([{"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": function}]}])]
    error = await fault(OpenAIChatModel(connection, "gpt-4o"))
    assert error.kind == "protocol"
    assert "'book'" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "requests"),
    [(400, "bad_request", 1), (404, "bad_request", 1), (403, "auth", 1), (429, "rate_limit", 1), (500, "server", 2)],
)
async def test_refusals_are_told_apart(
    server: ChatServer, connection: OpenAIConnection, status: int, kind: str, requests: int
) -> None:
    server.replies = [Reply(status=status, message=f"no, {KEY} may not")]
    error = await fault(OpenAIChatModel(connection, "gpt-4o"))
    assert error.kind == kind
    assert KEY not in str(error)
    assert len(server.requests) == requests
    assert connection.retries == requests - 1


async def test_a_wrong_key_is_named_as_such_and_not_repeated(server: ChatServer) -> None:
    connection = OpenAIConnection("openai", api_key="sk-wrong", base_url=server.base_url)
    error = await fault(OpenAIChatModel(connection, "gpt-4o"))
    assert error.kind == "auth"
    assert "sk-wrong" not in str(error)
    await connection.close()


async def test_one_failure_before_the_first_token_is_not_noticed(
    server: ChatServer, connection: OpenAIConnection
) -> None:
    server.replies = [Reply(status=503), Reply(text("Yes."))]
    assert (await answer(OpenAIChatModel(connection, "gpt-4o")))[0] == TextDelta("Yes.")
    assert connection.retries == 1


async def test_nobody_there(server: ChatServer, unused_tcp_port: int) -> None:
    connection = OpenAIConnection("ollama", api_key="", base_url=f"http://127.0.0.1:{unused_tcp_port}/v1")
    assert (await fault(OpenAIChatModel(connection, "llama3"))).kind == "connect"
    assert connection.retries == 1
    await connection.close()


async def test_a_first_token_that_comes_too_late(server: ChatServer, connection: OpenAIConnection) -> None:
    server.replies = [Reply(text("Late."), first_after=30.0)]
    assert (await fault(OpenAIChatModel(connection, "gpt-4o", first_token_seconds=0.1))).kind == "timeout"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(text("Half", " of"), break_after=2), "connect"),
        (Reply(text("Half"), finish=None, usage=False), "connect"),
        (Reply(garbage="data: {not json\n\n"), "protocol"),
        (Reply(garbage='data: {"error": {"message": "overloaded"}}\n\n'), "server"),
        (Reply(garbage="<html>a login page</html>"), "connect"),
        (Reply(garbage='data: {"choices": 5}\n\n'), "protocol"),
    ],
)
async def test_answers_that_break(server: ChatServer, connection: OpenAIConnection, reply: Reply, kind: str) -> None:
    server.replies = [reply]
    assert (await fault(OpenAIChatModel(connection, "gpt-4o"))).kind == kind


async def test_closing_the_generator_stops_the_request(server: ChatServer, connection: OpenAIConnection) -> None:
    server.replies = [Reply(text("One", " two"), hang_after=2)]
    model = OpenAIChatModel(connection, "gpt-4o")
    async with aclosing(model.generate(ASKED)) as events:
        assert await anext(events) == TextDelta("One")
    async with asyncio.timeout(2):
        await server.left.wait()


async def test_cancelling_before_the_first_token_stops_the_request(
    server: ChatServer, connection: OpenAIConnection
) -> None:
    server.replies = [Reply(text("One"), first_after=30.0)]
    task = asyncio.create_task(answer(OpenAIChatModel(connection, "gpt-4o")))
    async with asyncio.timeout(2):
        await server.arrived.wait()
        task.cancel()
        await asyncio.wait([task])
        await server.left.wait()


def test_a_temperature_is_checked_where_the_agent_is_made() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        OpenAIChatModel(OpenAIConnection("openai", api_key="", base_url="http://127.0.0.1/v1"), "m", temperature=1.5)
