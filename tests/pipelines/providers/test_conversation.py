"""Whatever was said in a call, the vendors take it: their simulators are the judges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.history import History, Step
from pipelines.parts import Message, ToolCall, ToolSpec
from pipelines.providers import anthropic, google
from tests.simulators import anthropic_messages, gemini_chat

BOOK = ToolSpec("book", "Books", {"type": "object", "properties": {"day": {"type": "string"}}})
BYE = ToolSpec("bye", "Hangs up", {"type": "object", "properties": {}})

texts = st.sampled_from(["", " ", "Yes.", " A table, please ", "你好"])
steps = st.lists(st.tuples(texts, texts, st.lists(st.booleans(), max_size=3)), max_size=3)
"""What the model said of a step, what was heard of it, and for each call of a tool whether it returned."""


@given(texts, st.lists(texts | steps, max_size=8), st.none() | texts, steps)
def test_any_conversation_is_taken(
    prompt: str,
    said: list[str | list[tuple[str, str, list[bool]]]],
    guess: str | None,
    pending: list[tuple[str, str, list[bool]]],
) -> None:
    history = History(prompt)
    numbers = iter(range(1000))

    def step(text: str, returned: list[bool]) -> Step:
        calls = [ToolCall(f"call-{next(numbers)}", ("book", "bye")[number % 2]) for number in range(len(returned))]
        answered = [call for call, came in zip(calls, returned, strict=True) if came]
        return Step(text, calls, [Message("tool", text, tool_call_id=call.id, name=call.name) for call in answered])

    for one in said:
        if isinstance(one, str):
            history.user(one)
        else:
            history.agent([step(text, returned) for text, _, returned in one], [heard for _, heard, _ in one])
    messages = history.messages([step(text, returned) for text, _, returned in pending], guess=guess)

    request = {"model": "m", "max_tokens": 1, "stream": True, **anthropic.conversation(messages, [BOOK, BYE])}
    assert anthropic_messages.mistakes(request) == []
    assert gemini_chat.mistakes(google.conversation(messages, [BOOK, BYE], {}), {}) == []
