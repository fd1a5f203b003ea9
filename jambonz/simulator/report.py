"""What comes of a simulated call: events while it lasts, and a report at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from jambonz.simulator.caller import BargeIn, Speak, StepRecord
from jambonz.simulator.ear import Ear, Span
from jambonz.simulator.outcomes import ReferOutcome
from jambonz.simulator.requestor import HookRecord
from media.audio import AudioFormat, Encoding

CUT_GAP_SECONDS = 0.25
"""Silence of this length after a barge-in counts as the agent having stopped."""

EndedBy = Literal["caller", "jambonz", "refused", "cancelled"]


@dataclass(frozen=True, slots=True)
class HookSent:
    """A hook has its answer, or none."""

    at: float
    hook: HookRecord


@dataclass(frozen=True, slots=True)
class VerbStarted:
    at: float
    verb: str
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answered:
    """From here on there is sound."""

    at: float


@dataclass(frozen=True, slots=True)
class SocketOpened:
    at: float
    url: str


@dataclass(frozen=True, slots=True)
class SocketFailed:
    at: float
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class SocketClosed:
    """``code`` is that of the WebSocket; ``by`` who closed it."""

    at: float
    code: int
    by: Literal["service", "jambonz"]


@dataclass(frozen=True, slots=True)
class StepStarted:
    at: float
    record: StepRecord


@dataclass(frozen=True, slots=True)
class AgentSpeech:
    """The agent began or stopped (0.3 s ago) to be heard."""

    at: float
    speaking: bool


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not simulated, or that the media server would have logged."""

    at: float
    text: str


@dataclass(slots=True)
class Dialled:
    """Somebody whom ``dial`` rang. ``call_status`` and ``sip_status`` are those of the end."""

    call_sid: str
    party: str
    caller_id: str
    headers: dict[str, str]
    rang: float
    answered: float | None = None
    ended: float | None = None
    call_status: str = ""
    sip_status: int = 0
    ear: Ear | None = None
    """What was heard there, once there was an answer."""

    @property
    def heard(self) -> bytes:
        return self.ear.heard_audio() if self.ear is not None else b""


@dataclass(frozen=True, slots=True)
class DialProgress:
    """A change of state of somebody who is rung."""

    at: float
    dialled: Dialled
    call_status: str


@dataclass(frozen=True, slots=True)
class Ended:
    at: float
    by: EndedBy
    sip_status: int
    reason: str


CallEvent = (
    HookSent
    | VerbStarted
    | Answered
    | SocketOpened
    | SocketFailed
    | SocketClosed
    | StepStarted
    | AgentSpeech
    | Note
    | DialProgress
    | Ended
)


@dataclass(slots=True)
class CallReport:
    """One call. All times are the loop's; ``heard`` and ``said`` are PCM16 in the telephone's ``format``, from
    ``answered`` on, in step."""

    call_sid: str
    started: float
    ear: Ear
    said: bytes = b""
    answered: float | None = None
    ended: float | None = None
    ended_by: EndedBy | None = None
    sip_status: int = 100
    reason: str = ""
    """Why it was refused: what the SIP answer's X-Reason says."""
    steps: list[StepRecord] = field(default_factory=list)
    hooks: list[HookRecord] = field(default_factory=list)
    events: list[CallEvent] = field(default_factory=list)
    dials: list[Dialled] = field(default_factory=list)
    refers: list[tuple[str, ReferOutcome]] = field(default_factory=list)
    """Whom the far end was asked to ring, and what became of it."""
    commands: list[tuple[float, str, Any]] = field(default_factory=list)
    """What the application commanded: when, what, and its data, as its socket has them also where it came by REST."""
    application_closes: list[int] = field(default_factory=list)
    """The codes with which that socket was closed, by either."""

    @property
    def format(self) -> AudioFormat:
        return AudioFormat(Encoding.PCM16, self.ear.rate)

    @property
    def heard(self) -> bytes:
        return self.ear.heard_audio()

    @property
    def verbs(self) -> list[str]:
        """Those that ran, in their order."""
        return [event.verb for event in self.events if isinstance(event, VerbStarted)]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def seconds_of_sound(self) -> float:
        return self.ear.seconds

    @property
    def statuses(self) -> list[str]:
        """The call states told to the status hook, in the order in which the hooks were sent; B legs left out."""
        return [
            str(hook.payload["call_status"])
            for hook in self.hooks
            if hook.kind == "call:status" and hook.payload["call_sid"] == self.call_sid
        ]

    def hooks_of(self, kind: str) -> list[HookRecord]:
        return [hook for hook in self.hooks if hook.kind == kind]

    @property
    def underruns(self) -> list[Span]:
        return self.ear.underruns()

    @property
    def response_latencies(self) -> list[float]:
        """For each thing said: from the end of the caller's sound to the agent's first audible frame.

        Not counted are words into which the agent spoke already at their end, and those without an answer before the
        caller spoke again.
        """
        latencies: list[float] = []
        spoken = [record for record in self.steps if isinstance(record.step, Speak | BargeIn)]
        for index, record in enumerate(spoken):
            end = record.speech_ended
            if end is None:
                continue
            if isinstance(record.step, BargeIn):
                stopped = self.ear.silence_onset_after(record.speech_started or end, CUT_GAP_SECONDS)
                if stopped is None or stopped > end:
                    continue
            elif self.ear.speaking_at(end):
                continue
            onset = self.ear.sound_onset_after(end)
            following = spoken[index + 1].speech_started if index + 1 < len(spoken) else None
            if onset is not None and (following is None or onset < following):
                latencies.append(onset - end)
        return latencies

    @property
    def barge_in_latencies(self) -> list[float]:
        """For each barge-in into the agent's speech: from its first audible frame to silence at the caller's ear."""
        latencies: list[float] = []
        for record in self.steps:
            start = record.speech_started
            if not isinstance(record.step, BargeIn) or start is None or not self._agent_speaks_about(start):
                continue
            silent = self.ear.silence_onset_after(start, CUT_GAP_SECONDS)
            if silent is not None:
                latencies.append(max(silent - start, 0.0))
        return latencies

    def _agent_speaks_about(self, t: float) -> bool:
        """Whether the agent is heard at ``t``, or in a pause between two words there."""
        return any(span.start <= t < span.end + CUT_GAP_SECONDS for span in self.ear.utterances(CUT_GAP_SECONDS))
