"""``options`` of an agent. Durations are seconds. Every part has its defaults: the call path reads plain attributes."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipelines.agent.modelname import ModelName
from pipelines.agent.parameter_rules import expression_problem
from pipelines.agent.rest_rules import is_http
from pipelines.agent.strict import Strict, or_list, refuse, text_or
from pipelines.agent.telephone import digits
from pipelines.providers.script import Script

Seconds = Annotated[float, Field(ge=0, le=3600)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]


def _http_url(value: str) -> str:
    if not is_http(value):
        raise refuse("has to be a URL that starts with http:// or https://")
    return value


def _regex(value: str) -> str:
    problem = expression_problem(value)
    if problem is not None:
        raise refuse(problem)
    return value


def _model_name(value: str) -> str:
    try:
        ModelName.parse(value)
    except ValueError as error:
        raise refuse(str(error)) from None
    return value


def _telephone(value: str) -> str:
    digits(value)
    return value


def _agent_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise refuse("has to be the id of an agent: up to 64 letters, digits, - and _")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Regex = Annotated[str, AfterValidator(_regex)]
Model = Annotated[str, Field(max_length=300), AfterValidator(_model_name)]
"""``[handler:]provider/model``"""

Telephone = Annotated[str, Field(max_length=40), AfterValidator(_telephone)]
"""As it was written; :func:`digits` has its digits."""


def _duration(value: Any) -> Any:
    text = value if isinstance(value, str) else f"{value}s"
    if isinstance(value, bool) or not re.fullmatch(r"\d+(\.\d+)?s?", text) or not 0 < float(text.rstrip("s")) <= 86400:
        raise refuse('has to be seconds, at most a day of them: a number such as 305, or text such as "305s"')
    return value


Duration = Annotated[float | str, BeforeValidator(_duration)]


class Tts(Strict):
    """Text-to-speech: whose, by which of its models, in which language (``en-GB``), in which voice."""

    vendor: Text | None = None
    model: Text | None = None
    language: Text | None = None
    voice: Text | None = None


class Stt(Strict):
    """Speech-to-text: whose, by which of its models, in which language, and words that are likely to be said."""

    vendor: Text | None = None
    model: Text | None = None
    language: Text | None = None
    hints: list[Text] = Field(default=[], max_length=200)


class Audio(Strict):
    """The caller's line: 8000 samples a second as telephones have it, or 16000 for calls that carry more."""

    sample_rate: Literal[8000, 16000] = 8000


class Recording(Strict):
    """Whether calls are recorded. With ``key`` only who knows it can play them; without, the service can.
    ``announcement`` is heard to its end before anything is recorded: without one, that the call is recorded, in the
    agent's language; null: nothing is said, for calls whose parties know already."""

    enabled: bool = False
    key: Text | None = None
    announcement: Text | None = None

    @property
    def announces(self) -> bool:
        return self.announcement is not None or "announcement" not in self.model_fields_set


MOST_FALLBACKS = 5
"""Of one kind: each costs the caller a wait."""


class Fallback(Strict):
    """What goes on with a call, at set-up and later, when what should does not.

    First the parts: other models, recognisers and voices, each in its order. Then the whole call: another agent of the
    same owner, or else a number that the caller is put through to.
    """

    agent: Annotated[str, AfterValidator(_agent_id)] | None = None
    model: or_list(Model, MOST_FALLBACKS) | None = None  # type: ignore[valid-type]
    stt: or_list(Stt, MOST_FALLBACKS) | None = None  # type: ignore[valid-type]
    tts: or_list(Tts, MOST_FALLBACKS) | None = None  # type: ignore[valid-type]
    number: Telephone | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """``modelName``s, in the order in which they are tried."""
        return _tuple(self.model)

    @property
    def recognisers(self) -> tuple[Stt, ...]:
        return _tuple(self.stt)

    @property
    def voices(self) -> tuple[Tts, ...]:
        return _tuple(self.tts)


def _tuple(value: Any) -> tuple[Any, ...]:
    """What :func:`or_list` accepted, however it was written."""
    return () if value is None else tuple(value) if isinstance(value, list) else (value,)


