"""ElevenLabs' Scribe on ``/v1/speech-to-text/realtime``: what is sent, and what its transcripts mean. Pure.

Turns are ours: the vendor transcribes for good what a *commit* ends, and each pause is one. Transcripts tell no times,
for those that do come besides, and later; but each commit is answered, in its order, and an answer is about the sound
since the commit before. What others say between the caller's turns is committed apart from them.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from media.audio import MULAW_8K
from pipelines.providers.elevenlabs_wire import bare, fault_of, kind_of
from pipelines.providers.segment import Segment
from pipelines.providers.wire import Failed, HearingEvent, Malformed, Renew, Strange, parse, text

MODEL = "scribe_v2_realtime"

MOST_KEYTERMS, LONGEST_KEYTERM = 50, 20

LEAST_SECONDS = 0.34
"""The vendor refuses to commit less than 0.3 s of sound, and may close the session."""

LONGEST_SECONDS = 60.0
"""Speech without a pause is committed after so long: after 90 s the vendor would do it, whenever that is."""

TIDY_SECONDS = 20.0
"""Silence is committed, too, so that little else is in what the next pause asks for; oftener is said to harm."""

STRAY_SECONDS = 0.5
"""Words of which our voice activity still knows nothing, after so long, are none of the caller's."""

WARM_SECONDS = 2.0
"""The vendor begins to work once it has heard so much of a session: it is given silence, lest a first word wait."""

LATEST_SECONDS = 6.0
"""A commit that was not answered while so much sound was sent will not be."""

_RATE = MULAW_8K.bytes_per_second
_HEAD = '{"message_type":"input_audio_chunk","audio_base_64":"'
_CHUNK = f'","commit":false,"sample_rate":{MULAW_8K.rate}}}'
_COMMIT = f'","commit":true,"sample_rate":{MULAW_8K.rate}}}'
_LEAST, _LONGEST, _TIDY, _STRAY, _LATEST = (
    round(seconds * _RATE) for seconds in (LEAST_SECONDS, LONGEST_SECONDS, TIDY_SECONDS, STRAY_SECONDS, LATEST_SECONDS)
)
_PASSED_OVER = frozenset(
    {
        "session_started",
        "warning",
        "committed_transcript_with_timestamps",  # all of them came before, without
        "committed_transcript_entities",
        "redacted_transcript",
        "edited_transcript",
        "diarized_transcript",
        "speakers_merged",
    }
)


def _message(pcm: bytes, tail: str) -> str:
    return f"{_HEAD}{b2a_base64(pcm, newline=False).decode()}{tail}"


_WARMTH = _message(MULAW_8K.silence(200), _CHUNK)


@dataclass(frozen=True, slots=True)
class _Commit:
    """Of the sound up to ``end`` (in bytes of this socket), for a segment; None: it is nobody's."""

    end: int
    segment: int | None


