"""The official SDK is the judge: unchanged, over TLS, it holds a conversation with the simulated Gemini Live."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from tests.simulators.gemini_live import KEY, GeminiServer, GeminiSession, serve_gemini
from tests.simulators.live_wire import Fault, Hangup, Reply, Turn, tones
from tests.steady import PATIENCE

MODEL = "gemini-3.8-live"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def sdk() -> Any:
    """Imported outside the loop: it reads hundreds of files."""
    import google.genai
    import google.genai.live

    return google.genai


@pytest.fixture
def client(sdk: Any, authority: trustme.CA) -> Any:
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    client = sdk.Client(api_key=KEY, http_options=sdk.types.HttpOptions(async_client_args={"ssl": tls}))
    yield client
    client.close()


def book(history: list[Turn]) -> Reply:
    """Asks for a table where it hears of one; tells its number once it is known."""
    match history[-1]:
        case Turn("tool", text):
            return Reply(f"Done: {text}")
        case Turn("user", text) if "table" in text:
            return Reply("One moment.", (("book_table", {"seats": 4}),))
        case Turn("user", text) if "long" in text:
            return Reply("la " * 30)
        case _:
            return Reply("Hello there.")


class Judge:
    """What the SDK makes of a session's messages."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.audio = 0
        self.words = ""
        self.heard = ""
        self.calls: list[Any] = []
        self.withdrawn: list[str] = []
        self.interrupted = 0
        self.handles: list[str] = []
        self.tokens = 0

    async def turn(self, words: str | None = None) -> None:
        """Until the model's turn is complete, it asks for tools, or said ``words``."""
        async with asyncio.timeout(PATIENCE):
            async for message in self._session.receive():
                self._take(message)
                if message.tool_call or (words is not None and self.words.endswith(words)):
                    return

    def _take(self, message: Any) -> None:
        content = message.server_content
        if content is not None:
            for part in (content.model_turn.parts or ()) if content.model_turn else ():
                assert part.inline_data.mime_type == "audio/pcm;rate=24000"
                self.audio += len(part.inline_data.data)
            self.words += (content.output_transcription.text or "") if content.output_transcription else ""
            self.heard += (content.input_transcription.text or "") if content.input_transcription else ""
            self.interrupted += bool(content.interrupted)
        if message.tool_call:
            self.calls += message.tool_call.function_calls
        if message.tool_call_cancellation:
            self.withdrawn += message.tool_call_cancellation.ids
        if message.usage_metadata:
            self.tokens += message.usage_metadata.response_token_count
        update = message.session_resumption_update
        if update is not None and update.resumable:
            self.handles.append(update.new_handle)


@asynccontextmanager
async def talking(
    client: Any, server: GeminiServer, server_tls: ssl.SSLContext, **more: Any
) -> AsyncIterator[tuple[Any, Judge]]:
    config = {
        "response_modalities": ["AUDIO"],
        "temperature": 0.6,
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
        "system_instruction": "You book tables.",
        "realtime_input_config": {"automatic_activity_detection": {"silence_duration_ms": 200}},
        "input_audio_transcription": {},
        "output_audio_transcription": {},
        "session_resumption": {},
        "tools": [{"function_declarations": [{"name": "book_table", "description": "Book."}]}],
        **more,
    }
    async with serve_gemini(server, server_tls):
        config["http_options"] = {"base_url": server.url}
        async with client.aio.live.connect(model=MODEL, config=config) as session:
            yield session, Judge(session)


async def speak(sdk: Any, session: Any, words: str) -> None:
    """A stretch of speech and the silence after it, as fast as it goes: the model's time is the sound's."""
    sound = tones(words, 16000) + bytes(16000)
    for start in range(0, len(sound), 3200):
        blob = sdk.types.Blob(data=sound[start : start + 3200], mime_type="audio/pcm;rate=16000")
        await session.send_realtime_input(audio=blob)


