from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec, Usage
from pipelines.providers.conversation import BEGINNING, SILENCE
from pipelines.providers.google import GoogleConnection, GoogleModel, model_settings
from tests.simulators import gemini_chat
from tests.simulators.gemini_chat import KEY, GeminiServer, call, serve_gemini_chat, text
from tests.simulators.sse_server import Reply

ASKED = [Message("system", "Be brief."), Message("user", "Hello?")]
DAY = {"type": "object", "properties": {"day": {"type": "string"}}, "additionalProperties": False, "required": ["day"]}
TOOL = ToolSpec("book", "Books", DAY)
BYE = ToolSpec("bye", "Hangs up", {"type": "object", "properties": {}})
USAGE = Usage(20, 12, 7, reasoning_tokens=4, input_audio_tokens=6)


@pytest.fixture
async def server() -> AsyncGenerator[GeminiServer, None]:
    async with serve_gemini_chat() as server:
        yield server
        assert server.mistakes == []


@pytest.fixture
async def connection(server: GeminiServer) -> AsyncGenerator[GoogleConnection, None]:
    connection = GoogleConnection(api_key=KEY, base_url=server.base_url)
    yield connection
    await connection.close()


async def collect(model: GoogleModel, messages: list[Message] | None = None, *tools: ToolSpec) -> list[ModelEvent]:
    return [event async for event in model.generate(messages or ASKED, tools)]


async def fault(connection: GoogleConnection) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(GoogleModel(connection, "gemini"), None, TOOL)
    return caught.value


async def test_streams_text_then_usage(server: GeminiServer, connection: GoogleConnection) -> None:
    model = GoogleModel(connection, "gemini-x", temperature=0.25)
    await model.prepare()
    assert await collect(model) == [TextDelta("Hello"), TextDelta(" there"), TextDelta("."), USAGE]
    assert server.requests == [
        {
            "contents": [{"role": "user", "parts": [{"text": "Hello?"}]}],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "generationConfig": {"temperature": 0.5},
        }
    ]


async def test_a_model_of_ones_own(server: GeminiServer, connection: GoogleConnection) -> None:
    assert len(await collect(GoogleModel(connection, "tunedModels/mine"))) == 4


async def test_a_whole_conversation_is_sent_in_the_vendors_shape(
    server: GeminiServer, connection: GoogleConnection
) -> None:
    calls = (ToolCall("a", "book", {"day": "Tuesday"}), ToolCall("b", "bye", {}))
    messages = [
        Message("system", "Be brief."),
        Message("assistant", "Welcome."),
        Message("user", "Tuesday."),
        Message("assistant", "One moment.", tool_calls=calls),
        Message("tool", '{"table": 4}', tool_call_id="a", name="book"),
        Message("tool", "[1]", tool_call_id="b", name="bye"),
        Message("assistant", " "),
        Message("user", "And?"),
        Message("assistant", "It is done."),
    ]
    await collect(GoogleModel(connection, "gemini"), messages, TOOL, BYE)
    [request] = server.requests
    assert [(said["role"], [_gist(part) for part in said["parts"]]) for said in request["contents"]] == [
        ("user", [BEGINNING]),
        ("model", ["Welcome."]),
        ("user", ["Tuesday."]),
        ("model", ["One moment.", {"day": "Tuesday"}, {}]),
        ("user", [{"table": 4}, {"result": "[1]"}, "And?"]),
        ("model", ["It is done."]),
        ("user", [SILENCE]),
    ]
    [tools] = request["tools"]
    assert [tool.get("parameters", {}).get("required") for tool in tools["functionDeclarations"]] == [["day"], None]


async def test_what_a_tool_returned_may_be_deeper_than_json_can_be(
    server: GeminiServer, connection: GoogleConnection
) -> None:
    deep = "[" * 4000
    steps = [*ASKED, Message("assistant", "", (ToolCall("a", "book"),)), Message("tool", deep, (), "a", "book")]
    assert USAGE in await collect(GoogleModel(connection, "gemini"), steps, TOOL)
    *_, caller = server.requests[0]["contents"]
    assert _gist(caller["parts"][0]) == {"result": deep}


def _gist(part: dict[str, Any]) -> Any:
    if "text" in part:
        return part["text"]
    return part["functionCall"]["args"] if "functionCall" in part else part["functionResponse"]["response"]


