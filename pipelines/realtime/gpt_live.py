"""GPT-Live: one stream of sound in each direction, in real time and with its silence. The model speaks when it likes,
and stops when it is talked over; nothing of what it says can be cancelled, cut or called back.

Tools are not the voice's: a model behind it, the ``backend``, is delegated to where the agent has tools, and its
events come nested. There is no word of where an answer begins or ends, so that there is no ``ResponseBegan`` either:
all sound is of the response ``live``. How long a caller's silence is, who interrupts, and a temperature are not to be
had.
"""

from __future__ import annotations

import json
import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from media.audio import MULAW_8K, PCM_16K, AudioFormat
from pipelines.base64_sound import decode
from pipelines.json_text import json_object
from pipelines.parts import ProviderError, ProviderFault, ToolCall
from pipelines.realtime.fast_sound import FastSound
from pipelines.realtime.gpt_live_backend import Backend, as_object, one_line
from pipelines.realtime.gpt_live_setup import pieces, session_config, vendor_options
from pipelines.realtime.model import (
    Address,
    AudioCame,
    CallerSaid,
    Capabilities,
    ItemHeard,
    ModelFault,
    NotUnderstood,
    Outgoing,
    RealtimeEvent,
    SessionOver,
    SessionReady,
    Setup,
    ToolOutput,
    Used,
    WordsCame,
)

BASE_URL = "https://api.openai.com/v1"
BACKEND = "gpt-5.4-mini"

LIVE = "live"
"""The one response, and its one item."""

GAP_MS = 800
"""Without words of the caller for so long, his turn is over: words come in steps of 200 ms."""

SETTLED_MS = 1500
"""So long after a caller's words the stream says that no more of them come: a gap, and the time that they take."""

SAY = "Say exactly this to the caller now, in these words, and nothing else:\n"
TOLD = "This comes from the caller, by voice or by keys, and waits for an answer. Answer it now:\n"
NOTED = "This comes from the caller, in text, for later. It needs no answer now:\n"
NOTHING_KNOWN = "There is nothing more to find out. Answer the caller from what you know."

_AUDIO_HEAD: Final = '{"type":"session.input_audio.append","audio":"'
_AUDIO_TAIL: Final = '"}'

_SOUND = FastSound(r'\s*\{\s*"type"\s*:\s*"session\.output_audio\.delta"\s*,\s*"delta"\s*:\s*"', r'"\s*\}\s*')

_CLOSED: Final = {
    "close_requested": "the session was closed",
    "expired": "the session has lasted as long as it may",
    "content": "the vendor's safety filter ended the session",
    "remote_hangup": "the other end hung up",
    "connection_lost": "the vendor lost the connection",
}

Events = list[RealtimeEvent]


