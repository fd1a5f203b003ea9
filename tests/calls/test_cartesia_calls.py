"""Whole calls on virtual time whose voice is the simulated Cartesia's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import pytest

from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak, Wait
from jambonz.simulator.report import CallReport
from pipelines.parts import Message
from pipelines.providers.cartesia_tts import CartesiaTextToSpeech, cartesia_lines
from pipelines.providers.cartesia_wire import cartesia_at
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.cartesia_voices import CartesiaSession, Spoken
from tests.simulators.codeword import CODE, CodewordVoice, heard_words, plain_words, speak
from tests.simulators.live_wire import Hangup, Out
from tests.simulators.memory_socket import MemorySocket, join
from tests.simulators.replies import ReplyModel, always

GREETING: dict[str, Any] = {"options": {"greeting": "Hello, this is the test agent."}}
LONG = "One, two, three — four five six; seven eight nine! Ten eleven twelve, thirteen fourteen fifteen sixteen."

REAL_TIME, FAST = 0.2, 0.01
"""Seconds between pieces of 220 ms: a vendor that is hardly faster than it speaks, and one that has soon said all."""


class CartesiaOffice(Office):
    """``vendor`` speaks for all calls."""

    def __init__(self, vendor: Spoken, model: ReplyModel, **settings: Any) -> None:
        self.vendor = vendor
        self.lines = cartesia_lines(cartesia_at("", "http://cartesia"))
        tts = CartesiaTextToSpeech(self.lines, "voice", more={"language": "en"})
        super().__init__(GREETING, model, voice=cast(CodewordVoice, tts), **settings)

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self.lines.close()

    def heard(self, report: CallReport) -> list[str]:
        return heard_words(report.heard, code=self.vendor.code)

    def agree(self, report: CallReport, pipeline: int = 0) -> None:
        """The ear, the log and the history have the same words."""
        heard = self.heard(report)
        assert plain_words(" ".join(self.said("agent", report))) == heard
        history = [e.content for e in self.pipelines[pipeline].history.entries if e.role == "assistant"]
        assert plain_words(" ".join(history)) == heard


def count(messages: Sequence[Message]) -> list[str]:
    return ["Alright."] if "stop" in messages[-1].content else [LONG]


def test_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        vendor = Spoken()
        sockets = join(monkeypatch, lambda _, query: CartesiaSession(vendor, query), pace=FAST)
        office = CartesiaOffice(vendor, ReplyModel(always("You want a table. Is that right?")))
        async with office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
            assert office.heard(report) == plain_words("hello this is the test agent you want a table is that right")
            office.agree(report)
            assert report.underruns == []
            [used] = list(office.store.usage.values())
            assert used["tts", "cartesia"] == {"characters": sum(map(len, vendor.spoken))}
        assert len(sockets) == 1
        assert vendor.cancelled == []
        assert vendor.mistakes == []

    run_virtual(main())


@pytest.mark.parametrize("pace", [REAL_TIME, FAST])
@pytest.mark.parametrize("timed", ["before", "after", "never"])
def test_after_an_interruption_the_log_has_what_was_heard(
    pace: float, timed: Literal["before", "after", "never"], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late the vendor tells where words are, once it has said all. One that tells nothing, or tells it after
    sound that is still coming, leaves it to the sound."""

    async def main() -> None:
        vendor = Spoken(timed=timed, late_pieces=2)
        sockets = join(monkeypatch, lambda _, query: CartesiaSession(vendor, query), pace=pace)
        office = CartesiaOffice(vendor, ReplyModel(count))
        async with office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it please"), after=1.7),
                AwaitAgentSilence(),
                HangUp(),
            )
            heard = office.heard(report)
            assert heard[6:10] == plain_words("one two three four")
            assert heard[-1] == "alright"
            assert "eight" not in heard
            if timed == "before" or (timed == "after" and pace == FAST):
                office.agree(report)
            else:
                said = plain_words(" ".join(office.said("agent")))
                assert abs(len(said) - len(heard)) <= 1
            assert len(vendor.cancelled) == (1 if pace == REAL_TIME else 0)
        assert len(sockets) == 1, "a context is cancelled, not a connection"
        assert vendor.active == 0
        assert vendor.mistakes == []

    run_virtual(main())


def test_calls_share_a_socket_and_interrupt_their_own_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        vendor = Spoken(late_pieces=1)
        sockets = join(monkeypatch, lambda _, query: CartesiaSession(vendor, query), pace=0.03)
        office = CartesiaOffice(vendor, ReplyModel(count))
        async with office:

            async def one(number: int) -> CallReport:
                await asyncio.sleep(0.37 * number)
                return await office.call(
                    AwaitAgentSilence(),
                    Speak(speak("count")),
                    BargeIn(speak("stop it please"), after=0.6 + 0.5 * number),
                    AwaitAgentSilence(),
                    HangUp(),
                )

            reports = await asyncio.gather(*(one(number) for number in range(6)))
            for number, report in enumerate(reports):
                office.agree(report, number)
                assert office.heard(report)[-1] == "alright"
            assert len({len(office.heard(report)) for report in reports}) > 2, "each was interrupted elsewhere"
        assert len(sockets) == 1
        assert vendor.mistakes == []

    run_virtual(main())


class DyingSession(CartesiaSession):
    """Cut after so much sound."""

    def go_on(self) -> list[Out]:
        return [Hangup()] if self.seconds > 1.5 else super().go_on()


def test_a_voice_that_dies_in_a_phrase_is_followed_by_another_from_the_next_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the kept sockets that turn out to be gone are replaced before that: only what has begun fails."""

    async def main() -> None:
        vendor = Spoken()

        def make(path: str, query: Mapping[str, str]) -> CartesiaSession:
            return DyingSession(vendor, query)

        sockets: list[MemorySocket] = join(monkeypatch, make, pace=0.1)
        other = CodewordVoice()
        office = CartesiaOffice(vendor, ReplyModel(always(LONG)), voices=[other])
        async with office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("count")), Wait(9), HangUp())
            heard = office.heard(report) + heard_words(report.heard, code=CODE)
            assert heard == plain_words("hello this is the test agent " + LONG)
            assert plain_words(" ".join(office.said("agent"))) == heard
        assert len(sockets) == 1
        assert other.spoken

    run_virtual(main())
