"""OpenAI's transcription sessions: what is sent, and what its events mean. Pure.

Turns are ours: each pause commits the sound since the last one, which becomes an item, whose transcript is a piece of
the segment. The vendor's own voice activity is off: its newer models refuse it, it would cut the sound at pauses of its
own, and the words could not be had at ours.

Only speech is sent, from a little before it began: what is committed is transcribed and billed whole, silence too, and
in silence such models hear words.

Sources: openai-python 3.52 and the vendor's guide to realtime transcription.
"""

from __future__ import annotations

import binascii
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from media.audio import MULAW_8K
from pipelines.json_text import json_object
from pipelines.providers.compatible import transcription_units
from pipelines.providers.segment import Segment
from pipelines.providers.speech_gate import SpeechGate
from pipelines.providers.wire import Consumed, Failed, HearingEvent, Renew, Strange
from pipelines.realtime.model import ModelFault
from pipelines.realtime.openai_session import SETUP_ID
from pipelines.realtime.openai_wire import IGNORED, fault, mapping, number, text

COMMIT_MS = 100
"""The vendor refuses to commit less."""

LIFE_SECONDS = 900.0
"""Of a session that does not say when it ends."""

BELIEVED_SECONDS = (60.0, 7200.0)
"""A session that is said to last less or more is not believed: one of the two clocks is wrong."""

RENEWED_AFTER = 0.6
"""Of its life, a session is replaced at the next pause: in the middle of speech, words could be lost."""

_RATE = MULAW_8K.bytes_per_second
_CLEAR = '{"type":"input_audio_buffer.clear"}'
_TRANSCRIPTION = "conversation.item.input_audio_transcription."
_PASSED_OVER = IGNORED | {"conversation.item.added", "conversation.item.created", "conversation.item.done"}


@dataclass(slots=True, eq=False)
class _Commit:
    """Sound from ``start`` to ``end``, in bytes of the stream. ``words`` are those of it that came so far, or all."""

    id: str
    start: int
    end: int
    asked: float
    words: str = ""
    done: bool = False


