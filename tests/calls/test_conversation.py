from __future__ import annotations

from jambonz.simulator.caller import AwaitAgentSilence, AwaitAgentSpeech, BargeIn, Cough, HangUp, Speak, Wait
from pipelines.parts import ToolCall
from tests.calls.office import Office
from tests.clock import run_virtual
from tests.simulators.codeword import heard_words, plain_words, speak
from tests.simulators.replies import ReplyModel, always

GREETING = {"options": {"greeting": "Hello, this is the test agent."}}
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen."
HANG_UP = {
    "functions": [{"name": "hangup", "implementation": "builtin", "platform": "hangup", "description": "End the call."}]
}


def test_a_conversation_from_the_greeting_to_the_caller_hanging_up() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("You want a table."))) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
            assert heard_words(report.heard) == plain_words("hello this is the test agent you want a table")
            assert office.said("agent") == ["Hello, this is the test agent.", "You want a table."]
            assert office.said("user") == ["yes please"]
            assert report.ended_by == "caller"
            assert office.ending() == "caller"
            assert report.underruns == []
            [latency] = report.response_latencies
            assert 0.3 < latency < 0.6
            assert [reply[1] for reply in office.replies if "next" in reply[0]] == [200]

    run_virtual(main())


def test_an_interruption_silences_the_agent_and_history_holds_what_was_heard() -> None:
    async def main() -> None:
        script = ReplyModel(lambda messages: ["Alright."] if len(messages) > 4 else [LONG])
        async with Office(GREETING, script) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                BargeIn(speak("stop it please"), after=1.5),
                AwaitAgentSilence(),
                HangUp(),
            )
            heard = heard_words(report.heard)
            said = plain_words(" ".join(office.said("agent")))
            assert said == heard
            assert "six" not in said
            [latency] = report.barge_in_latencies
            assert latency <= 0.25
            assert office.said("user") == ["count", "stop it please"]
            assert script.told[-1][-2].role == "assistant"
            assert plain_words(script.told[-1][-2].content) == heard[6:-1]

    run_virtual(main())


def test_a_cough_leaves_the_agent_speaking() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always(LONG))) as office:
            report = await office.call(
                AwaitAgentSilence(),
                Speak(speak("count")),
                AwaitAgentSpeech(),
                Wait(1.0),
                Cough(100),
                AwaitAgentSilence(),
                HangUp(),
            )
            assert heard_words(report.heard)[6:] == plain_words(LONG)
            assert office.said("agent")[1:] == [LONG]
            assert [event["confirmed"] for event in office.status("bargeIn")] == [False]

    run_virtual(main())


def test_a_goodbye_is_heard_and_the_call_ended_by_our_verb() -> None:
    async def main() -> None:
        bye = always("Goodbye, and thank you.", ToolCall("1", "hangup"))
        async with Office(GREETING | HANG_UP, ReplyModel(bye)) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("that was all")))
            assert heard_words(report.heard)[-4:] == plain_words("goodbye and thank you")
            assert report.ended_by == "jambonz"
            assert office.ending() == "agent"
            assert report.verbs == ["listen", "hangup"]

    run_virtual(main())


def test_a_number_is_said_digit_by_digit_and_remembered_as_written() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("Call 020 7946, that is $3.50."))) as office:
            report = await office.call(AwaitAgentSilence(), Speak(speak("yes please")), AwaitAgentSilence(), HangUp())
            said = "call 0 2 0 7 9 4 6 that is 3 dollars and 50 cents"
            assert heard_words(report.heard) == plain_words(f"hello this is the test agent {said}")
            assert office.said("agent")[-1] == "Call 020 7946, that is $3.50."

    run_virtual(main())


def test_an_interrupted_number_is_remembered_as_far_as_it_was_heard() -> None:
    async def main() -> None:
        async with Office(GREETING, ReplyModel(always("Call 020 7946 0000 now."))) as office:
            report = await office.call(
                AwaitAgentSilence(), Speak(speak("yes please")), BargeIn(speak("wait a minute"), after=2.6), Wait(6)
            )
            heard = heard_words(report.heard)
            assert heard[6:11] == ["call", "0", "2", "0", "7"]
            assert office.said("agent")[1] in ("Call 020", "Call 020 7946")

    run_virtual(main())
