"""Every trap of the wire, the rule that answers it, and the proof that the rule is what answers it.

Each row is a scenario that asserts what a caller would notice, and a way to take the rule out: the scenario passes with
the rule, and fails without it. Virtual time throughout.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

import jambonz.application
import media.farend
import media.playout
from gateway.control import ControlFailed
from gateway.live_calls import LiveCalls
from gateway.lookup import Lookup
from gateway.relay import Relay
from gateway.session import CallSession
from gateway.switchboard import Switchboard
from gateway.webhooks import Reply
from jambonz import verbs
from jambonz.application import MAX_MESSAGE_BYTES
from jambonz.hooks import CallProgress, Hook, StatusHook
from jambonz.listen import safe_samples
from jambonz.simulator.caller import AwaitAgentSilence, HangUp, LosePackets, Speak, Wait
from jambonz.simulator.media_module import MAX_MARKS
from jambonz.simulator.report import SocketOpened
from jambonz.simulator.transport import HookResponse
from media.farend import FarEnd
from media.framer import Framer
from media.playout import Playout
from pipelines.parts import ToolCall
from pipelines.turns import TurnMachine
from tests.calls.office import BASE, Office
from tests.calls.test_endings import HANG_UP
from tests.clock import run_virtual
from tests.media.line import Line, numbered
from tests.simulators.codeword import CodewordRecogniser, heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always

GREETING: dict[str, Any] = {"options": {"greeting": "Hello."}}
Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Trap:
    name: str
    scenario: Callable[[], None]
    take_out: Patch


def calls(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return lambda: run_virtual(scenario())


def nothing(*_: Any, **__: Any) -> None:
    pass


# 1. Playout starts after 160 ms and moves in lumps of 80 ms: a shorter tail is never played.


def the_end_of_a_word_is_heard() -> None:
    line = Line()
    line.say(1, range(15))
    line.run(2)
    assert line.heard_numbers() == list(range(15))


# 2. killAudio leaves the prebuffer alone, and wipes what arrives before it took effect.


def nothing_stale_is_heard_after_an_interruption() -> None:
    for frames in range(8):
        line = Line()
        line.say(0, range(frames))  # from here on lumps do not begin where a write of ours does
        line.run(1)
        line.say(1, range(100, 150))
        line.run(0.3)
        line.clear(through=1)
        line.run(0.5)
        heard = line.heard_numbers()
        line.say(2, range(1000, 1020))
        line.run(1)
        assert line.heard_numbers()[len(heard) :] == list(range(1000, 1020))


def what_follows_an_interruption_at_once_is_heard_whole() -> None:
    for milliseconds in range(20):
        line = Line()
        line.say(1, range(50))
        line.run(0.5 + milliseconds / 1000)
        line.clear(through=1)
        line.say(2, range(1000, 1020))
        line.run(1)
        assert [number for number in line.heard_numbers() if number >= 1000] == list(range(1000, 1020))


def send_without_waiting(patch: pytest.MonkeyPatch) -> None:
    clear = Playout._send_clear

    def at_once(self: Playout, now: float) -> None:
        clear(self, now)
        self._cleared(now, now)

    patch.setattr(Playout, "_send_clear", at_once)


# 3. Marks are found by the sample value -1; they may come early; at most 30; exact only at the codec's rate.


class _LineWithMinusOnes(Line):
    def prepare(self, pcm: bytes) -> bytes:
        return safe(pcm)


def safe(pcm: bytes) -> bytes:
    """Looked up here at the time of the call, so that a test can take it out."""
    return safe_samples(pcm)


def a_sample_of_minus_one_is_no_mark() -> None:
    line = _LineWithMinusOnes()
    segment = line.segment(1, "word")
    segment.write(b"".join(numbered(range(n, n + 1))[:-2] + b"\xff\xff" for n in range(60)))
    segment.close()
    line.playout.finish(1)
    reported: list[int] = []
    receive = line._from_module

    def report(text: str) -> None:
        reported.append(len(line.heard_numbers()))
        receive(text)

    line.module._send_text = report
    line.run(2)
    assert reported[0] <= 1, "the first mark stands before the first frame"
    assert reported[-1] >= 59, "the last one behind the last frame"


def an_early_mark_is_not_believed() -> None:
    line = Line()  # its sink lets -1 through
    segment = line.segment(1, "word")
    sound = bytearray(numbered(range(200)))
    for frame in range(60, 101):
        sound[frame * 320 : frame * 320 + 2] = b"\xff\xff"  # fires whatever mark is under way
    segment.write(bytes(sound))
    segment.close()
    line.playout.finish(1)
    line.run(1.0)
    line._mark(next(iter(line.playout._far_end._marks), "m2"), cleared=False)
    for _ in range(100):
        line.run(0.02)
        heard = line.playout.heard(line.now)
        if heard is not None:
            assert abs(heard.seconds / 0.02 - max(line.heard_numbers(), default=-1)) <= 4


def marks_are_few() -> None:
    line = Line(latency=0.4)
    line.say(1, range(300))
    line.run(8)
    assert line.max_outstanding <= MAX_MARKS
    assert line.module.dropped_marks == 0


def many_marks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(media.playout, "MARK_FRAMES", 1)
    patch.setattr(media.farend, "MAX_MARKS", 1000)


async def marks_are_exact() -> None:
    async with Office(GREETING, ReplyModel(always("One two three four."))) as office:
        report = await office.call(AwaitAgentSilence(), Speak(speak("go")), AwaitAgentSilence(), HangUp())
        assert heard_words(report.heard) == plain_words(" ".join(office.said("agent")))


def another_rate(patch: pytest.MonkeyPatch) -> None:
    change_listen(patch, lambda listen: listen["bidirectionalAudio"].update(sampleRate=24000))


def change_listen(patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    build = verbs.listen

    def changed(*args: Any, **kwargs: Any) -> dict[str, Any]:
        listen = build(*args, **kwargs)
        change(listen)
        return listen

    patch.setattr(verbs, "listen", changed)


# 4. No back-pressure: everything sent is buffered without limit.


def little_is_under_way() -> None:
    line = Line()
    line.say(1, range(1000))
    for _ in range(50):
        line.run(0.1)
        assert line.module.playout_seconds <= 0.3


def unbounded(patch: pytest.MonkeyPatch) -> None:
    init = Playout.__init__
    patch.setattr(Playout, "__init__", lambda self, *args: init(self, *args, lead_frames=500))


# 5. Streaming playback needs all three of enabled, streaming and sampleRate, else audio is swallowed.


async def the_greeting_is_heard() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        report = await office.call(AwaitAgentSilence(timeout=5), HangUp())
        assert heard_words(report.heard) == ["hello"]


# 6. Sizes of frames vary, and a caller who is silent may send none.


async def uneven_frames_are_understood() -> None:
    async with Office(GREETING, ReplyModel(always("Yes.")), unevenness=0.5) as office:
        report = await office.call(
            AwaitAgentSilence(), Speak(speak("can you hear me")), AwaitAgentSilence(timeout=5), HangUp()
        )
        assert office.said("user") == ["can you hear me"]
        assert heard_words(report.heard) == ["hello", "yes"]


def lumps_as_they_come(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Framer, "push", lambda self, chunk: [chunk])


async def a_caller_who_sends_nothing_is_answered() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        report = await office.call(
            AwaitAgentSilence(), Speak(speak("can you hear me")), LosePackets(4.0), Wait(0.2), HangUp()
        )
        assert heard_words(report.heard) == ["hello", "yes"]


# 7. After a redirect, listen's action hook still fires, and verbs in its answer replace the new application.


async def a_redirect_elsewhere_stands(*, application: bool = False) -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        elsewhere = [{"verb": "pause", "length": 1}, {"verb": "say", "text": "You are elsewhere now."}]
        answer = office.transport._answer

        async def with_elsewhere(url: str, body: bytes, headers: Any) -> HookResponse:
            if url.endswith("/elsewhere"):
                return HookResponse(200, "application/json", json.dumps(elsewhere).encode())
            return await answer(url, body, headers)

        office.transport._answer = with_elsewhere
        calling = asyncio.create_task(office.call(Wait(4), HangUp(), application=application))
        await asyncio.sleep(2)
        [sid] = office.jambonz.calls
        office.jambonz.update_call(sid, {"call_hook": f"{BASE}/elsewhere"})
        report = await calling
        assert "say" in report.verbs


def hang_up_at_every_hook(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Switchboard, "next_verbs", lambda self, call_id, hook: [verbs.hangup()])


async def a_redirect_by_our_own_command_stands() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        calling = asyncio.create_task(office.call(Wait(4), HangUp(), application=True))
        await asyncio.sleep(2)
        [call] = office.switchboard.calls
        assert call.control is not None
        await call.control.redirect([verbs.pause(1), verbs.say("You are elsewhere now.")])
        report = await calling
        assert "say" in report.verbs


# 8. The webhook has 10 s: never wait for a provider there.


class _SlowRecogniser(CodewordRecogniser):
    async def prepare(self) -> None:
        await asyncio.sleep(9)


async def a_slow_provider_does_not_delay_the_webhook(*, application: bool = False) -> None:
    async with Office(GREETING, ReplyModel(always("Yes.")), recogniser=_SlowRecogniser()) as office:
        office.store.look_up_seconds = 1.5
        report = await office.call(AwaitAgentSilence(timeout=15), HangUp(), application=application)
        assert report.sip_status == 200
        opened = next(event.at for event in report.events if isinstance(event, SocketOpened))
        assert opened - report.started < 3
        assert heard_words(report.heard) == ["hello"]


def wait_for_providers(patch: pytest.MonkeyPatch) -> None:
    find = Lookup.find

    async def and_prepare(self: Lookup, hook: Any) -> Any:
        found = await find(self, hook)
        await _SlowRecogniser().prepare()
        return found

    patch.setattr(Lookup, "find", and_prepare)


# On an application socket: 24 KiB at most, and a call whose verbs are used up is held in silence.


async def a_large_command_does_not_cost_the_socket() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        calling = asyncio.create_task(office.call(Wait(2), HangUp(), application=True))
        await asyncio.sleep(1)
        [call] = office.switchboard.calls
        assert call.control is not None
        with suppress(ControlFailed):
            await call.control.whisper([verbs.say("x" * MAX_MESSAGE_BYTES)])
        report = await calling
        assert report.application_closes == [1000]


def anything_large(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(jambonz.application, "MAX_MESSAGE_BYTES", 10**6)


async def a_call_by_a_socket_ends() -> None:
    async with Office(GREETING | HANG_UP, ReplyModel(always("Goodbye.", ToolCall("1", "hangup")))) as office:
        report = await office.call(AwaitAgentSilence(), Speak(speak("bye")), Wait(20), HangUp(), application=True)
        assert report.ended_by == "jambonz"


def no_hangup(patch: pytest.MonkeyPatch) -> None:
    listen = Switchboard._listen
    patch.setattr(Switchboard, "_listen", lambda self, call, base_url: listen(self, call, base_url)[:1])


# 9. Status hooks arrive concurrently and out of order.


async def a_late_status_does_not_wake_the_dead() -> None:
    async with Office(GREETING, ReplyModel(always("Yes.")), status_delays={"in-progress": 5.0}) as office:
        seen: list[CallProgress] = []
        start = office.switchboard.live.start

        def seen_and_started(call: CallSession, *given: Any) -> CallSession:
            seen.append(call.progress)
            return start(call, *given)

        office.switchboard.live.start = seen_and_started  # type: ignore[method-assign, assignment]
        status = office.switchboard.on_status

        def to_the_same(body: bytes, signature: str | None) -> Reply:
            if seen:
                seen[0].update(StatusHook.model_validate_json(body))
            return status(body, signature)

        office.switchboard.on_status = to_the_same  # type: ignore[method-assign]
        await office.call(AwaitAgentSilence(), HangUp())
        await asyncio.sleep(10)
        assert seen[0].ended


def believe_the_latest(patch: pytest.MonkeyPatch) -> None:
    def update(self: CallProgress, hook: Hook) -> bool:
        self.state = hook.call_status
        return True

    patch.setattr(CallProgress, "update", update)
    patch.setattr(CallProgress, "ended", property(lambda self: self.state in ("completed", "failed")))


# 10. No | and no ' in the listen verb's url and metadata.


async def what_would_break_the_media_servers_command_is_never_sent() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        office.transport._answer = with_metadata(office)
        report = await office.call(AwaitAgentSilence(timeout=5), HangUp())
        assert heard_words(report.heard) == ["hello"]


def with_metadata(office: Office) -> Any:
    """A service that would like to hand over a caller's name, and falls back where it may not."""
    answer = office.transport._answer

    async def answered(url: str, body: bytes, headers: Any) -> HookResponse:
        response = await answer(url, body, headers)
        if not url.endswith("/call"):
            return response
        application = json.loads(response.body)
        try:
            metadata = verbs.listen("ws://a/b", action_hook="/x", metadata={"name": "O'Hara|Smith"})["metadata"]
            application[0]["metadata"] |= metadata
        except verbs.VerbError:
            pass
        return HookResponse(200, "application/json", json.dumps(application).encode())

    return answered