class TranscriptionProtocol:
    """See :class:`pipelines.providers.wire.HearingProtocol`. ``session`` is as the vendor wants it; ``first``
    is the number of its first segment; ``secret`` is kept out of errors; ``wall`` is the time of day, in which the
    vendor tells when a session ends. With ``tells_model`` the query has the model, as gateways want it that choose by
    it; the vendor itself would take that for a session of another kind."""

    path = "/realtime"
    idle: str | bytes | None = None
    goodbye: str | None = None
    reports_usage = True

    def __init__(
        self,
        session: Mapping[str, Any],
        *,
        first: int = 0,
        tells_model: bool = False,
        secret: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._tells_model = tells_model
        self._secret = secret
        self._wall = wall
        self._segment = Segment(first)
        self._gate = SpeechGate(MULAW_8K)
        self._number = 0
        self._unnamed: deque[_Commit] = deque()  # the vendor has not said yet what it calls them
        self._named: dict[str, _Commit] = {}
        self._mine: list[_Commit] = []  # of this segment, from the first one on that is not transcribed
        self._again: float | None = None
        self._told: deque[str] = deque(maxlen=16)  # the latest that are transcribed: what comes of them is late
        self._item = ""  # what the vendor calls the sound that is not committed yet
        self._partial = ""
        self._dropped = ""
        self._failed = -1  # the segment of which something could not be transcribed
        self._covered = 0.0  # the segment's text has all that was said up to here
        self._renew_at: float | None = None
        self.settled = 0.0

    def query(self) -> list[tuple[str, str]]:
        model = self._session["audio"]["input"]["transcription"]["model"]
        return [("intent", "transcription"), *([("model", model)] if self._tells_model else [])]

    # To the vendor

    def connected(self, origin: float) -> Sequence[str]:
        """What is not transcribed for good is heard again. Of what lies before ``origin`` the words that came are
        kept, as far as they can be of it: there is nothing else of it any more."""
        gate, start = self._gate, round(origin * _RATE)
        untold = list(self._mine)
        if gate.is_open:
            untold.append(_Commit("", gate.start, gate.position, 0.0, self._partial))
        for commit in untold:
            words = commit.words.split()
            share = (start - commit.start) / max(commit.end - commit.start, 1)
            if kept := " ".join(words[: max(int(share * len(words)), 0)]):
                self._segment.settle(kept, min(commit.end, start) / _RATE)
        asked = [commit.asked for commit in untold if commit.id]
        self._again = asked[0] if asked else None
        gate.restart(start, untold[0].start if untold else gate.start)
        self._unnamed.clear()
        self._named.clear()
        self._mine.clear()
        self._told.clear()
        self._item = self._partial = self._dropped = ""
        self._segment.suppose("")
        return (json.dumps({"type": "session.update", "event_id": SETUP_ID, "session": self._session}),)

    def audio(self, pcm: bytes) -> str | bytes:
        speech = self._gate.hear(pcm)
        return _append(speech) if speech else ""

    def replayed(self) -> Sequence[str]:
        asked, self._again = self._again, None
        return self._commit(self._gate.position, asked) if asked is not None else ()

    def speech_started(self, at: float) -> Sequence[str]:
        self._segment.speech_started(at)
        before = self._gate.open(round(at * _RATE))
        return (_append(before),) if before else ()

    def speech_paused(self, at: float, now: float) -> Sequence[str]:
        self._segment.paused = at
        return self._commit(round(at * _RATE), now) if self._gate.is_open else ()

    def end_segment(self, at: float) -> Sequence[str]:
        """What was said and not transcribed is not asked for any more."""
        segment = self._segment
        segment.end(at)
        self._mine.clear()
        self._covered = segment.begins
        self.settled = max(self.settled, segment.begins)
        self._dropped, self._item, self._partial = self._item, "", ""
        return (_CLEAR,) if self._gate.close(round(segment.begins * _RATE)) else ()

    def _commit(self, at: int, asked: float) -> Sequence[str]:
        gate = self._gate
        self._number += 1
        commit = _Commit(f"commit_{self._number}", gate.start, at, asked)
        self._unnamed.append(commit)
        self._mine.append(commit)
        missing = COMMIT_MS - gate.uncommitted * 1000 // _RATE
        gate.commit(at)
        pad = [_append(MULAW_8K.silence(missing))] if missing > 0 else []
        return [*pad, json.dumps({"type": "input_audio_buffer.commit", "event_id": commit.id})]

    # From the vendor

    def receive(self, message: str | bytes, now: float) -> Sequence[HearingEvent]:
        event = json_object(message)
        if event is None:
            return (Strange("what is no JSON object"),)
        kind = text(event.get("type"))
        match event:
            case {"type": "session.created", "session": dict(session)}:
                self._live(number(session.get("expires_at")), now)
                return ()
            case {"type": "session.updated", "session": dict(session)}:
                return self._updated(session)
            case {"type": "input_audio_buffer.committed", "item_id": str(item)}:
                self._name(item)
                return ()
            case {"type": str(), "item_id": str(item)} if kind.startswith(_TRANSCRIPTION):
                return self._said(kind.removeprefix(_TRANSCRIPTION), item, event, now)
            case {"type": "error", "error": dict(error)}:
                return self._error(error, now)
            case _:
                return () if kind in _PASSED_OVER else (Strange(f"a message {kind[:40] or 'without a type'}"),)

    def _live(self, expires: float, now: float) -> None:
        life = expires - self._wall()
        least, most = BELIEVED_SECONDS
        self._renew_at = now + RENEWED_AFTER * (life if least <= life <= most else LIFE_SECONDS)

    def _updated(self, session: Mapping[str, Any]) -> Sequence[HearingEvent]:
        heard = mapping(mapping(session.get("audio")).get("input"))
        format = text(mapping(heard.get("format")).get("type"))
        if format not in ("", "audio/pcmu"):
            return (Failed("protocol", f"the session hears {format} and not audio/pcmu, which was asked for"),)
        return ()

    def _name(self, item: str) -> None:
        if not self._unnamed:
            return
        commit = self._named[item] = self._unnamed.popleft()
        commit.words = self._words_of(item)
        if item == self._dropped:
            self._dropped = ""

    def _words_of(self, item: str) -> str:
        """Those that came before it was committed; they are its no more."""
        if item != self._item:
            return ""
        words, self._item, self._partial = self._partial, "", ""
        return words

    def _said(self, what: str, item: str, event: Mapping[str, Any], now: float) -> Sequence[HearingEvent]:
        if item in self._told:
            return ()
        match what:
            case "delta":
                return self._supposed(item, text(event.get("delta")))
            case "completed":
                self._told.append(item)
                self._words_of(item)
                commit = self._named.pop(item, None) or (self._unnamed.popleft() if self._unnamed else None)
                seconds = (commit.end - commit.start) / _RATE if commit is not None else 0.0
                units = transcription_units(event.get("usage"), seconds)
                used = [Consumed(units)] if any(units.values()) else []
                return [*used, *self._transcribed(commit, text(event.get("transcript")).strip(), now)]
            case "failed":
                return self._untranscribed(item, fault(mapping(event.get("error")), self._secret), now)
            case _:
                return ()  # segment: of who speaks

    def _supposed(self, item: str, words: str) -> Sequence[HearingEvent]:
        if (commit := self._named.get(item)) is not None:
            commit.words += words
        elif item != self._dropped:
            if item != self._item:
                self._item, self._partial = item, ""
            self._partial += words
        before = self._segment.text
        self._suppose()
        if not self._gate.is_open or self._segment.text == before:
            return ()
        return (self._segment.transcript(self._covered),)

    def _transcribed(self, commit: _Commit | None, words: str, now: float) -> Sequence[HearingEvent]:
        if commit is None or commit not in self._mine:
            return ()  # of a segment that is over
        commit.done, commit.words = True, words
        while self._mine and self._mine[0].done:
            first = self._mine.pop(0)
            self._covered = first.end / _RATE
            self._segment.settle(first.words, self._covered)
            self.settled = max(self.settled, self._covered)
        self._suppose()
        told = [self._segment.transcript(self._covered, took=now - commit.asked)]
        if self._renew_at is None or now < self._renew_at or self._mine or self._segment.paused is None:
            return told
        self._renew_at = None
        return [*told, Renew()]

    def _untranscribed(self, item: str, failed: ModelFault, now: float) -> Sequence[HearingEvent]:
        """The sound is heard again, by another socket, once; then what words there are have to do."""
        message = f"it could not transcribe: {failed.message}"
        commit = self._named.pop(item, None)
        if failed.fatal or (commit is not None and commit in self._mine and self._failed != self._segment.number):
            self._failed = self._segment.number
            return (Failed(failed.kind, message),)
        words = commit.words.strip() if commit is not None else ""
        return [Strange(message), *self._transcribed(commit, words, now)]

    def _suppose(self) -> None:
        pieces = [*(commit.words for commit in self._mine), self._partial]
        self._segment.suppose(" ".join(filter(None, (piece.strip() for piece in pieces))))

    def _error(self, error: Mapping[str, Any], now: float) -> Sequence[HearingEvent]:
        code, about = text(error.get("code")), text(error.get("event_id"))
        if code == "session_expired":
            return (Renew(),)
        refused = next((commit for commit in self._unnamed if commit.id == about), None)
        if refused is not None:
            self._unnamed.remove(refused)
            if code == "input_audio_buffer_commit_empty":
                return self._transcribed(refused, self._words_of(self._item).strip(), now)
        failed = fault(error, self._secret, refused="the session's settings" if about == SETUP_ID else "")
        if failed.fatal or refused is not None or failed.kind in ("rate_limit", "server"):
            return (Failed(failed.kind, failed.message),)
        return (Strange(f"an error: {failed.message}"),)


def _append(pcm: bytes) -> str:
    sound = binascii.b2a_base64(pcm, newline=False).decode()
    return '{"type":"input_audio_buffer.append","audio":"' + sound + '"}'
