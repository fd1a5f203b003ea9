from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.openai import OPTIONAL, OpenAIChatModel, OpenAIConnection
from pipelines.providers.registry import Registry
from tests.simulators.openai_chat import KEY, ChatServer, Reply, serve_chat, text
from tests.steady import PATIENCE

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
USAGE = Usage(12, 5, 3, reasoning_tokens=1, cache_write_tokens=4, input_audio_tokens=2, output_audio_tokens=1)
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
    assert await answer(model) == [TextDelta("Hello"), TextDelta(" there"), TextDelta("."), USAGE]
    [request] = server.requests
    assert (request["model"], request["temperature"]) == ("gpt-4o", 0.5)
    assert request["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    assert "tools" not in request


async def test_half_a_character_goes_no_further(server: ChatServer, connection: OpenAIConnection) -> None:
    server.replies = [Reply(text("Good \ud83d", " morning\0."))]
    assert (await answer(OpenAIChatModel(connection, "gpt-4o")))[:2] == [TextDelta("Good ?"), TextDelta(" morning.")]


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
        USAGE,
    ]


def part(name: str = "", arguments: Any = "", **more: Any) -> dict[str, Any]:
    """A fragment of a call, with an index or an id only if they are given."""
    return {"type": "function", "function": {"name": name or None, "arguments": arguments}, **more}


FRIDAY, MONDAY = '{"day": "Friday"}', '{"day": "Monday"}'


@pytest.mark.parametrize("finish", ["stop", "tool_calls"])
@pytest.mark.parametrize(
    "deltas",
    [
        [[part("book", FRIDAY), part("book", MONDAY)]],
        [[part("book", FRIDAY)], [part("book", MONDAY)]],
        [[part("book", FRIDAY, id="a"), part("book", MONDAY, id="b")]],
        [[part("book", FRIDAY, id="a", index=0), part("book", MONDAY, id="b", index=0)]],
        [[part("book", FRIDAY, index=0)], [part("book", MONDAY, index=0)]],
        [[part("book", FRIDAY, index=0)], [part("book", MONDAY, index=1)]],
        [[part("book", json.loads(FRIDAY), id="a"), part("book", json.loads(MONDAY), id="b")]],
        [[part("book", id="a")], [part("", FRIDAY[:5])], [part("", FRIDAY[5:])], [part("book", MONDAY, id="b")]],
        [
            [part("book", id="a", index=1), part("book", id="b", index=2)],
            [part("", FRIDAY[:5], index=1), part("", MONDAY[:5], index=2)],
            [part("", MONDAY[5:], index=2), part("", FRIDAY[5:], index=1, id="a")],
        ],
    ],
    ids=["whole", "whole in two", "ids", "one index", "one index in two", "no ids", "objects", "no index", "mixed"],
)
async def test_tool_calls_of_compatible_servers_are_understood(
    server: ChatServer, connection: OpenAIConnection, deltas: list[list[dict[str, Any]]], finish: str
) -> None:
    server.replies = [Reply([{"tool_calls": calls} for calls in deltas], usage=False, finish=finish)]
    calls = await answer(OpenAIChatModel(connection, "llama3"), None, TOOL)
    made = [(call.name, call.arguments["day"]) for call in calls if isinstance(call, ToolCall)]
    assert made == [("book", "Friday"), ("book", "Monday")]
    ids = [call.id for call in calls if isinstance(call, ToolCall)]
    assert all(ids)
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["<think>The caller ", "greets.</think>", "\n\nHello."], "Hello."),
        (["<", "think", ">hm</th", "ink> Hello."], "Hello."),
        (["\n<think>\n\n</think>\n\nHello."], "Hello."),
        (["<thinking> is a word"], "<thinking> is a word"),
        (["<", "3 you"], "<3 you"),
        (["<"], "<"),
        (["Hello <think>", "as I said</think>"], "Hello <think>as I said</think>"),
        (["<think>without end"], ""),
    ],
)
async def test_thoughts_in_the_text_are_not_said(
    server: ChatServer, connection: OpenAIConnection, words: list[str], said: str
) -> None:
    server.replies = [Reply(text(*words), usage=False)]
    events = await answer(OpenAIChatModel(connection, "qwen3"))
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip() == said


@pytest.mark.parametrize(
    ("model", "refused", "missing"),
    [
        ("gpt-5.6-sol", (), {"temperature"}),
        ("llama3", ("stream_options",), {"stream_options"}),
        ("llama3", ("stream_options", "reasoning_effort", "temperature"), set(OPTIONAL)),
    ],
)
async def test_fields_that_a_model_refuses_are_left_out_from_then_on(
    server: ChatServer, connection: OpenAIConnection, model: str, refused: tuple[str, ...], missing: set[str]
) -> None:
    server.refused = frozenset(refused)
    for _ in range(2):
        asked = OpenAIChatModel(connection, model, temperature=0.5, more={"reasoning_effort": "none"})
        assert (await answer(asked, None, TOOL))[0] == TextDelta("Hello")
    assert len(server.requests) == 2 + len(missing)
    assert set(server.requests[0]) - set(server.requests[-1]) == missing
    assert connection.retries == 0
    server.mistakes.clear()  # it wants usage to be asked for


