"""The same conversation twice gives the same turns, to the millisecond. Virtual time."""

from __future__ import annotations

from typing import Any

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, Cough, HangUp, Speak, Wait
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import speak
from tests.simulators.replies import ReplyModel, always


def test_the_same_conversation_gives_the_same_turns_twice() -> None:
    async def main() -> tuple[list[Any], bytes]:
        model = ReplyModel(always("One two three four five six seven. Eight nine ten."), first=0.2, per_word=0.03)
        async with Office({"options": {"greeting": "Hello there."}}, model) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("my number is 07700")),
                Wait(0.7),
                Speak(speak("900123 thank you")),
                AwaitAgentSpeech(),
                Cough(150),
                BargeIn(speak("no wait please stop"), after=1.2),
                AwaitAgentSilence(),
                HangUp(),
            )
            log = [(type, data) for type, data in office.log() if type not in ("call", "answer")]
            return log, report.heard

    first, second = run_virtual(main()), run_virtual(main())
    assert first == second
    assert [data for type, data in first[0] if type == "user"] == [
        "my number is 07700 900123 thank you",
        "no wait please stop",
    ]