class ScribeProtocol:
    """See :class:`pipelines.providers.wire.HearingProtocol`. ``first`` is the number of its first segment."""

    path = "/v1/speech-to-text/realtime"
    idle: str | bytes | None = _HEAD + _CHUNK
    goodbye: str | None = None
    reports_usage = False

    def __init__(self, model: str, language: str, hints: Sequence[str], *, first: int = 0) -> None:
        self._model, self._language = model, bare(language)
        self._hints = [hint for hint in hints if 0 < len(hint) <= LONGEST_KEYTERM][:MOST_KEYTERMS]
        self._segment = Segment(first)
        self._origin = 0.0
        self._heard = 0  # bytes of sound on this socket
        self._committed = 0
        self._commits: deque[_Commit] = deque()  # not answered yet
        self._asked: tuple[float, float] | None = None  # the position and the time of a pause not answered yet
        self._owed = False  # a commit that the vendor would refuse still
        self._stray: int | None = None  # where words of which no commit is under way came up
        self._latest = ""  # what the latest answer said
        self.settled = 0.0

    def query(self) -> list[tuple[str, str]]:
        return [
            ("model_id", self._model),
            ("audio_format", "ulaw_8000"),
            ("commit_strategy", "manual"),
            *([("language_code", self._language)] if self._language else []),
            *(("keyterms", hint) for hint in self._hints),
        ]

    # To the vendor

    def connected(self, origin: float) -> Sequence[str]:
        self._origin = origin
        self._heard = self._committed = 0
        self._commits.clear()
        self._owed, self._stray, self._latest = False, None, ""
        self._segment.suppose("")
        return (_WARMTH,) * round(WARM_SECONDS / 0.2)

    def audio(self, pcm: bytes) -> str | bytes:
        self._heard += len(pcm)
        if self._due():
            return self._commit(self._segment.number if self._owed or self._segment.onset is not None else None, pcm)
        return _message(pcm, _CHUNK)

    def replayed(self) -> Sequence[str]:
        return self._ask() if self._asked is not None else ()

    def speech_started(self, at: float) -> Sequence[str]:
        self._segment.speech_started(at)
        self._stray = None
        return ()

    def speech_paused(self, at: float, now: float) -> Sequence[str]:
        self._segment.paused = at
        self._asked = (at, now)
        return self._ask()

    def end_segment(self, at: float) -> Sequence[str]:
        """What was said and not transcribed is not asked for any more."""
        self._segment.end(at)
        self._asked = None
        self._owed = False
        if self._stray is not None:
            self._stray = self._heard
        return ()

    def _ask(self) -> Sequence[str]:
        if self._heard - self._committed < _LEAST:
            self._owed = True
            return ()
        return (self._commit(self._segment.number),)

    def _due(self) -> bool:
        """Whether what was sent is to be committed, though no pause asks for it now."""
        uncommitted = self._heard - self._committed
        if uncommitted < _LEAST:
            return False
        if self._owed or self._segment.onset is not None:
            return self._owed or uncommitted >= _LONGEST
        return uncommitted >= _TIDY or (self._stray is not None and self._heard >= self._stray + _STRAY)

    def _commit(self, segment: int | None, pcm: bytes = b"") -> str:
        self._commits.append(_Commit(self._heard, segment))
        self._committed = self._heard
        self._owed, self._stray = False, None
        return _message(pcm, _COMMIT)

    # From the vendor

    def receive(self, message: str | bytes, now: float) -> Sequence[HearingEvent]:
        try:
            data = parse(message, "message_type")
            match data["message_type"]:
                case "partial_transcript":
                    return self._suppose(text(data, "text").strip())
                case "committed_transcript":
                    return self._settle(text(data, "text").strip(), now)
                case "commit_throttled":
                    self._ask_again()
                    return ()
                case "session_time_limit_exceeded":
                    return (Renew(),)
                case kind if kind in _PASSED_OVER:
                    return ()
                case kind if isinstance(data.get("error"), str):
                    if kind == "error":
                        return (Failed(kind_of(data["error"]), data["error"]),)
                    return (fault_of(kind, data),)
                case kind:
                    return (Strange(f"a message {kind:.40}"),)
        except Malformed as error:
            return (Strange(str(error)),)

    def _suppose(self, said: str) -> Sequence[HearingEvent]:
        self._forget_unanswered()
        segment = self._segment
        if self._commits:
            if self._commits[0].segment != segment.number:
                return ()  # about what was said before
        elif said and self._stray is None:
            self._stray = self._heard
        if segment.onset is None:
            return ()
        segment.suppose(said)
        return (segment.transcript(self.settled),) if said else ()

    def _settle(self, said: str, now: float) -> Sequence[HearingEvent]:
        """The answer to a commit. One that nobody asked for is the same again, or the vendor's own idea."""
        self._forget_unanswered()
        segment = self._segment
        if self._commits:
            commit = self._commits.popleft()
        elif said and said != self._latest:
            commit = _Commit(self._heard, segment.number if segment.onset is not None else None)
            self._committed = self._heard
        else:
            return ()
        self._latest = said
        end = self._origin + commit.end / _RATE
        self.settled = max(self.settled, end)
        if commit.segment != segment.number:
            return ()
        segment.settle(said, end)
        took = 0.0
        if self._asked is not None and end >= self._asked[0] - 0.001:
            took, self._asked = now - self._asked[1], None
        return (segment.transcript(end, took=took),)

    def _ask_again(self) -> None:
        """The vendor has passed over the oldest commit: its sound is in the next one."""
        self._forget_unanswered()
        if self._commits and self._commits.popleft().segment == self._segment.number and self._asked is not None:
            self._owed, self._committed = True, self._heard

    def _forget_unanswered(self) -> None:
        while self._commits and self._heard - self._commits[0].end > _LATEST:
            self._commits.popleft()
