"""The first seconds of a call that we have placed: who is there? The agent speaks with people; machines are left a
message, screeners are told who is calling, and from nobody we part.

What is heard here is heard before the agent hears anything, by ears of their own: the line's voice activity, a detector
of beeps, a recogniser where there is one, and what Jambonz tells of its own detection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_never

from gateway import metrics
from gateway.dialling import Dialling
from gateway.surroundings import Surroundings
from gateway.waiting import first_of, unless
from media.audio import AudioFormat
from media.beep import BeepDetector
from media.convert import Converter
from pipelines.agent.options import AnswerDetection
from pipelines.answering.judge import Finding, Judge
from pipelines.events import UsageReported, UserSaid
from pipelines.history import Conversation
from pipelines.interlude import Interlude
from pipelines.parts import Message, ProviderError, SpeechToText, SttStream, Transcript
from store.listeners import ListenerForCall

if TYPE_CHECKING:
    from gateway.session import CallSession

PREPARE_SECONDS = 5.0
"""The longest that a recogniser may take: it goes without, where that is too slow."""

PAUSE_SECONDS = 0.3
"""Of silence, after which a transcript is wanted."""

LOOK_SECONDS = 0.1

LONGEST_MESSAGE_SECONDS = 120.0

BREAK_SECONDS = 0.3
"""From a message that is broken off to its next beginning: until nothing of it is under way."""


class Reception:
    """:meth:`prepare` it while it rings, and :meth:`receive` whoever is there, once."""

    def __init__(
        self,
        call: CallSession,
        dialling: Dialling,
        wanted: AnswerDetection,
        listener: ListenerForCall,
        around: Surroundings,
    ) -> None:
        self._call = call
        self._dialling = dialling
        self._wanted = wanted
        self._listener = listener
        self._around = around
        self._clock = asyncio.get_running_loop().time
        self._recogniser: SpeechToText | None = None
        self._said: list[Message] = []

    async def prepare(self) -> None:
        """What hears words, if there is something."""
        try:
            recogniser = self._around.factory.recogniser_for(self._listener)
            if recogniser is not None:
                async with asyncio.timeout(PREPARE_SECONDS):
                    await recogniser.prepare()
            self._recogniser = recogniser
        except (ProviderError, TimeoutError) as error:
            self._call.log.warning("who answers is found out without words", error=str(error) or "it took too long")

    async def receive(self, interlude: Interlude | None, format: AudioFormat) -> Conversation | None:
        """Who is there, as what was said with them so far; None: nobody whom the agent could speak with, and the call
        is over."""
        judge = Judge(
            self._call.attached_at,
            words=self._wanted.words,
            max_wait=self._wanted.max_wait,
            hears=self._recogniser is not None,
        )
        ears = _Ears(judge, self._call, self._recogniser, self._listener, format, self._around)
        floor = self._call.floor
        floor.overhear(ears.hear)
        try:
            while not self._call.over.is_set():
                await first_of(self._call.over, self._dialling.heard, ears.news, seconds=LOOK_SECONDS)
                self._listen_to_jambonz(judge)
                judge.tick(self._clock())
                finding = judge.finding
                if finding is None or not judge.ready or self._call.over.is_set():
                    continue
                self._tell(finding, judge.text)
                match finding.who:
                    case "person" | "unknown":
                        return self._conversation(owed=judge.text != "")
                    case "screener" if self._wanted.screening is None:
                        return self._conversation(owed=True)
                    case "screener":
                        await self._say(interlude, self._wanted.screening or "", asyncio.Event())
                        judge.replied(self._clock())
                    case "machine":
                        ears.beep.clear()
                        if self._wanted.message is not None:
                            await self._say(interlude, self._wanted.message, ears.beep)
                        await self._call.take_leave("voicemail")
                    case "nobody":
                        await self._call.take_leave("unavailable")
                    case _:
                        assert_never(finding.who)
            return None
        finally:
            floor.overhear(None)
            await ears.close()

    def _listen_to_jambonz(self, judge: Judge) -> None:
        self._dialling.heard.clear()
        while self._dialling.found:
            hook = self._dialling.found.popleft()
            self._call.note("status", {"amd": hook.type})
            judge.told(hook.type, hook.reason, hook.greeting or hook.hint, self._clock())

    def _tell(self, finding: Finding, text: str) -> None:
        metrics.answers.labels(finding.who).inc()
        seconds = round(self._clock() - self._call.attached_at, 2)
        told = {"by": finding.who, "because": finding.because, "greeting": text, "seconds": seconds}
        self._call.facts["answeredBy"] = told
        self._call.note("status", {"answeredBy": told})
        if text:
            self._call.on_event(UserSaid(text))
            self._said.append(Message("user", text))

    @property
    def context(self) -> str:
        """What happened, for a model that was set up before."""
        who = {"user": "Whoever was rung", "assistant": "You"}
        lines = [f"{who[one.role]}: {one.content}" for one in self._said if one.role in who]
        return "\n".join(("You have placed this call. So far was said:", *lines)) if lines else ""

    def _conversation(self, *, owed: bool) -> Conversation:
        """An agent that speaks first answers with its greeting; another one owes an answer to what was said."""
        greets = self._listener.agent.options.opening is not None
        return Conversation(tuple(self._said), owed and not greets, self._clock())

    async def _say(self, interlude: Interlude | None, text: str, begin_anew: asyncio.Event) -> None:
        """Once more from its beginning, where ``begin_anew`` is set meanwhile: nothing before that was recorded."""
        if interlude is None:
            self._call.log.error("nothing can be said to whoever has answered: there is no voice")
            return
        heard = await self._said_whole(interlude, text, begin_anew)
        if begin_anew.is_set() and not self._call.over.is_set():
            interlude.break_off()
            await first_of(self._call.over, seconds=BREAK_SECONDS)
            heard = await self._said_whole(interlude, text, asyncio.Event())
        self._said.append(Message("assistant", text))
        self._call.note("status", {"left": {"text": text, "heard": heard}})

    async def _said_whole(self, interlude: Interlude, text: str, until: asyncio.Event) -> bool:
        """Whether it was heard to its end."""
        if self._call.over.is_set():
            return False
        return bool(await unless(interlude.say(text, longest=LONGEST_MESSAGE_SECONDS), self._call.over, until))


class _Ears:
    """What comes in on the line, for the judge (TranscriptListener). ``news`` is set where words came."""

    def __init__(
        self,
        judge: Judge,
        call: CallSession,
        recogniser: SpeechToText | None,
        listener: ListenerForCall,
        format: AudioFormat,
        around: Surroundings,
    ) -> None:
        self.news = asyncio.Event()
        self.beep = asyncio.Event()
        """One was heard since it was looked for."""
        self._judge = judge
        self._call = call
        self._detector = around.factory.detector(format)
        self._beeps = BeepDetector(format)
        self._clock = asyncio.get_running_loop().time
        self._name = recogniser.name if recogniser is not None else ""
        self._stream: SttStream | None = None
        self._to_stt: Converter | None = None
        self._segments: dict[int, str] = {}
        self._old = -1  # segments up to this are of no account any more
        self._stretch = 0
        self._last_voice: float | None = None
        self._paused = True
        if recogniser is not None:
            language = listener.agent.options.stt.language or "en-GB"
            try:
                self._stream = recogniser.open(self, language=language)
            except ProviderError as error:
                self.on_stt_error(error)
            else:
                self._to_stt = Converter(format, recogniser.format) if format != recogniser.format else None

    def hear(self, frame: bytes) -> None:
        """20 ms."""
        now = self._clock()
        voice = self._detector.hear(frame, now)
        if self._beeps.hear(frame):
            self.beep.set()
            self._judge.beep(now)
        if self._stream is not None:
            self._stream.push(frame if self._to_stt is None else self._to_stt.process(frame))
            self._mind_pauses(self._stream, voice, now)
        self._judge.hear(voice, now)
        if self._judge.stretch != self._stretch:
            self._stretch = self._judge.stretch
            self._forget()

    def _forget(self) -> None:
        """What is understood from now on is new."""
        if self._stream is not None:
            self._stream.end_segment()
        self._old = max(self._segments, default=self._old)
        self._segments = {}

    async def close(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()

    def _mind_pauses(self, stream: SttStream, voice: bool, now: float) -> None:
        if voice:
            self._last_voice = now
            if self._paused:
                self._paused = False
                stream.speech_started()
        elif not self._paused and self._last_voice is not None and now - self._last_voice >= PAUSE_SECONDS:
            self._paused = True
            stream.speech_paused()

    # TranscriptListener

    def on_transcript(self, transcript: Transcript) -> None:
        if self._stream is None or transcript.segment <= self._old:
            return
        self._segments[transcript.segment] = transcript.text
        self._judge.understand(" ".join(filter(None, self._segments.values())), self._clock())
        self.news.set()
        self.news.clear()

    def on_stt_error(self, error: ProviderError) -> None:
        self._call.log.warning("the words of whoever has answered are not understood", error=str(error))
        self._judge.hears = False

    def on_stt_over(self) -> None:
        self._judge.hears = False

    def on_stt_usage(self, units: Mapping[str, float]) -> None:
        self._call.on_event(UsageReported("stt", self._name, units))