async def test_further_fields_of_compatible_servers_go_through(server: ChatServer) -> None:
    providers = Registry({"GROQ_API_KEY": KEY, "GROQ_BASE_URL": server.base_url})
    options = {"temperature": 0.5, "vendorSpecific": {"groq": {"reasoning_format": "hidden"}, "openai": {}}}
    model = providers.language_model("groq/qwen3", options)
    assert TextDelta("Hello") in [event async for event in model.generate(ASKED)]
    assert (server.requests[0]["reasoning_format"], server.requests[0]["temperature"]) == ("hidden", 1.0)
    await providers.close_all()
    wrongs: tuple[dict[str, Any], ...] = ({"groq": {"messages": []}}, {"groq": "hidden"})
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"options\.vendorSpecific\.groq (has no messages|is no object)"):
            providers.language_model("groq/qwen3", {"vendorSpecific": wrong})


@pytest.mark.parametrize(
    ("model", "effort"), [("openai/gpt-oss-20b", "low"), ("qwen/qwen3-32b", "none"), ("llama-3.3-70b", None)]
)
async def test_models_on_groq_reason_as_little_as_they_can(server: ChatServer, model: str, effort: str | None) -> None:
    providers = Registry({"GROQ_API_KEY": KEY, "GROQ_BASE_URL": server.base_url})
    made = providers.language_model(f"groq/{model}", {})
    assert TextDelta("Hello") in [event async for event in made.generate(ASKED)]
    assert server.requests[0].get("reasoning_effort") == effort
    await providers.close_all()


async def test_a_field_that_cannot_be_left_out_is_an_error(server: ChatServer, connection: OpenAIConnection) -> None:
    server.refused = frozenset({"tools"})
    error = await fault(OpenAIChatModel(connection, "llama3"))
    assert (error.kind, len(server.requests)) == ("bad_request", 1)
    assert "tools" in str(error)


@pytest.mark.parametrize(
    ("wait", "told"),
    [("17", "(retry after 17 s): slow"), ("0.5", "after 0.5 s)"), ("Fri, 01 Jan 2027 00:00:00 GMT", "00:00 GMT)")],
)
async def test_a_limit_says_when_to_come_back(
    server: ChatServer, connection: OpenAIConnection, wait: str, told: str
) -> None:
    server.replies = [Reply(status=429, message="slow down", headers={"Retry-After": wait})]
    assert told in str(await fault(OpenAIChatModel(connection, "gpt-4o")))


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
    [
        (400, "bad_request", 1),
        (404, "bad_request", 1),
        (402, "rate_limit", 1),
        (403, "auth", 1),
        (408, "timeout", 1),
        (429, "rate_limit", 1),
        (500, "server", 2),
    ],
)
async def test_refusals_are_told_apart(
    server: ChatServer, connection: OpenAIConnection, status: int, kind: str, requests: int
) -> None:
    server.replies = [Reply(status=status, message=f"no, {KEY} may not, {'x' * 160} {KEY * 20}")]
    error = await fault(OpenAIChatModel(connection, "gpt-4o"))
    assert error.kind == kind
    assert KEY[:6] not in str(error), "nor half of it, at the end of what is kept"
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


async def test_a_client_that_could_not_be_made_has_nothing_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    connection = OpenAIConnection("openai", api_key=KEY, base_url="http://127.0.0.1:1/v1")
    with pytest.raises(ProviderError, match="not installed"):
        await connection.prepare()
    await connection.close()


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
    async with asyncio.timeout(PATIENCE):
        await server.left.wait()


async def test_cancelling_before_the_first_token_stops_the_request(
    server: ChatServer, connection: OpenAIConnection
) -> None:
    server.replies = [Reply(text("One"), first_after=30.0)]
    task = asyncio.create_task(answer(OpenAIChatModel(connection, "gpt-4o")))
    async with asyncio.timeout(PATIENCE):
        await server.arrived.wait()
        task.cancel()
        await asyncio.wait([task])
        await server.left.wait()


@pytest.mark.parametrize("vendor", ["openai", "groq"])
async def test_the_vendors_own_sdks_understand_the_simulator(sdks: dict[str, Any], vendor: str) -> None:
    """The judges of the simulation: unchanged, they hold a conversation with a tool, and hear of errors."""
    sdk = sdks[vendor]
    async with serve_chat() as server:
        call = part("book", '{"day": "Tuesday"}', id="a", index=0)
        server.replies = [Reply([*text("One", " moment."), {"tool_calls": [call]}], finish="tool_calls")]
        if vendor == "openai":
            make = lambda: sdk.AsyncOpenAI(api_key=KEY, base_url=server.base_url, max_retries=0)  # noqa: E731
        else:
            make = lambda: sdk.AsyncGroq(api_key=KEY, base_url=server.base_url[:-3], max_retries=0)  # noqa: E731
        client = await asyncio.to_thread(make)

        async def ask() -> list[Any]:
            tool = {"name": "book", "description": "Books", "parameters": dict(TOOL.parameters)}
            stream = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": "Tuesday."}],
                tools=[{"type": "function", "function": tool}],
                stream=True,
                extra_body={"stream_options": {"include_usage": True}},  # Groq's SDK has no name for it
            )
            return [chunk async for chunk in stream]

        try:
            chunks = await ask()
            deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
            assert "".join(delta.content or "" for delta in deltas) == "One moment."
            [called] = [called for delta in deltas for called in delta.tool_calls or ()]
            assert (called.function.name, json.loads(called.function.arguments)) == ("book", {"day": "Tuesday"})
            usage = chunks[-1].usage
            assert (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens) == (12, 5)
            server.replies = [Reply(status=429, headers={"Retry-After": "1"})]
            with pytest.raises(sdk.RateLimitError):
                await ask()
        finally:
            await client.close()
        assert server.mistakes == []


@pytest.fixture(scope="module")
def sdks() -> dict[str, Any]:
    """Imported outside the loop: they read hundreds of files."""
    import groq
    import openai

    return {"openai": openai, "groq": groq}
