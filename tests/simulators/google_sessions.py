"""A simulated Google that listens and speaks: one recognition, one synthesis. Pure; times are seconds.

They take and give the SDK's own protobuf messages. As strict as Google says that it is: what was sent and should not
have been ends the call, and is noted in ``mistakes``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1.types import cloud_tts

from media.audio import MULAW_8K, Clip
from media.wav import wav_bytes
from tests.simulators import mulaw_words
from tests.simulators.mulaw_words import CUT, RATE

RecognizeRequest = cloud_speech.StreamingRecognizeRequest.pb()
RecognizeResponse = cloud_speech.StreamingRecognizeResponse.pb()
SynthesizeRequest = cloud_tts.StreamingSynthesizeRequest.pb()
SynthesizeResponse = cloud_tts.StreamingSynthesizeResponse.pb()

MODELS = ("telephony", "telephony_short", "long", "short", "chirp_2", "chirp_3")
SECRET = "simulated-google-secret"


class Ended(Exception):
    """The call ends with a gRPC status, by name."""

    def __init__(self, status: str, details: str) -> None:
        super().__init__(f"{status}: {details}")
        self.status, self.details = status, details


@dataclass(frozen=True, slots=True)
class Fault:
    """A bad day of one call, from ``after`` seconds of sound on (heard or spoken; 0 is before anything else).

    ``status`` ends it with ``status``; ``ends`` ends it well, unasked; ``silence`` says nothing more; ``blackhole``
    does not even take anything more; ``slow`` says everything ``seconds`` later; ``garbage`` says what nobody asked
    for, too. ``deaf`` hears no words. Voices: ``header`` has a WAV header, ``odd`` pieces of odd lengths; ``endless``
    does not end, and ``empty`` says nothing.
    """

    what: Literal[
        "status", "ends", "silence", "blackhole", "slow", "garbage", "deaf", "header", "odd", "endless", "empty"
    ]
    status: str = "UNAVAILABLE"
    details: str = f"simulated, {SECRET}"
    after: float = 0.0
    seconds: float = 0.5


@dataclass
class Google:
    """What the calls to a simulated Google have in common."""

    limit_seconds: float = 300.0
    idle_seconds: float = 10.0
    voice_idle_seconds: float = 5.0
    ahead_seconds: float = 10.0
    """How much faster than real time sound may come."""

    interim_seconds: float = 0.2
    endpoint_seconds: float = 0.8
    """Of silence, after which a result is final."""

    longest_seconds: float = 50.0
    """A result is final after so long, even in the middle of speech."""

    delay: float = 0.0
    """Between sound and what is said of it."""

    first_sound_seconds: float = 0.0
    per_word_seconds: float = 0.0
    speech_faults: list[Fault | None] = field(default_factory=list)
    voice_faults: list[Fault | None] = field(default_factory=list)
    configs: list[Any] = field(default_factory=list)
    """The first request of each recognition."""

    sounds: list[bytearray] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    """Bytes of each request with sound."""

    voices: list[Any] = field(default_factory=list)
    """The first request of each synthesis."""

    spoken: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    open: int = 0

    def wrong(self, status: str, details: str) -> Ended:
        self.mistakes.append(details)
        return Ended(status, details)


class RecognitionSession:
    """One ``StreamingRecognize``."""

    def __init__(self, google: Google, now: float) -> None:
        self.google = google
        self.fault = google.speech_faults.pop(0) if google.speech_faults else None
        self.sound = bytearray()
        self._config: Any = None
        self._opened = self._last = now
        self._done = 0.0  # final up to here
        self._told = 0.0
        self._said = self._settled = False

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    def due(self) -> float:
        return min(self._last + self.google.idle_seconds, self._opened + self.google.limit_seconds)

    def check(self, now: float) -> None:
        """Raises :class:`Ended` where time is up."""
        if max(now - self._opened, self.seconds) >= self.google.limit_seconds:
            raise Ended("ABORTED", "Max duration of 5 minutes reached for stream.")
        if now - self._last >= self.google.idle_seconds:
            raise Ended("ABORTED", "Stream timed out after receiving no more client requests.")

    def receive(self, request: Any, now: float) -> list[Any]:
        """``request`` is a protobuf message; so are the answers."""
        self._last = now
        if self._config is None:
            self._begin(request)
            return self._bad_day([])
        if request.recognizer or request.HasField("streaming_config") or not request.audio:
            raise self.google.wrong("INVALID_ARGUMENT", "requests after the first one must only have audio")
        if len(request.audio) > 25_600:
            message = f"Audio chunk can be of a maximum of 25600 bytes. Received audio of {len(request.audio)} bytes."
            raise self.google.wrong("INVALID_ARGUMENT", message)
        self.sound += request.audio
        self.google.requests.append(len(request.audio))
        if self.seconds > now - self._opened + self.google.ahead_seconds:
            raise self.google.wrong("OUT_OF_RANGE", "Audio should be sent close to real time.")
        self.check(now)
        return self._bad_day(list(self._listen()))

    def half_closed(self) -> list[Any]:
        """No more sound comes: all that is known, and the bill."""
        if self._config is None:
            raise self.google.wrong("INVALID_ARGUMENT", "the stream had no first request")
        words = self._words()
        if not words and not self._said:
            return []
        metadata = {"request_id": "simulated", "total_billed_duration": {"seconds": math.ceil(self.seconds)}}
        last = RecognizeResponse(results=[self._final(words, self.seconds)] if words else [], metadata=metadata)
        return self._bad_day([last])

    @property
    def mute(self) -> bool:
        """It says nothing more, and does not end."""
        fault = self.fault
        return fault is not None and fault.what in ("silence", "blackhole") and self.seconds >= fault.after

    @property
    def blind(self) -> bool:
        """It takes nothing more, either."""
        return self.mute and self.fault is not None and self.fault.what == "blackhole"

    def _begin(self, request: Any) -> None:
        if self.fault is not None and self.fault.what == "status" and not self.fault.after:
            raise Ended(self.fault.status, self.fault.details)
        what = next(_wrong_recognition(request), None)
        if what is not None:
            raise self.google.wrong("INVALID_ARGUMENT", what)
        self._config = request.streaming_config.config
        self.google.configs.append(request)
        self.google.sounds.append(self.sound)

    def _words(self) -> list[mulaw_words.Spoken]:
        """Those that are not final."""
        if self.fault is not None and self.fault.what == "deaf":
            return []
        start = int(self._done * RATE)
        found = mulaw_words.read(bytes(self.sound[start:]))
        at = start / RATE
        return [mulaw_words.Spoken(w.word, at + w.start, at + w.end, w.whole) for w in found]

    def _listen(self) -> Iterator[Any]:
        now, words = self.seconds, self._words()
        if not words:
            self._done = max(self._done, now - 1.0)  # silence need not be read again
            return
        under_way = not words[-1].whole and words[-1].end > now - 0.01
        said = words[:-1] if under_way else words
        silent = now - words[-1].end
        if not under_way and silent >= self.google.endpoint_seconds:
            yield RecognizeResponse(results=[self._final(words, words[-1].end + 0.2)])
        elif said and now - self._done > self.google.longest_seconds:
            yield RecognizeResponse(results=[self._final(said, said[-1].end)])
        elif now - self._told >= self.google.interim_seconds and not self._config.model.startswith("chirp"):
            self._told = now
            results = [self._result([w.word for w in said], said[-1].end, stability=0.9)] if said else []
            if under_way:
                results.append(self._result([CUT], now, stability=0.01))
            elif silent > 0:
                results = [self._result([w.word for w in said], now, stability=0.9)]
            self._said = True
            yield RecognizeResponse(results=results)

    def _final(self, words: list[mulaw_words.Spoken], end: float) -> dict[str, Any]:
        self._done = min(end, self.seconds)
        self._said = True
        timed = self._config.features.enable_word_time_offsets
        result = self._result([w.word for w in words], end)
        self._settled = True
        result["is_final"] = True
        result["alternatives"][0]["confidence"] = 0.9
        result["alternatives"][0]["words"] = [
            {"word": w.word, "start_offset": _duration(w.start), "end_offset": _duration(w.end)} for w in words if timed
        ]
        return result

    def _result(self, words: list[str], end: float, *, stability: float = 0.0) -> dict[str, Any]:
        lead = " " if self._settled else ""
        return {
            "alternatives": [{"transcript": lead + " ".join(words)}],
            "stability": stability,
            "result_end_offset": _duration(end),
            "language_code": self._config.language_codes[0],
        }

    def _bad_day(self, answers: list[Any]) -> list[Any]:
        fault = self.fault
        if fault is None or self.seconds < fault.after:
            return answers
        match fault.what:
            case "status":
                raise Ended(fault.status, fault.details)
            case "ends":
                raise Ended("OK", "")
            case "silence" | "blackhole":
                return []
            case "garbage":
                return [*(RecognizeResponse(**strange) for strange in _GARBAGE), *answers]
            case _:
                return answers


_GARBAGE: tuple[dict[str, Any], ...] = (
    {},
    {"results": [{}]},
    {"results": [{"alternatives": [{}], "stability": 0.5}]},
    {"results": [{"is_final": True, "result_end_offset": {"seconds": -5}}]},
    {"speech_event_type": 1, "speech_event_offset": {"seconds": 1}},
    {"metadata": {"request_id": "strange"}},
)


def _wrong_recognition(request: Any) -> Iterator[str]:
    """What is wrong with a first request."""
    if not re.fullmatch(r"projects/[\w-]+/locations/[\w-]+/recognizers/_", request.recognizer):
        yield f"Invalid resource name {request.recognizer!r}"
    if request.audio:
        yield "the first request must not have audio"
    if not request.HasField("streaming_config"):
        yield "the first request must have a streaming_config"
    config, streaming = request.streaming_config.config, request.streaming_config.streaming_features
    decoding = config.explicit_decoding_config
    if config.WhichOneof("decoding_config") != "explicit_decoding_config":
        yield "mu-law has no header to detect"
    if (decoding.encoding, decoding.sample_rate_hertz, decoding.audio_channel_count) != (2, 8000, 1):
        yield f"the simulation hears mu-law at 8 kHz only, not {decoding}"
    if config.model not in MODELS:
        yield f'The model "{config.model}" does not exist.'
    if len(config.language_codes) != 1 or not re.fullmatch(
        r"[a-z]{2,3}(-[A-Z][a-z]{3})?-([A-Z]{2}|\d{3})", config.language_codes[0]
    ):
        yield f"Unsupported language codes {list(config.language_codes)}"
    if config.HasField("adaptation"):
        if config.model.startswith("telephony"):
            yield "Recognizer does not support feature: adaptation"
        phrases = [phrase for one in config.adaptation.phrase_sets for phrase in one.inline_phrase_set.phrases]
        if not phrases or any(not 0 < len(phrase.value) <= 100 for phrase in phrases):
            yield "a phrase has 1 to 100 characters"
    if config.features.enable_word_time_offsets and config.model == "chirp_3":
        yield "Recognizer does not support feature: word_time_offsets"
    if streaming.endpointing_sensitivity and config.model != "chirp_3":
        yield "endpointing_sensitivity is for chirp_3 only"


class SynthesisSession:
    """One ``StreamingSynthesize``: a word for each answer."""

    def __init__(self, google: Google) -> None:
        self.google = google
        self.fault = google.voice_faults.pop(0) if google.voice_faults else None
        self.mute = False
        """It says nothing more, and does not end."""

        self._config: Any = None
        self._text = ""

    def receive(self, request: Any) -> None:
        if self._config is None:
            what = next(_wrong_synthesis(request), None)
            if what is not None:
                raise self.google.wrong("INVALID_ARGUMENT", what)
            self._config = request.streaming_config
            self.google.voices.append(request)
            return
        text = request.input.text
        if request.HasField("streaming_config") or request.input.WhichOneof("input_source") != "text" or not text:
            raise self.google.wrong("INVALID_ARGUMENT", "requests after the first one must only have input with text")
        if len(text.encode()) > 5000:
            raise self.google.wrong("INVALID_ARGUMENT", "Input is longer than 5000 bytes")
        self._text += text

    def idle(self) -> Ended:
        message = "Stream aborted due to long duration elapsed without input sent. Input must be sent continuously."
        return self.google.wrong("ABORTED", message)

    def half_closed(self) -> Iterator[Any]:
        """Answers, as they are made. Raises :class:`Ended`."""
        if self._config is None:
            raise self.google.wrong("INVALID_ARGUMENT", "the stream had no first request")
        self.google.spoken.append(self._text)
        fault, seconds = self.fault, 0.0
        if fault is not None and fault.what == "empty":
            return
        for number, piece in enumerate(self._pieces()):
            if fault is not None and fault.what in ("status", "silence", "ends") and seconds >= fault.after:
                match fault.what:
                    case "status":
                        raise Ended(fault.status, fault.details)
                    case "silence":
                        self.mute = True
                        return
                    case _:
                        return
            seconds += len(piece) / RATE
            with_header = fault is not None and fault.what == "header" and not number
            yield SynthesizeResponse(audio_content=wav_bytes(Clip(MULAW_8K, piece)) if with_header else piece)

    def _pieces(self) -> Iterator[bytes]:
        match self.fault.what if self.fault else "":
            case "odd":
                sound = mulaw_words.speak(self._text)
                at, size = 0, 1
                while at < len(sound):
                    yield sound[at : at + size]
                    at, size = at + size, size * 3 % 1009
            case "endless":
                while True:
                    yield mulaw_words.speak("endless") * 100
            case _:
                for word in self._text.split():
                    yield mulaw_words.speak(word)


def _wrong_synthesis(request: Any) -> Iterator[str]:
    config = request.streaming_config
    if not request.HasField("streaming_config") or request.HasField("input"):
        yield "the first request must have a streaming_config, and no input"
    voice, audio = config.voice, config.streaming_audio_config
    if not re.fullmatch(r"[a-z]{2,3}-[A-Z]{2}", voice.language_code):
        yield f"Invalid language code {voice.language_code!r}"
    if voice.model_name:
        if "-Chirp" in voice.name:
            yield "Chirp 3's voices take no model"
    elif not re.fullmatch(rf"{voice.language_code}-Chirp3-HD-[A-Z][a-z]+", voice.name):
        yield "Currently, only Chirp 3: HD voices are supported for streaming synthesis"
    if (audio.audio_encoding, audio.sample_rate_hertz) != (cloud_tts.AudioEncoding.MULAW, 8000):
        yield f"Unsupported audio encoding {audio}"


def _duration(seconds: float) -> dict[str, int]:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return {"seconds": whole, "nanos": thousandths * 1_000_000}