class GptLiveModel:
    """``model`` is the vendor's id of the voice, ``backend`` that of the model it delegates to. ``wideband``: sound is
    PCM at 16 kHz, else G.711 as the telephone has it."""

    name = "gpt-live"

    def __init__(
        self,
        model: str,
        *,
        api_key: str,
        base_url: str = BASE_URL,
        backend: str = BACKEND,
        wideband: bool = False,
    ) -> None:
        sound = PCM_16K if wideband else MULAW_8K
        self.capabilities = Capabilities(sound, sound, pacing="realtime", continuous=True, tells_last_usage=True)
        self._model = model
        self._backend = backend
        self._api_key = api_key
        self._url = f"{re.sub('^http', 'ws', base_url.rstrip('/'))}/live/sessions"

    async def dial(self, setup: Setup) -> Address:
        try:
            vendor_options(setup)
        except ValueError as error:
            raise ProviderError(self.name, "bad_request", str(error)) from None
        return Address(self._url, {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {})

    def protocol(self, setup: Setup, handle: str | None = None) -> GptLiveProtocol:
        return GptLiveProtocol(self._model, self._backend, setup, self.capabilities.output)

    async def hang_up(self, address: Address) -> SessionOver | None:
        return None

    async def close(self) -> None:
        pass


class GptLiveProtocol:
    def __init__(self, model: str, backend: str, setup: Setup, format: AudioFormat = MULAW_8K) -> None:
        self._model = model
        self._backend = backend
        self._setup = setup
        self._format = format
        self._ready = False
        self._over = False
        self._seconds = 0.0
        self._stream_bytes = 0
        self._half = b""  # the first byte of a sample whose second is still to come
        self._turn = 1
        self._heard = ""
        self._heard_until = 0
        self._behind = Backend()

    # What the call wants

    def opened(self) -> Sequence[Outgoing]:
        config = session_config(self._model, self._backend, self._setup, self._format)
        return (_json({"type": "session.start", "session": config}),)

    def audio(self, pcm: bytes) -> Outgoing:
        return _AUDIO_HEAD + b2a_base64(pcm, newline=False).decode("ascii") + _AUDIO_TAIL

    def say(self, text: str) -> Sequence[Outgoing]:
        return [_commentary(SAY + piece) for piece in pieces(text)]

    def tell(self, text: str) -> Sequence[Outgoing]:
        return [_commentary(TOLD + piece) for piece in pieces(text)]

    def note(self, text: str) -> Sequence[Outgoing]:
        return [_append("thinking", NOTED + piece) for piece in pieces(text)]

    def update(self, setup: Setup) -> Sequence[Outgoing]:
        return ()

    def answer(self) -> Sequence[Outgoing]:
        return ()

    def interrupt(self) -> Sequence[Outgoing]:
        return ()

    def heard(self, items: Sequence[ItemHeard]) -> Sequence[Outgoing]:
        return ()

    def results(self, outputs: Sequence[ToolOutput]) -> Sequence[Outgoing]:
        return self._behind.results(outputs)

    def placeholder(self, call: ToolCall) -> Sequence[Outgoing]:
        return ()  # it hears the caller all the while

    def closing(self) -> Sequence[Outgoing]:
        return () if self._over else (_json({"type": "session.close"}),)

    # What the model says

    def receive(self, message: str | bytes) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        sound = _SOUND.find(message)
        if sound is not None:
            return self._sound(sound), ()
        event = json_object(message)
        if event is None:
            return (NotUnderstood("a message that is no JSON object"),), ()
        try:
            return self._event(event)
        except RecursionError:
            return (NotUnderstood("a message that is nested too deeply"),), ()

    def _event(self, event: dict[str, Any]) -> tuple[Sequence[RealtimeEvent], Sequence[Outgoing]]:
        match event.get("type"):
            case "session.output_audio.delta":
                return self._sound(str(event.get("delta", ""))), ()
            case "session.output_transcript.delta":
                return self._words(event), ()
            case "session.input_transcript.delta":
                return self._caller(event), ()
            case "session.started":
                return self._started()
            case "response.event":
                return self._behind.event(event)
            case "session.delegation.created":
                return (), self._delegated(as_object(event, "delegation"))
            case "session.usage.updated":
                return self._used(event), ()
            case "session.closed":
                return self._closed(event), ()
            case "error":
                return (self._fault(as_object(event, "error")),), ()
            case "info":
                return (), ()
            case str() as kind if kind.startswith(_UNUSED) or kind.endswith(_DONE):
                return (), ()
            case kind:
                return (NotUnderstood(f"a message of the type {str(kind)[:100]}"),), ()

    def _started(self) -> tuple[Events, Sequence[Outgoing]]:
        if self._ready:
            return [], ()
        self._ready = True
        return [SessionReady()], self.say(self._setup.greeting) if self._setup.greeting else ()

    def _sound(self, encoded: str | bytes) -> Events:
        try:
            data = self._half + decode(encoded)
        except ValueError:
            return [NotUnderstood("sound that is no base64")]
        whole = len(data) - len(data) % self._format.encoding.sample_bytes
        data, self._half = data[:whole], data[whole:]
        if not data:
            return []
        self._stream_bytes += len(data)
        if self._heard and self._stream_ms - self._heard_until > SETTLED_MS:
            return [*self._caller_done(), AudioCame(LIVE, LIVE, data)]
        return [AudioCame(LIVE, LIVE, data)]

    @property
    def _stream_ms(self) -> int:
        return self._stream_bytes * 1000 // self._format.bytes_per_second

    def _words(self, event: dict[str, Any]) -> Events:
        text = event.get("delta")
        return [WordsCame(LIVE, LIVE, text)] if isinstance(text, str) and text else []

    def _caller(self, event: dict[str, Any]) -> Events:
        """The stream's time and that of the words is one: milliseconds since the session began."""
        text = event.get("delta")
        if not isinstance(text, str) or not text:
            return []
        events: Events = []
        if self._heard and _milliseconds(event, "start_ms") - self._heard_until >= GAP_MS:
            events += self._caller_done()
        self._heard += text
        self._heard_until = max(self._heard_until, _milliseconds(event, "end_ms"))
        if self._heard.strip():
            events.append(CallerSaid(f"c{self._turn}", self._heard.strip(), final=False))
        return events

    def _caller_done(self) -> Events:
        text, self._heard = self._heard.strip(), ""
        if not text:
            return []
        self._turn += 1
        return [CallerSaid(f"c{self._turn - 1}", text)]

    def _delegated(self, delegation: dict[str, Any]) -> Sequence[Outgoing]:
        """Without a model behind, the voice asks us, and waits for a word."""
        if delegation.get("target") != "client" or not isinstance(delegation.get("id"), str):
            return ()
        return (_commentary(NOTHING_KNOWN, delegation["id"]),)

    def _used(self, event: dict[str, Any]) -> Events:
        """Cumulative on the wire."""
        seconds = as_object(event, "usage").get("seconds")
        if not isinstance(seconds, int | float) or not self._seconds < seconds < 1e9:
            return []
        used, self._seconds = seconds - self._seconds, float(seconds)
        return [Used({"seconds": used})]

    def _closed(self, event: dict[str, Any]) -> Events:
        self._over = True
        reason = str(event.get("reason"))[:100]
        return [*self._caller_done(), *self._used(event), SessionOver(_CLOSED.get(reason, reason))]

    def _fault(self, error: dict[str, Any]) -> ModelFault:
        """What is wrong before the session is there is wrong with its setup."""
        names = f"{error.get('type')} {error.get('code')}"
        kind: ProviderFault = next((kind for part, kind in _FAULTS if part in names), "server")
        said = one_line(error.get("message") or names)
        if isinstance(error.get("param"), str) and error["param"]:
            said = f"{said} ({error['param'][:100]})"
        fatal = kind == "auth" or (kind == "bad_request" and not self._ready) or "quota" in names
        return ModelFault(kind, said, fatal=fatal)


_UNUSED = ("session.input_audio.", "session.output_audio.fixture.", "decision.", "transport.")
_DONE = (".updated", ".appended")

_FAULTS: Final[tuple[tuple[str, ProviderFault], ...]] = (
    ("auth", "auth"),
    ("permission", "auth"),
    ("invalid_api_key", "auth"),
    ("rate_limit", "rate_limit"),
    ("quota", "rate_limit"),
    ("invalid_request", "bad_request"),
    ("timeout", "timeout"),
    ("unavailable", "unavailable"),
)


def _commentary(content: str, delegation: str | None = None) -> str:
    return _append("commentary", content, delegation)


def _append(what: str, content: str, delegation: str | None = None) -> str:
    return _json({"type": f"session.{what}.append", "content": content, "delegation_id": delegation})


def _json(message: object) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def _milliseconds(event: Mapping[str, Any], key: str) -> int:
    value = event.get(key)
    return value if isinstance(value, int) else 0
