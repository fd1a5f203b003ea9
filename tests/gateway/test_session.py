"""One call, its leg and its pipeline played by tests, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from gateway import metrics
from gateway.floor import CLOSE_SECONDS, EARLY_FRAMES
from gateway.progress import Event, Live, Progress
from gateway.recorder import Recorder
from gateway.relay import MEDIA_SECONDS, PREPARE_SECONDS
from gateway.session import FAULT, GONE_SECONDS, CallSession
from gateway.surroundings import PipelineFactory, Surroundings
from gateway.ticker import Ticker
from jambonz.hooks import CallHook, StatusHook
from jambonz.listen import Started
from media.audio import PCM_8K, AudioFormat
from media.playout import Playout
from pipelines.agent import AgentDefinition
from pipelines.events import ModelNoted, PipelineEvent, UsageReported, UserSaid
from pipelines.history import Conversation
from pipelines.parts import ProviderError
from store import Owner, Store
from store.listeners import ListenerForCall, ListenerOptions
from tests.calls.office import MemoryStore
from tests.clock import run_virtual
from tests.simulators.codeword import PeakDetector

AGENT = AgentDefinition.model_validate({"modelName": "scripted/test", "prompt": "x"})
LISTENER = ListenerForCall("listener", "agent", Owner("o", "u"), AGENT, "44", ListenerOptions(metadata={"a": 1}))


class Leg:
    format: AudioFormat = PCM_8K
    exact_marks = True

    def __init__(self) -> None:
        self.ends: list[tuple[Any, ...]] = []

    def prepare(self, pcm: bytes) -> bytes:
        return pcm

    def send_audio(self, pcm: bytes) -> None: ...

    def send_mark(self, name: str) -> None: ...

    def send_clear(self) -> None: ...

    def disconnect(self) -> None:
        self.ends.append(("disconnect",))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.ends.append(("close", code, reason))


class Pipeline:
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.marks: list[tuple[str, bool]] = []
        self.keys: list[str] = []
        self.ticks = 0
        self.started = False
        self.closed = False
        self.is_leaving = False
        self.fails: dict[str, BaseException] = {}
        self.takes: dict[str, float] = {}

    async def _do(self, what: str) -> None:
        await asyncio.sleep(self.takes.get(what, 0.0))
        self._fail(what)

    def _fail(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    async def prepare(self) -> None:
        await self._do("prepare")

    def take_over(self, so_far: Conversation) -> None:
        self.so_far = so_far

    def start(self, playout: Playout, detector: PeakDetector) -> None:
        self._fail("start")
        self.started = True

    def hear(self, frame: bytes) -> None:
        assert self.started
        self.heard.append(frame)

    def mark(self, name: str, cleared: bool) -> None:
        self.marks.append((name, cleared))

    def dtmf(self, digit: str) -> None:
        self.keys.append(digit)

    def tick(self, now: float) -> float:
        self.ticks += 1
        self._fail("tick")
        return now

    async def close(self) -> None:
        self.closed = True
        await self._do("close")

    def hand_over(self) -> Conversation:
        return Conversation()


class Scene:
    """A session that runs; ``spawn`` is what its pipeline was given."""

    def __init__(self, pipeline: Pipeline, refuses: ProviderError | None = None) -> None:
        self.store = MemoryStore({})
        self.recorder = Recorder(cast(Store, self.store))
        self.writing = asyncio.create_task(self.recorder.run())
        self.ticker, self.progress, self.pipeline, self.leg = Ticker(), Progress(), pipeline, Leg()
        self.refuses = refuses
        self.spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
        hook = CallHook(call_sid="sid", to="44", from_="4477009001")
        factory = SimpleNamespace(pipeline=self._make, interlude=lambda *_: None, detector=lambda _: PeakDetector())
        around = Surroundings(
            cast(PipelineFactory, factory), self.recorder, self.progress, self.ticker, self.store.find_agent
        )
        self.call = CallSession(hook, LISTENER, around)
        self.running = asyncio.create_task(self.call.run())

    def _make(
        self, _: object, __: object, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> Pipeline:
        if self.refuses is not None:
            raise self.refuses
        self.spawn = spawn
        return self.pipeline

    def connects(self, call_sid: str = "sid") -> None:
        self.call.attach(cast(Any, self.leg))
        self.call.on_started(Started(call_sid, 8000, {}, {}))

    async def over(self) -> str:
        """Why the call ended, once all of it is."""
        await asyncio.wait_for(self.running, 60)
        await self.recorder.settled()
        [(_, reason, _)] = self.store.ended.values()
        return reason

    def log(self) -> list[tuple[str, Any]]:
        [events] = self.store.events.values()
        assert [event.seq for event in events] == list(range(len(events)))
        return [(event.type, event.data) for event in events]


def play(test: Callable[[Scene], Coroutine[Any, Any, None]], pipeline: Pipeline | None = None, **options: Any) -> None:
    async def main() -> None:
        scene = Scene(pipeline or Pipeline(), **options)
        await test(scene)
        if not scene.running.done():
            scene.call.on_closed(1000, "")
            await scene.over()
        assert len(scene.ticker) == 0
        assert scene.call.leg is None
        assert scene.call.speaker is None
        scene.writing.cancel()
        await asyncio.gather(scene.writing, return_exceptions=True)

    run_virtual(main())


def test_a_call() -> None:
    async def test(scene: Scene) -> None:
        await asyncio.sleep(0.1)
        scene.connects()
        await asyncio.sleep(1)
        assert scene.pipeline.started
        assert scene.pipeline.ticks >= 49
        scene.call.on_audio(b"1")
        scene.call.on_mark("m1", False)
        scene.call.on_dtmf("5", None)
        assert (scene.pipeline.heard, scene.pipeline.marks, scene.pipeline.keys) == ([b"1"], [("m1", False)], ["5"])
        scene.call.on_event(UserSaid("hello"))
        scene.call.on_closed(1000, "")
        assert await scene.over() == "caller"
        assert scene.pipeline.closed
        assert [kind for kind, _ in scene.log()] == ["call", "answer", "user", "hangup"]
        [record] = scene.store.started.values()
        assert (record.caller_id, record.called_id, record.metadata) == ("4477009001", "44", {"a": 1})
        [(status, _, milliseconds)] = scene.store.ended.values()
        assert status == "ended normally"
        assert milliseconds == pytest.approx(1100, abs=5)

    play(test)


def test_what_the_parts_used_is_summed_and_told_at_the_end() -> None:
    """To the very end: a recogniser tells as it is closed."""

    class Talking(Pipeline):
        async def close(self) -> None:
            scenes[0].call.on_event(UsageReported("stt", "deepgram", {"audio_seconds": 4.5}))

    scenes: list[Scene] = []

    async def test(scene: Scene) -> None:
        scenes.append(scene)
        scene.connects()
        await asyncio.sleep(0.1)
        before = counted("input_tokens")
        for tokens in (100, 20.0, -5, float("nan"), float("inf")):
            scene.call.on_event(UsageReported("llm", "openai", {"input_tokens": tokens, "cached_tokens": 0}))
        scene.call.on_event(UsageReported("stt", "deepgram", {"audio_seconds": 1.0004}))
        assert counted("input_tokens") == before + 120
        scene.call.on_closed(1000, "")
        await scene.over()
        [*_, (kind, data)] = scene.log()
        assert (kind, data["usage"]) == (
            "hangup",
            [
                {"part": "llm", "provider": "openai", "units": {"input_tokens": 120}},
                {"part": "stt", "provider": "deepgram", "units": {"audio_seconds": 5.5}},
            ],
        )
        assert scene.store.usage[scene.call.id] == {
            ("llm", "openai"): {"input_tokens": 120.0},
            ("stt", "deepgram"): {"audio_seconds": pytest.approx(5.5004)},
        }

    play(test, Talking())


def counted(unit: str) -> float:
    return float(metrics.usage.labels("llm", "openai", unit)._value.get())


def test_what_the_caller_says_before_the_providers_are_ready_is_kept() -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        frames = [bytes([n]) for n in range(EARLY_FRAMES + 30)]
        for frame in frames:
            scene.call.on_audio(frame)
        assert not scene.pipeline.started
        await asyncio.sleep(1.1)
        assert scene.pipeline.heard == frames[30:], "the last two seconds, in order"
        scene.call.on_audio(b"next")
        assert scene.pipeline.heard[-1] == b"next"

    pipeline = Pipeline()
    pipeline.takes["prepare"] = 1.0
    play(test, pipeline)


def test_the_media_of_another_call_are_refused() -> None:
    async def test(scene: Scene) -> None:
        await asyncio.sleep(0.1)
        scene.connects("another")
        await asyncio.sleep(1)
        assert scene.leg.ends == [("close", 1008, "this token is for another call")]
        assert not scene.pipeline.started
        scene.call.on_closed(1008, "")
        assert await scene.over() == "media_lost"
        [(status, _, _)] = scene.store.ended.values()
        assert status == "failed"

    play(test)


@pytest.mark.parametrize(("code", "reason"), [(1000, "caller"), (1006, "media_lost"), (1011, "media_lost")])
def test_how_the_socket_closed_says_why(code: int, reason: str) -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(1)
        scene.call.on_closed(code, "")
        assert await scene.over() == reason

    play(test)


def test_the_agent_ends_the_call() -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(1)
        scene.call.end_call("agent")
        scene.call.end_call("idle")
        assert scene.leg.ends[0] == ("disconnect",)
        assert not scene.running.done(), "until Jambonz closes"
        scene.call.on_closed(1000, "")
        assert await scene.over() == "agent", "the first reason stands"

    play(test)


def test_no_media_come() -> None:
    async def test(scene: Scene) -> None:
        assert await scene.over() == "no_media"
        assert asyncio.get_running_loop().time() == pytest.approx(MEDIA_SECONDS, abs=0.5)

    play(test)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("how", ["error", "too slow", "refused"])
def test_providers_that_cannot_be_set_up(how: str, connected: bool) -> None:
    async def test(scene: Scene) -> None:
        if connected:
            scene.connects()
        await asyncio.sleep(PREPARE_SECONDS + 0.1)
        if connected:
            assert scene.leg.ends[0] == ("disconnect",), "it is told at once"
            scene.call.on_closed(1000, "")
        assert await scene.over() == "failed"
        [sentence] = [data for kind, data in scene.log() if kind == "error"]
        assert (
            sentence
            == {
                "error": "voice: no such voice",
                "too slow": "the providers were not ready within 10 s",
                "refused": "voice: there is no vendor of that name",
            }[how]
        )

    pipeline = Pipeline()
    refuses = None
    match how:
        case "error":
            pipeline.fails["prepare"] = ProviderError("voice", "bad_request", "no such voice")
        case "too slow":
            pipeline.takes["prepare"] = 1e6
        case _:
            refuses = ProviderError("voice", "bad_request", "there is no vendor of that name")
    play(test, pipeline, refuses=refuses)


def test_a_call_that_fails_while_its_socket_opens_does_not_stay() -> None:
    """It is attached, but cannot send yet: what ends it has to be said again."""

    async def test(scene: Scene) -> None:
        scene.call.attach(cast(Any, scene.leg))
        await asyncio.sleep(GONE_SECONDS + 1)
        scene.leg.ends.clear()
        scene.call.on_started(Started("sid", 8000, {}, {}))
        assert scene.leg.ends == [("disconnect",)]

    pipeline = Pipeline()
    pipeline.fails["prepare"] = ProviderError("voice", "bad_request", "no such voice")
    play(test, pipeline)


def test_a_socket_that_was_refused_is_none() -> None:
    async def test(scene: Scene) -> None:
        scene.call.attach(cast(Any, scene.leg))
        scene.call.detach()
        assert await scene.over() == "no_media"

    play(test)


@pytest.mark.parametrize("what", ["start", "close", "tick", "task", "prepare"])
def test_a_fault_of_ours_ends_this_call_and_is_told(what: str) -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(0.5)
        if what == "task":
            failing = scene.spawn(fail())
            await asyncio.wait([failing])
        await asyncio.sleep(0.5)
        if what == "tick":
            assert scene.pipeline.ticks == 1, "it is ticked no more"
            assert scene.leg.ends == [("disconnect",)]
        if what in ("close", "tick"):
            scene.call.on_closed(1000, "")
        assert await scene.over() == "failed"
        assert ("error", FAULT) in scene.log()

    async def fail() -> None:
        raise RuntimeError("a fault")

    pipeline = Pipeline()
    pipeline.fails[what] = RuntimeError("a fault")
    play(test, pipeline)


def test_a_pipeline_that_does_not_close_is_left_alone() -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(1)
        scene.call.on_closed(1000, "")
        start = asyncio.get_running_loop().time()
        await asyncio.wait_for(scene.running, 60)
        assert asyncio.get_running_loop().time() - start == pytest.approx(CLOSE_SECONDS)
        await scene.over()

    pipeline = Pipeline()
    pipeline.takes["close"] = 1e6
    play(test, pipeline)


def test_what_still_runs_is_cancelled() -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(1)
        task = scene.spawn(asyncio.sleep(1e6))
        scene.call.on_closed(1000, "")
        assert await scene.over() == "caller"
        assert task.cancelled()

    play(test)


def test_statuses_end_it_only_while_there_is_no_media() -> None:
    async def test(scene: Scene) -> None:
        completed = StatusHook(call_sid="sid", call_status="completed")
        scene.connects()
        await asyncio.sleep(1)
        scene.call.on_status(completed)
        await asyncio.sleep(1)
        assert not scene.running.done(), "the socket will close, and says more"

    play(test)


def test_the_service_stops() -> None:
    async def test(scene: Scene) -> None:
        scene.connects()
        await asyncio.sleep(1)
        scene.call.shut_down()
        scene.call.on_closed(1000, "")
        assert await scene.over() == "shutdown"

    play(test)


def test_what_the_model_did_is_a_line_where_there_is_something_to_say() -> None:
    """And where the line before said that the session was lost."""

    async def test(scene: Scene) -> None:
        for event in (ModelNoted("late_audio"), ModelNoted("fault", "no quota"), ModelNoted("reconnected")):
            scene.call.on_event(event)

    with capture_logs() as logged:
        play(test)
    assert [(line["what"], line["detail"]) for line in logged if line["event"] == "of the model"] == [
        ("fault", "no quota"),
        ("reconnected", "another session took over"),
    ]


def test_who_watches_sees_what_is_recorded_and_more() -> None:
    async def test(scene: Scene) -> None:
        with scene.progress.watch("listener") as watcher:
            await asyncio.sleep(0.1)
            scene.connects()
            await asyncio.sleep(0.1)
            scene.call.on_saying("Hello")
            event: PipelineEvent = UserSaid("Hi")
            scene.call.on_event(event)
            scene.call.on_closed(1000, "")
            await scene.over()
            seen: list[Event] = []
            while watcher._events:
                live = await watcher.next()
                assert isinstance(live, Live)
                seen.append(live.event)
        assert {told["callId"] for told in seen} == {scene.call.id}
        assert all(told["timestamp"] for told in seen)
        told = [(next(iter(one)), one["isFinal"]) for one in seen]
        assert told == [("call", True), ("answer", True), ("agent", False), ("user", True), ("hangup", True)]
        assert "agent" not in [kind for kind, _ in scene.log()], "what was only begun is not recorded"

    play(test)
