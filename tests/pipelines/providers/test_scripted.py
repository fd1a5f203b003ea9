from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from pipelines.parts import Message, ModelEvent, ProviderError, TextDelta, ToolCall, ToolSpec
from pipelines.providers.script import parse_script
from pipelines.providers.scripted import ECHO, ScriptedLanguageModel
from tests.clock import run_virtual

TOOLS = [ToolSpec("check", "", {"type": "object"}), ToolSpec("hangup", "", {"type": "object"})]

BOOKING: dict[str, Any] = {
    "opening": "Hello?",
    "silence": "Are you there?",
    "otherwise": "Pardon?",
    "slots": {
        "day": {"words": {"Tuesday": ["chews day"], "Friday": []}},
        "time": {"time": True},
        "name": {"patterns": ["my name is {name}"], "states": ["asked"]},
    },
    "rules": [
        {"said": ["goodbye", "bye"], "say": "Goodbye.", "call": {"tool": "hangup"}},
        {"states": ["asked"], "filled": ["name"], "say": "Thank you, {name}.", "then": "start"},
        {
            "filled": ["day", "time"],
            "call": {"tool": "check", "arguments": {"day": "{day}", "time": "{time}", "length": 30}},
            "after": [
                {"result": "free", "say": "{day} at {time} is free.", "then": "asked"},
                {"say": "It is taken: {result}.", "forget": ["time"]},
            ],
        },
        {"filled": ["day"], "missing": ["time"], "say": "What time on {day}?"},
        {"said": ["appointment"], "say": "Which day?"},
    ],
}


def user(text: str) -> Message:
    return Message("user", text)


def said(text: str) -> Message:
    return Message("assistant", text)


def result(text: str) -> Message:
    return Message("tool", text, tool_call_id="call_1", name="check")


def answer(*messages: Message, script: dict[str, Any] = BOOKING) -> tuple[str, ToolCall | None]:
    async def collect() -> list[ModelEvent]:
        model = ScriptedLanguageModel(parse_script(script))
        return [event async for event in model.generate([Message("system", "prompt"), *messages], TOOLS)]

    events = run_virtual(collect())
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return text, next((event for event in events if isinstance(event, ToolCall)), None)


def test_a_dialogue_from_the_first_word_to_the_last() -> None:
    history: list[Message] = []
    assert answer() == ("Hello?", None)
    history += [said("Hello?"), user("An appointment, please.")]
    assert answer(*history) == ("Which day?", None)
    history += [said("Which day?"), user("Chews day.")]
    assert answer(*history) == ("What time on Tuesday?", None)
    history += [said("What time on Tuesday?"), user("At 10:30.")]
    text, call = answer(*history)
    assert text == ""
    assert call is not None
    assert (call.name, call.arguments) == ("check", {"day": "Tuesday", "time": "half past ten", "length": 30})
    history += [Message("assistant", "", tool_calls=(call,)), result("it is free")]
    assert answer(*history) == ("Tuesday at half past ten is free.", None)
    history += [said("Tuesday at half past ten is free."), user("Fine, my name is Ann.")]
    assert answer(*history) == ("Thank you, ann.", None)
    history += [said("Thank you, ann."), user("Bye.")]
    text, call = answer(*history)
    assert text == "Goodbye."
    assert call is not None
    assert call.name == "hangup"


def test_a_tool_that_says_no_takes_the_other_way() -> None:
    asked = [user("Tuesday at ten"), result("holiday")]
    assert answer(*asked) == ("It is taken: holiday.", None)
    assert answer(*asked, said("It is taken"), user("And on Friday?")) == ("What time on Friday?", None)


def test_what_was_heard_of_the_answers_changes_nothing() -> None:
    """An interrupted answer is in the history only as far as it was heard, one nobody heard not at all."""
    heard = [user("An appointment."), said("Which day?"), user("Tuesday.")]
    cut = [user("An appointment."), said("Which"), user("Tuesday.")]
    unheard = [user("An appointment."), user("Tuesday.")]
    assert answer(*heard) == answer(*cut) == answer(*unheard) == ("What time on Tuesday?", None)


def test_slots_limited_to_a_state_are_not_filled_in_others() -> None:
    assert answer(user("My name is Bob")) == ("Pardon?", None)


def test_a_result_that_no_rule_waits_for_is_answered_with_nothing() -> None:
    assert answer(user("Bye"), result("done")) == ("", None)


def test_it_is_asked_though_the_caller_said_nothing_more() -> None:
    assert answer(user("Hm"), said("Pardon?")) == ("Are you there?", None)


@pytest.mark.parametrize("words", ["Hello there.", "  Hello there.  "])
def test_echo(words: str) -> None:
    async def collect() -> list[ModelEvent]:
        return [event async for event in ScriptedLanguageModel(ECHO).generate([user(words)])]

    deltas = [TextDelta("You"), TextDelta(" said:"), TextDelta(" Hello"), TextDelta(" there.")]
    assert run_virtual(collect()) == deltas


def test_tokens_take_their_time_and_can_be_stopped() -> None:
    async def main() -> None:
        model = ScriptedLanguageModel(ECHO, token_delay=0.5)
        await model.prepare()
        events = model.generate([user("one two")])
        loop = asyncio.get_running_loop()
        await anext(events)
        await anext(events)
        assert loop.time() == 1.0
        await events.aclose()
        await model.close()

    run_virtual(main())


def test_a_tool_that_the_agent_does_not_have_is_an_error() -> None:
    async def main() -> None:
        model = ScriptedLanguageModel(parse_script(BOOKING))
        with pytest.raises(ProviderError, match="'hangup', which is not among the agent's functions"):
            await anext(model.generate([user("bye")]))

    run_virtual(main())


@pytest.mark.parametrize(
    ("script", "mistake"),
    [
        ("text", "options.script: Input should be"),
        ({}, "options.script.rules: Field required"),
        ({"rules": []}, "options.script.rules: "),
        ({"rules": [{"said": ["x"]}]}, 'options.script.rules.0: a rule needs at least one of "say", "call" and "then"'),
        ({"rules": [{"sya": "x"}]}, "options.script.rules.0.sya: Extra inputs are not permitted"),
        ({"rules": [{"said": ["?!"], "say": "x"}]}, "options.script.rules.0.said.0: there is no word in '?!'"),
        ({"rules": [{"said": ["a * b"], "say": "x"}]}, 'options.script.rules.0.said.0: "*" stands alone'),
        ({"rules": [{"say": "Hello {nmae}"}]}, "rules.0 names 'nmae', which is no slot; known are result, said"),
        ({"rules": [{"say": "x", "filled": ["day"]}]}, "rules.0 names 'day', which is no slot"),
        ({"rules": [{"say": "x", "after": [{"say": "y"}]}]}, '"after" is for the result of a tool'),
        (
            {"rules": [{"call": {"tool": "t"}, "after": [{"call": {"tool": "u", "arguments": {"a": "{b}"}}}]}]},
            "rules.0.after.0 names 'b'",
        ),
        (
            {"slots": {"n": {"patterns": ["name"]}}, "rules": [{"say": "x"}]},
            "options.script.slots.n.patterns.0: a pattern",
        ),
        ({"slots": {"n": {"patterns": ["{a} {b}"]}}, "rules": [{"say": "x"}]}, "a pattern marks once what it captures"),
    ],
)
def test_mistakes_in_a_script_are_told_with_their_place(script: object, mistake: str) -> None:
    with pytest.raises(ValueError, match=re.escape(mistake)):
        parse_script(script)