async def test_nothing_said_and_no_prompt(server: GeminiServer, connection: GoogleConnection) -> None:
    await collect(GoogleModel(connection, "gemini"), [Message("system", " ")])
    assert server.requests == [{"contents": [{"role": "user", "parts": [{"text": BEGINNING}]}]}]


@pytest.mark.parametrize("ids", [("id-1", "id-2"), (None, None)])
async def test_calls_and_their_signatures_go_there_and_back(
    server: GeminiServer, connection: GoogleConnection, ids: tuple[str | None, str | None]
) -> None:
    book = call("book", {"day": "Tuesday"}, ids[0], signature="c2lnbmVk")
    server.replies = [
        Reply(gemini_chat.answer({"text": "One moment."}, book, call("bye", None, ids[1]))),
        Reply(text("Done.")),
    ]
    model = GoogleModel(connection, "gemini")
    said, first, second, used = await collect(model, None, TOOL, BYE)
    assert (said, used) == (TextDelta("One moment."), USAGE)
    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert (first.name, first.arguments, second.name, second.arguments) == ("book", {"day": "Tuesday"}, "bye", {})
    assert first.id != second.id
    results = [Message("tool", "ok", tool_call_id=made.id, name=made.name) for made in (first, second)]
    steps = [*ASKED, Message("assistant", "One moment.", tool_calls=(first, second)), *results]
    assert await collect(model, steps, TOOL, BYE) == [TextDelta("Done."), USAGE]
    _, agent, caller = server.requests[1]["contents"]
    assert [part["functionCall"].get("id") for part in agent["parts"][1:]] == list(ids)
    assert [part["functionResponse"].get("id") for part in caller["parts"]] == list(ids)


async def test_thoughts_are_not_said(server: GeminiServer, connection: GoogleConnection) -> None:
    thought, yes = {"text": "Hm.", "thought": True}, {"text": "Yes.", "thoughtSignature": "x"}
    server.replies = [Reply(gemini_chat.answer(thought, yes, {"text": ""}))]
    assert await collect(GoogleModel(connection, "gemini")) == [TextDelta("Yes."), USAGE]


@pytest.mark.parametrize("arguments", ["Tuesday", [1]])
async def test_arguments_that_are_no_object_are_an_error(
    server: GeminiServer, connection: GoogleConnection, arguments: Any
) -> None:
    server.replies = [Reply(gemini_chat.answer(call("book", arguments)))]
    error = await fault(connection)
    assert error.kind == "protocol"
    assert "'book'" in str(error)


async def test_a_key_that_is_none_is_a_bad_request_to_gemini(
    server: GeminiServer, connection: GoogleConnection
) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    server.replies = [Reply(status=400, details=details)]
    assert (await fault(connection)).kind == "auth"


async def test_a_limit_says_when_to_come_back(server: GeminiServer, connection: GoogleConnection) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    server.replies = [Reply(status=429, details=details), Reply(status=429, headers={"retry-after": "8"})]
    assert "retry after 17 s" in str(await fault(connection))
    assert "retry after 8 s" in str(await fault(connection))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(text("Half", " of"), break_after=1), "connect"),
        (Reply(text("Half"), break_after=1, linger=1), "none"),
        (Reply(text("Half", finish=None)), "connect"),
        (Reply(text("No."), content_type="text/html"), "protocol"),
        (Reply(garbage="data: {not json\n\n"), "protocol"),
        (Reply(garbage="data: [1]\n\n"), "protocol"),
        (Reply(garbage='data: {"candidates": 5}\n\n'), "protocol"),
        (Reply(garbage='data: {"error": 5}\n\n'), "protocol"),
        (Reply(text(finish="SAFETY")), "bad_request"),
        (Reply(text("Half", finish="RECITATION")), "bad_request"),
        (Reply(text(finish="MALFORMED_FUNCTION_CALL")), "protocol"),
        (Reply([{"promptFeedback": {"blockReason": "OTHER"}}]), "bad_request"),
    ],
)
async def test_answers_that_break(server: GeminiServer, connection: GoogleConnection, reply: Reply, kind: str) -> None:
    server.replies = [reply]
    if kind == "none":  # it was complete before the connection broke
        assert await collect(GoogleModel(connection, "gemini")) == [TextDelta("Half"), USAGE]
    else:
        assert (await fault(connection)).kind == kind


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("gemini-3.5-flash-lite", {"thinkingLevel": "LOW"}),
        ("gemini-3-pro", {"thinkingLevel": "LOW"}),
        ("models/gemini-3.8-flash", {"thinkingLevel": "LOW"}),
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"thinkingBudget": 128}),
        ("gemini-2.0-flash", None),
        ("tunedModels/mine", None),
    ],
)
async def test_models_think_as_little_as_they_can(
    server: GeminiServer, connection: GoogleConnection, model: str, config: dict[str, Any] | None
) -> None:
    await collect(GoogleModel(connection, model))
    [request] = server.requests
    assert request.get("generationConfig", {}).get("thinkingConfig") == config