class CallHook(Strict):
    """A webhook of ours at the start and the end of each call."""

    url: HttpUrl
    hash_key: Text | None = None
    include_transcript: bool = False
    events: list[Literal["start", "end"]] = Field(default=["start", "end"], max_length=10)


class Greeting(Strict):
    """What the agent says first."""

    text: Text
    interruptible: bool = True


class Endpointing(Strict):
    """How much silence ends a turn of the caller: ``minDelay`` where it is likely over, ``maxDelay`` where the caller
    is in the middle of something (a number, a sentence), half way in between where nobody can tell."""

    min_delay: Seconds = 0.3
    max_delay: Seconds = 1.5

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_delay > self.max_delay:
            raise refuse(f"has a minDelay of {self.min_delay:g} over its maxDelay of {self.max_delay:g}")
        return self


class Interruption(Strict):
    """How the caller breaks in.

    ``adaptive`` pauses the agent at once and decides by what is heard whether it was an interruption; ``vad`` takes
    ``minDuration`` of voice for one. The agent is silent for ``falseInterruptionTimeout`` at the most before that is
    decided; with ``resume`` it then goes on where it stopped, until words that come late interrupt it after all.
    Whoever says one of ``notices`` (legal texts) is not interrupted.
    """

    enabled: bool = True
    mode: Literal["adaptive", "vad"] = "adaptive"
    min_duration: Seconds = 0.4
    min_words: int = Field(default=0, ge=0, le=20)
    false_interruption_timeout: Seconds = 0.55
    resume: bool = True
    notices: list[Text] = Field(default=[], max_length=50)


class Turns(Strict):
    """Who speaks when. ``detection``: silence and words tell when a turn is over (``vad``), and the melody, too, where
    Smart Turn is installed (``auto``); ``semantic`` says so in the log where it is not. ``preemptiveGeneration``
    prepares an answer as soon as the turn is likely over. A caller who talks for ``userTurnLimit`` seconds is answered
    all the same."""

    detection: Literal["auto", "vad", "semantic"] = "auto"
    preemptive_generation: bool = True
    user_turn_limit: Annotated[float, Field(gt=0, le=3600)] = 60.0
    endpointing: Endpointing = Endpointing()
    interruption: Interruption = Interruption()


class PreResponse(Strict):
    """First words, at once, while the model thinks: found by ``model``, a small fast one, which is told ``prompt``
    instead of the built-in instructions; or, without it or where it is too slow, one of ``phrases`` in turn. The
    agent's model is told what was said and goes on from it. With a ``delay`` it is asked at once instead, and first
    words are said where it has not begun to answer by then."""

    delay: Seconds = 0.0
    model: Model | None = None
    prompt: Text | None = None
    phrases: list[Text] = Field(default=[], max_length=50)

    @model_validator(mode="after")
    def _has_words(self) -> Self:
        if self.model is None and not self.phrases:
            raise refuse("needs a model that finds the first words, or phrases to choose from")
        return self


class Fillers(Strict):
    """What the caller hears while a tool runs: one of ``phrases`` in turn after ``delay`` seconds of silence, and one
    of ``escalation`` where it still runs after two of them. Empty lists are the service's own words."""

    delay: Annotated[float, Field(ge=0.5, le=2.2)] = 1.5
    phrases: list[Text] = Field(default=[], max_length=50)
    escalation: list[Text] = Field(default=[], max_length=50)


class Idle(Strict):
    """What happens when the caller says nothing for ``timeout`` (null: wait for ever): each of ``prompts`` once, with
    the timeout after each, then ``farewell`` and the end of the call."""

    timeout: Annotated[float, Field(gt=0, le=3600)] | None = 15.0
    prompts: list[Text] = Field(default=["Are you still there?"], max_length=20)
    farewell: Text = "I cannot hear you, so I will hang up now. Goodbye."


class Ending(Strict):
    """The last words: ``farewell`` is said before the agent hangs up by itself, and the hang-up waits until a goodbye
    was heard, at most ``maxWait``."""

    farewell: Text | None = None
    max_wait: Seconds = 10.0


class Transfer(Strict):
    """A caller who is transferred by a bridge hears ``music`` (a WAV or MP3 file) while it rings, else a ring-back
    tone; it rings for at most ``ringSeconds``."""

    music: HttpUrl | None = None
    ring_seconds: float = Field(default=45.0, ge=5, le=120)