async def test_the_sdk_talks_interrupts_and_answers_for_tools(
    sdk: Any, client: Any, server_tls: ssl.SSLContext
) -> None:
    server = GeminiServer(reply=book, speed=50)
    server.said.extend(["a long story please", "stop", "a table please"])
    async with talking(client, server, server_tls) as (session, judge):
        await session.send_realtime_input(text="Hi")
        await judge.turn()
        assert judge.words == "Hello there."
        assert judge.audio == len(tones("Hello there.", 24000))
        assert judge.tokens == 20

        await speak(sdk, session, "tell me")
        await judge.turn("la " * 29 + "la")
        await speak(sdk, session, "stop")
        await judge.turn()
        assert judge.interrupted == 1
        await judge.turn()
        assert judge.words.endswith("laHello there.")

        await speak(sdk, session, "table")
        await judge.turn()
        [call] = judge.calls
        assert (call.name, call.args) == ("book_table", {"seats": 4})
        response = sdk.types.FunctionResponse(id=call.id, name=call.name, response={"output": "7"})
        await session.send_tool_response(function_responses=[response])
        await judge.turn()
        assert judge.words.endswith('Done: {"output": "7"}')
        assert judge.heard == "a long story pleasestopa table please"
        assert judge.handles
    assert server.mistakes == []
    assert [turn.role for turn in server.handles[judge.handles[-1]]][:2] == ["user", "model"]


async def test_the_sdk_goes_on_with_a_handle_and_seeds_a_history(
    sdk: Any, client: Any, server_tls: ssl.SSLContext
) -> None:
    server = GeminiServer(speed=50)
    server.handles["before"] = [Turn("user", "I am Ann."), Turn("model", "Hello Ann.")]
    async with talking(client, server, server_tls, session_resumption={"handle": "before"}) as (
        session,
        judge,
    ):
        await session.send_realtime_input(text="again")
        await judge.turn()
    assert [turn.text for turn in server.sessions[0].history][:3] == ["I am Ann.", "Hello Ann.", "again"]
    seed = [{"role": "user", "parts": [{"text": "I am Bob."}]}]
    config = {"history_config": {"initial_history_in_client_content": True}}
    async with talking(client, server, server_tls, **config) as (session, judge):
        await session.send_client_content(turns=seed, turn_complete=True)
        await session.send_realtime_input(text="and you?")
        await judge.turn()
        assert judge.words == "You said and you?"
    assert server.mistakes == []


async def test_the_sdk_hears_of_the_end_before_it_comes(sdk: Any, client: Any, server_tls: ssl.SSLContext) -> None:
    server = GeminiServer(go_away_after=0.05, go_away_left=0.1)
    async with talking(client, server, server_tls) as (session, _):
        messages = session.receive()
        assert (await anext(messages)).go_away.time_left == "0.1s"
        with pytest.raises(sdk.errors.APIError, match="Deadline"):
            await anext(messages)


@pytest.mark.parametrize("code", [401, 429])
async def test_the_sdk_is_refused(sdk: Any, client: Any, server_tls: ssl.SSLContext, code: int) -> None:
    from websockets.exceptions import InvalidStatus

    server = GeminiServer(fault=Fault("refused", code))
    with pytest.raises(InvalidStatus) as caught:
        async with talking(client, server, server_tls):
            pass
    assert caught.value.response.status_code == code


SETUP = '{"setup":{"model":"models/m","generationConfig":{"responseModalities":["AUDIO"]}}}'


@pytest.mark.parametrize(
    ("messages", "mistake"),
    [
        (["{"], "no JSON"),
        (['{"realtimeInput":{"text":"hi"}}'], "before the setup"),
        ([SETUP, SETUP], "second setup"),
        ([SETUP.replace("models/m", "m")], "no models/"),
        ([SETUP.replace('"generationConfig"', '"generation"')], "no field 'generation'"),
        ([SETUP.replace("AUDIO", "SMELL")], "SMELL"),
        ([SETUP, '{"realtimeInput":{"audio":{"mimeType":"audio/wav","data":"AAAA"}}}'], "audio/wav"),
        ([SETUP, '{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"AA"}}}'], "base64"),
        ([SETUP, '{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"AA=="}}}'], "half a sample"),
        ([SETUP, '{"realtime_input":{"activity_start":{}}}'], "automatic"),
        ([SETUP, '{"clientContent":{"turns":[],"turnComplete":true}}'], "historyConfig"),
        ([SETUP, '{"toolResponse":{"functionResponses":[{"id":"1","name":"x","response":{}}]}}'], "nobody asked"),
    ],
)
def test_what_is_wrong_ends_the_session(messages: list[str], mistake: str) -> None:
    server = GeminiServer()
    session = GeminiSession(server)
    outs = [session.receive(message, 0.0) for message in messages][-1]
    assert any(mistake in one for one in server.mistakes)
    assert isinstance(outs[-1], Hangup)
    assert outs[-1].code == 1007
