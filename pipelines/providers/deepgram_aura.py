"""Deepgram's Aura on ``/v1/speak``: one phrase at a time. Pure.

A phrase that is broken off is cleared, and counts until the vendor says that it was.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.parts import SpeechAudio
from pipelines.providers.deepgram_wire import AUDIO, fault_of, pieces
from pipelines.providers.speaking import Finished, Said, SpeakingEvent
from pipelines.providers.wire import parse

MOST_CHARACTERS = 2000
"""In one ``Speak``."""

MOST_FLUSHES, FLUSHES_SECONDS = 20, 60.0
"""So often in so long a socket may be told that a phrase is whole; more often it does not listen."""

_FLUSH, _CLEAR, _CLOSE = '{"type":"Flush"}', '{"type":"Clear"}', '{"type":"Close"}'


class AuraProtocol:
    """See :class:`pipelines.providers.speaking.SpeakingProtocol`. ``clock`` is monotonic, in seconds."""

    path = "/v1/speak"
    goodbye: str | None = _CLOSE

    def __init__(self, voice: str, clock: Callable[[], float]) -> None:
        self._voice = voice
        self._clock = clock
        self._flushes: deque[float] = deque(maxlen=MOST_FLUSHES)
        self._number = 0
        self._phrase: str | None = None
        self._clearing = False

    @property
    def room(self) -> int:
        flushes = self._flushes
        worn = len(flushes) == MOST_FLUSHES and self._clock() - flushes[0] < FLUSHES_SECONDS
        return 0 if worn else 1

    def __len__(self) -> int:
        return int(self._phrase is not None)

    def query(self) -> list[tuple[str, str]]:
        return [("model", self._voice), *AUDIO]

    def begin(self, text: str, settings: Mapping[str, Any]) -> tuple[str, Sequence[str]]:
        self._number += 1
        self._phrase, self._clearing = f"phrase-{self._number}", False
        self._flushes.append(self._clock())
        speak = [json.dumps({"type": "Speak", "text": piece}) for piece in pieces(text, MOST_CHARACTERS)]
        return self._phrase, (*speak, _FLUSH)

    def leave(self, phrase: str, heard: float) -> Sequence[str]:
        self._clearing = True
        return (_CLEAR,)

    def forget(self, phrase: str) -> None:
        self._phrase = None
        self._flushes.pop()

    def holds(self, phrase: str) -> bool:
        return self._phrase == phrase

    def receive(self, message: str | bytes) -> Sequence[SpeakingEvent]:
        phrase, wanted = self._phrase, not self._clearing
        if isinstance(message, bytes):
            return (Said(phrase, (SpeechAudio(message),)),) if phrase is not None and wanted and message else ()
        data = parse(message)
        match data["type"]:
            case "Flushed" if phrase is not None and wanted:
                self._phrase = None
                return (Finished(phrase),)
            case "Cleared" if not wanted:
                self._phrase = None
                return ()
            case "Error":
                return (fault_of(data),)
            case _:
                return ()  # Metadata, warnings, and what belongs to a phrase that was broken off