class Dtmf(Strict):
    """Keys pressed: gathered until ``terminator`` or until none came for ``timeout``; with ``mask`` they are not
    written to the log."""

    timeout: Seconds = 1.5
    terminator: Annotated[str, Field(pattern=r"^[0-9*#A-D]$")] | None = "#"
    mask: bool = False


def _region(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}", value):
        raise refuse("has to be the code of a country in two capital letters, such as GB")
    return value


class DetectionRecognizer(Strict):
    """One of the Jambonz account's recognisers, with credentials there: then Jambonz's own detection helps ours."""

    vendor: Annotated[str, Field(pattern=r"^[a-z][a-z0-9:_-]{1,40}$")]
    language: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{2,20}$")]


class AnswerDetection(Strict):
    """Who answers a call that was placed, a person or a machine, before the agent speaks.

    ``message`` is left after a machine's beep; without one, or where there is nothing to leave it with, such a call
    just ends. ``screening`` is what somebody is told who asks for the caller's name before the call is put through;
    without it the agent answers that himself. A greeting of ``words`` words or more is a machine's. Whoever has still
    not said what to do after ``maxWait`` is hung up on.
    """

    message: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    screening: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    words: int = Field(default=9, ge=3, le=50)
    max_wait: Annotated[float, Field(ge=5, le=180)] = 60.0
    recognizer: DetectionRecognizer | None = None


class Outbound(Strict):
    """Calls that are placed: whom, beside ``outboundCallFilter``, and how. ``regions``: countries, as GB; without any
    it is the filter alone that says which. ``anyNumber`` lets the agent ring numbers that cost more than others, too,
    and such as no country gives out. Both hold for transfers, too. It rings for ``ringTimeout``."""

    ring_timeout: Annotated[float, Field(ge=5, le=180)] = 45.0
    regions: list[Annotated[str, AfterValidator(_region)]] = Field(default=[], max_length=250)
    any_number: bool = False
    detection: AnswerDetection | None = None


class Background(Strict):
    """A sound under the whole call, by its name, at ``volume`` of full scale."""

    sound: Text
    volume: float = Field(default=0.1, ge=0, le=1)


class AgentOptions(Strict):
    """How an agent speaks, hears and behaves."""

    temperature: float | None = Field(default=None, ge=0, le=1)
    max_duration: Duration | None = Field(
        default=None, description='Longest call, in seconds: a number, or text as "305s".', examples=["305s", 305]
    )
    time_exceeded_message: Text | None = None
    tts: Tts = Tts()
    stt: Stt = Stt()
    audio: Audio = Audio()
    recording: Recording = Recording()
    fallback: Fallback | None = None
    callback_url: HttpUrl | None = None
    call_hook: CallHook | None = None
    outbound_call_filter: Regex | None = None
    outbound: Outbound = Outbound()
    transfer_prompt: Text | None = None
    transfer: Transfer = Transfer()
    vendor_specific: dict[str, Any] = Field(default={})
    greeting: text_or(Text, Greeting) | None = None  # type: ignore[valid-type]
    turns: Turns = Turns()
    pre_response: PreResponse | None = None
    fillers: Fillers = Fillers()
    idle: Idle = Idle()
    ending: Ending = Ending()
    dtmf: Dtmf = Dtmf()
    latency: Literal["low", "medium", "high"] = Field(
        default="medium",
        description="How much of the caller goes to a realtime model at once: 20, 40 or 60 ms. More costs less CPU.",
    )
    background: Background | None = None
    script: dict[str, Any] | None = Field(default=None, description="The dialogue of a scripted/… model.")

    @field_validator("script")
    @classmethod
    def _script_is_one(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None:
            Script.model_validate(value)
        return value

    @property
    def opening(self) -> Greeting | None:
        """The greeting, however it was written."""
        greeting: str | Greeting | None = self.greeting
        return Greeting(text=greeting) if isinstance(greeting, str) else greeting

    @property
    def max_seconds(self) -> float | None:
        """``maxDuration`` in seconds, however it was written; None is no limit of the agent's own."""
        value = self.max_duration
        return float(value.removesuffix("s")) if isinstance(value, str) else value
