"""What the simulated Deepgram hears: a socket of ``/v1/listen`` (Nova) and one of ``/v2/listen`` (Flux), pure.

They do not recognise anything: what callers say is what a test put into ``texts``. Time is the sound's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from media.audio import MULAW_8K
from media.g711 import mulaw_to_pcm
from tests.simulators.live_wire import Hangup, Out

KEY = "simulated-deepgram-key"
RATE = MULAW_8K.bytes_per_second
LUCK = f"no luck, {KEY}"
"""Vendors may quote a key."""
REQUEST_ID = "5c0e9ad2-4a43-4a3b-a5b2-8c3e1d2f4a6b"
MODEL_UUID = "0d8a2f2e-6f5f-4d2c-9d7e-1a2b3c4d5e6f"

EAGER_SECONDS = 0.2
"""Silence after which Flux holds a turn for likely over."""

RESUMED_SECONDS = 0.1
"""Speech after so much silence is the next part of a text."""

LOUDEST_SILENCE = 200


@dataclass
class Heard:
    """``texts`` are said one after the other, each by the next pause that is transcribed. A ``|`` in one is a pause in
    it, after which Flux's caller goes on. What was sent and should not have been is in ``mistakes``."""

    texts: list[str] = field(default_factory=list)
    ends_after: float = 0.4
    """Seconds of silence that end Flux's turns."""
    wavers: bool = False
    """Flux takes back that a turn is likely over after 100 ms, says so again after 100 ms, and so on."""
    mistakes: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """The types of the text messages."""
    sound: list[bytearray] = field(default_factory=list)
    """Of each socket."""

    def wrong(self, what: str) -> None:
        self.mistakes.append(what)

    def read(self, message: str, known: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """A control message: its type is one of ``known``, which tells the fields of each besides; those that end in
        ``?`` may be left out."""
        try:
            data = json.loads(message)
        except ValueError:
            data = None
        if not isinstance(data, dict) or data.get("type") not in known:
            self.wrong(f"the message {message[:60]!r} is none of {', '.join(known)}")
            return {"type": ""}
        fields = known[data["type"]]
        needed = {"type", *(name for name in fields if not name.endswith("?"))}
        if not needed <= set(data) <= {"type", *(name.rstrip("?") for name in fields)}:
            self.wrong(f"{data['type']} has the fields {', '.join(data)}")
        self.messages.append(data["type"])
        return data


class _Hearing:
    """What Nova and Flux have in common: 20 ms of sound are loud, or not."""

    def __init__(self, server: Heard) -> None:
        self.server = server
        self.sound = bytearray()
        server.sound.append(self.sound)
        self._judged = 0
        self.loud_from: float | None = None
        self.loud_to = 0.0
        self.parts = 1
        """How many parts of the text were begun."""

    @property
    def seconds(self) -> float:
        return len(self.sound) / RATE

    def idle(self) -> Hangup:
        return Hangup(1011, "NET-0001 no audio or KeepAlive in time")

    def ends_phrase(self, out: Out) -> bool:
        return False

    def answers_break(self, out: Out) -> bool:
        return False

    def check(self, data: bytes) -> None:
        if not data or len(data) > RATE:
            self.server.wrong(f"{len(data)} bytes of sound in one message")

    def hear(self, data: bytes) -> None:
        self.sound += data
        while self._judged + 160 <= len(self.sound):
            pcm = np.frombuffer(mulaw_to_pcm(bytes(self.sound[self._judged : self._judged + 160])), np.int16)
            self._judged += 160
            if np.abs(pcm.astype(np.int32)).max() > LOUDEST_SILENCE:
                now = self._judged / RATE
                if self.loud_from is None:
                    self.loud_from = now - 0.02
                elif now - self.loud_to > RESUMED_SECONDS:
                    self.parts += 1
                self.loud_to = now

    def over(self) -> None:
        """What is loud next begins another text."""
        self.loud_from, self.parts = None, 1

    def words(self, text: str) -> list[tuple[str, float, float]]:
        """``text``, spread over what was loud."""
        found = text.split()
        start = self.loud_from or 0.0
        each = (self.loud_to - start) / max(len(found), 1)
        return [(word, round(start + each * n, 3), round(start + each * (n + 1), 3)) for n, word in enumerate(found)]


class NovaSession(_Hearing):
    """One socket of ``/v1/listen``. Words are supposed each 400 ms of speech, and final at a Finalize."""

    def __init__(self, server: Heard, query: Mapping[str, str]) -> None:
        super().__init__(server)
        self._model = query.get("model", "")
        self._done = 0.0  # final up to here
        self._supposed = 0.0

    def opened(self) -> list[Out]:
        return []

    def error(self) -> str:
        return json.dumps({"type": "Error", "variant": "V", "code": "NET-0002", "description": LUCK})

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.check(message)
            self.hear(message)
            if self.loud_from is not None and self.loud_to >= max(self._supposed, self.loud_from) + 0.4:
                self._supposed = self.loud_to
                words = (self.server.texts[0] if self.server.texts else "").split()
                return [self._results(" ".join(words[: len(words) // 2]), final=False)]
            return []
        match self.server.read(message, {"KeepAlive": (), "Finalize": (), "CloseStream": ()})["type"]:
            case "Finalize":
                text = self.server.texts.pop(0) if self.loud_from is not None and self.server.texts else ""
                return [self._results(text, final=True)]
            case "CloseStream":
                metadata = {
                    "type": "Metadata",
                    "transaction_key": "deprecated",
                    "request_id": REQUEST_ID,
                    "sha256": "0" * 64,
                    "created": "2026-11-28T08:00:00.000Z",
                    "duration": self.seconds,
                    "channels": 1,
                }
                return [json.dumps(metadata), Hangup(1000)]
            case _:
                return []

    def _results(self, text: str, *, final: bool) -> str:
        start, end = self._done, self.seconds
        words = [
            {
                "word": word.strip(".,?!").lower(),
                "start": begin,
                "end": stop,
                "confidence": 0.9,
                "punctuated_word": word,
            }
            for word, begin, stop in self.words(text)
        ]
        if final:
            self._done = end
            self.over()
        return json.dumps(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": start,
                "duration": end - start,
                "is_final": final,
                "speech_final": False,
                "from_finalize": final,
                "channel": {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]},
                "metadata": {
                    "request_id": REQUEST_ID,
                    "model_uuid": MODEL_UUID,
                    "model_info": {"name": self._model, "version": "2026-01-01.0", "arch": "nova-3"},
                },
            }
        )


class FluxSession(_Hearing):
    """One socket of ``/v2/listen``: an Update each 240 ms, the likely end of a turn after 200 ms of silence if the
    query asks for that, and its end after ``ends_after``."""

    def __init__(self, server: Heard, query: Mapping[str, str]) -> None:
        super().__init__(server)
        self._eager = "eager_eot_threshold" in query
        self._turn = 0
        self._began = False
        self._awaiting_since: float | None = None  # it is likely over
        self._wavered_at = 0.0
        self._parts = 1
        self._from = self._told = 0.0
        self._sequence = 0

    def opened(self) -> list[Out]:
        return [self._message("Connected")]

    def error(self) -> str:
        return self._message("Error", request_id=None, code="NET-0002", description=LUCK)

    def receive(self, message: str | bytes) -> list[Out]:
        if isinstance(message, bytes):
            self.check(message)
            outs: list[Out] = []
            for start in range(0, len(message), 160):
                self.hear(message[start : start + 160])
                outs += self._listen()
            return outs
        match self.server.read(message, {"CloseStream": (), "ForceEndTurn": ()})["type"]:
            case "ForceEndTurn":
                return [self._end("manual")] if self._began else []
            case "CloseStream":
                return [Hangup(1000)]
            case _:
                return []

    def _listen(self) -> list[Out]:
        silent = self.seconds - self.loud_to
        if not self._began:
            if self._texts and self.loud_from is not None and self.loud_to >= self.loud_from + 0.1:
                self._began = True
                return [self._info("StartOfTurn", self._texts[0].split()[0])]
        elif self._awaiting_since is not None:
            wavers = self.server.wavers and self.seconds >= self._awaiting_since + 0.1
            if silent < EAGER_SECONDS or wavers:
                self._awaiting_since, self._wavered_at = None, self.seconds
                return [self._info("TurnResumed", self._said())]
        elif (
            self._eager and EAGER_SECONDS <= silent < self.server.ends_after and self.seconds >= self._wavered_at + 0.1
        ):
            self._awaiting_since = self.seconds
            return [self._info("EagerEndOfTurn", self._said(), end_of_turn_confidence=0.6)]
        if self._began and silent >= self.server.ends_after:
            return [self._end("model")]
        if self.seconds >= self._told + 0.24:
            return [self._info("Update", self._said() if self._began else "")]
        return []

    @property
    def _texts(self) -> list[str]:
        return [part.strip() for part in self.server.texts[0].split("|")] if self.server.texts else []

    def _said(self) -> str:
        """The parts that were begun; while one is said, half of its words."""
        parts = self._texts[: self.parts]
        if self.seconds <= self.loud_to and parts and self.parts <= len(self._texts):
            words = parts[-1].split()
            parts[-1] = " ".join(words[: max(1, len(words) // 2)])
        return " ".join(parts)

    def _end(self, trigger: str) -> str:
        said, rest = self._texts[: self.parts], self._texts[self.parts :]
        self.server.texts[:1] = ["|".join(rest)] if rest else []
        ended = self._info("EndOfTurn", " ".join(said), end_of_turn_confidence=0.9, trigger=trigger)
        self._turn += 1
        self._began, self._awaiting_since, self._from = False, None, self.seconds
        self.over()
        return ended

    def _info(self, event: str, text: str, **more: Any) -> str:
        self._told = self.seconds
        return self._message(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=self._from,
            audio_window_end=self.seconds,
            transcript=text,
            words=[{"word": word, "confidence": 0.9, "start": s, "end": e} for word, s, e in self.words(text)],
            **({"end_of_turn_confidence": 0.1} | more),
        )

    def _message(self, kind: str, **fields: Any) -> str:
        self._sequence += 1
        message = {"type": kind, "request_id": REQUEST_ID, "sequence_id": self._sequence - 1} | fields
        return json.dumps({name: value for name, value in message.items() if value is not None})