def anything_goes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verbs, "_small_and_flat", lambda data, what: dict(data))


# A used token opens no second socket.


async def a_token_opens_one_socket() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        calling = asyncio.create_task(office.call(Wait(2), HangUp()))
        await asyncio.sleep(1)
        [call] = office.switchboard.calls
        assert office.switchboard.live.take_token(call.token) is None
        await calling


def keep_tokens(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LiveCalls, "take_token", lambda self, token: self._by_token.get(token))


async def a_socket_that_is_lost_is_not_the_call() -> None:
    async with Office(GREETING, ReplyModel(always("Yes."))) as office:
        asyncio.get_running_loop().call_later(3.0, lambda: office.legs[0].close(1006))
        report = await office.call(Wait(8), HangUp())
        assert report.ended_by == "caller"


TRAPS = [
    Trap("1 tail", the_end_of_a_word_is_heard, lambda p: p.setattr(Playout, "_push_tail", nothing)),
    Trap(
        "2 stale prebuffer",
        nothing_stale_is_heard_after_an_interruption,
        lambda p: p.setattr(Playout, "_fill_lump", nothing),
    ),
    Trap("2 guard after a clear", what_follows_an_interruption_at_once_is_heard_whole, send_without_waiting),
    Trap(
        "3 sample -1",
        a_sample_of_minus_one_is_no_mark,
        lambda p: p.setattr("tests.calls.test_traps.safe", lambda pcm: pcm),
    ),
    Trap(
        "3 early mark",
        an_early_mark_is_not_believed,
        lambda p: p.setattr(FarEnd, "too_early", lambda self, mark, now: False),
    ),
    Trap("3 thirty marks", marks_are_few, many_marks),
    Trap("3 one rate", calls(marks_are_exact), another_rate),
    Trap("4 no back-pressure", little_is_under_way, unbounded),
    Trap(
        "5 streaming",
        calls(the_greeting_is_heard),
        lambda p: change_listen(p, lambda listen: listen["bidirectionalAudio"].pop("streaming")),
    ),
    Trap(
        "5 sampleRate",
        calls(the_greeting_is_heard),
        lambda p: change_listen(p, lambda listen: listen["bidirectionalAudio"].pop("sampleRate")),
    ),
    Trap("6 uneven frames", calls(uneven_frames_are_understood), lumps_as_they_come),
    Trap(
        "6 no frames",
        calls(a_caller_who_sends_nothing_is_answered),
        lambda p: p.setattr(TurnMachine, "tick", lambda self, now: ()),
    ),
    Trap("7 redirect", calls(a_redirect_elsewhere_stands), hang_up_at_every_hook),
    Trap(
        "7 redirect of a socket",
        calls(lambda: a_redirect_elsewhere_stands(application=True)),
        hang_up_at_every_hook,
    ),
    Trap("7 redirect by a command", calls(a_redirect_by_our_own_command_stands), hang_up_at_every_hook),
    Trap("8 ten seconds", calls(a_slow_provider_does_not_delay_the_webhook), wait_for_providers),
    Trap(
        "8 five seconds",
        calls(lambda: a_slow_provider_does_not_delay_the_webhook(application=True)),
        wait_for_providers,
    ),
    Trap("24 KiB", calls(a_large_command_does_not_cost_the_socket), anything_large),
    Trap("hold", calls(a_call_by_a_socket_ends), no_hangup),
    Trap("9 late status", calls(a_late_status_does_not_wake_the_dead), believe_the_latest),
    Trap("10 quotes and pipes", calls(what_would_break_the_media_servers_command_is_never_sent), anything_goes),
    Trap("lost socket", calls(a_socket_that_is_lost_is_not_the_call), lambda p: p.setattr(Relay, "lose", nothing)),
    Trap("token used once", calls(a_token_opens_one_socket), keep_tokens),
]

each_trap = pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)


@each_trap
def test_the_rule_answers_the_trap(trap: Trap) -> None:
    trap.scenario()


@each_trap
def test_without_the_rule_the_trap_bites(trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    trap.take_out(monkeypatch)
    with pytest.raises(AssertionError):
        trap.scenario()