async def test_a_model_that_lets_nobody_say_how_it_thinks_is_not_told_again(
    server: GeminiServer, connection: GoogleConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.providers.google.gemini_config", lambda _: {"thinkingLevel": "LOW"})
    for _ in range(2):
        await collect(GoogleModel(connection, "gemini-2.0-flash", temperature=0.5))
    configs = [request["generationConfig"] for request in server.requests]
    assert configs == [{"temperature": 1.0, "thinkingConfig": {"thinkingLevel": "LOW"}}, *[{"temperature": 1.0}] * 2]


async def test_what_the_agent_asks_for_is_not_left_out_in_silence(
    server: GeminiServer, connection: GoogleConnection
) -> None:
    settings = model_settings({"google": {"thinkingConfig": {"thinkingBudget": 0}, "topP": 0.9}})
    with pytest.raises(ProviderError, match="only works in thinking mode"):
        await collect(GoogleModel(connection, "gemini-2.5-pro", settings=settings))
    assert server.requests[0]["generationConfig"]["topP"] == 0.9
    wrongs: tuple[dict[str, Any], ...] = ({"google": {"thinking": {}}}, {"google": 5})
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"vendorSpecific\.google (has no thinking|is no)"):
            model_settings(wrong)


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # the SDK's own
async def test_the_vendors_own_sdk_understands_the_simulator(sdk: Any, server: GeminiServer) -> None:
    """The judge of the simulation: unchanged, it holds a conversation with a tool, and hears of errors."""
    book = call("book", {"day": "Tuesday"}, "id-1", signature="c2lnbmVk")
    server.replies = [Reply(gemini_chat.answer({"text": "One"}, {"text": " moment."}, book)), Reply(text("Done."))]
    types = sdk.types
    client = await asyncio.to_thread(sdk.Client, api_key=KEY, http_options=types.HttpOptions(base_url=server.base_url))
    declaration = types.FunctionDeclaration(name="book", description="Books", parameters=_schema_of(types))
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        tools=[types.Tool(function_declarations=[declaration])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked = types.Content(role="user", parts=[types.Part(text="Tuesday.")])

    async def ask(*contents: Any) -> list[Any]:
        stream = await client.aio.models.generate_content_stream(model="gemini", contents=list(contents), config=config)
        return [chunk async for chunk in stream]

    try:
        chunks = await ask(asked)
        parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
        assert [part.text for part in parts] == ["One", " moment.", None]
        assert parts[2].function_call.args == {"day": "Tuesday"}
        used = chunks[-1].usage_metadata
        assert (used.prompt_token_count, used.cached_content_token_count, used.candidates_token_count) == (20, 12, 3)
        result = types.FunctionResponse(id="id-1", name="book", response={"result": "ok"})
        answered = types.Content(role="user", parts=[types.Part(function_response=result)])
        [done] = await ask(asked, types.Content(role="model", parts=parts), answered)
        assert (done.text, done.candidates[0].finish_reason) == ("Done.", types.FinishReason.STOP)
        server.replies = [Reply(status=429)]
        with pytest.raises(sdk.errors.ClientError) as caught:
            await ask(asked)
        assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    finally:
        await client.aio.aclose()
        client.close()


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Imported outside the loop: it reads hundreds of files."""
    import google.genai
    import google.genai.errors

    return google.genai


def _schema_of(types: Any) -> Any:
    return types.Schema(type="OBJECT", properties={"day": types.Schema(type="STRING")}, required=["day"])
