"""The agent that asks whoever is rung."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipelines.agent import AgentDefinition
from pipelines.agent.consultant import DEFAULT_PROMPT, LONGEST_TRANSCRIPT, PLACEHOLDER, consultant, opening
from pipelines.parts import ToolCall
from pipelines.tools import Toolbox
from pipelines.tools.means import Means, ToolFault

AGENT = AgentDefinition.model_validate(
    {
        "modelName": "openai/gpt-4o",
        "prompt": "Sell everything.",
        "functions": [{"name": "sell", "implementation": "stub", "result": "sold"}],
        "keys": [{"name": "shop", "in": "bearer", "value": "secret"}],
        "options": {
            "greeting": "Hello.",
            "tts": {"vendor": "cartesia", "voice": "v"},
            "recording": {"enabled": True},
            "callHook": {"url": "https://example.com/hook"},
            "fallback": {
                "agent": "74809eaa-0000-4000-8000-000000000000",
                "number": "+442079460000",
                "model": "openai/x",
            },
            "transferPrompt": "The agent's own.",
            "transfer": {"ringSeconds": 20},
            "outbound": {"detection": {}},
        },
    }
)


def test_it_is_the_same_voice_with_another_task_and_nothing_of_the_caller_s() -> None:
    made = consultant(AGENT, "Ask.", "")
    assert (made.model_name, made.options.tts) == (AGENT.model_name, AGENT.options.tts)
    assert [function.name for function in made.functions] == ["accept_transfer", "reject_transfer"]
    assert made.keys == []
    options = made.options
    assert (options.opening, options.call_hook, options.recording.enabled) == (None, None, False)
    assert options.fallback is not None
    assert (options.fallback.agent, options.fallback.number, options.fallback.models) == (None, None, ("openai/x",))
    assert options.outbound.ring_timeout == 20
    assert options.outbound.detection is None
    assert AGENT.options.outbound.detection is not None
    assert options.max_seconds == 300
    assert AGENT.options.opening is not None, "the caller's agent is as it was"


def test_whose_prompt_it_has() -> None:
    bare = AGENT.model_copy(update={"options": AGENT.options.model_copy(update={"transfer_prompt": None})})
    assert consultant(AGENT, "The function's.", "").prompt == "The function's."
    assert consultant(AGENT, None, "").prompt == "The agent's own."
    assert consultant(bare, None, "Caller: hi").prompt == DEFAULT_PROMPT.replace(PLACEHOLDER, "Caller: hi")
    long = consultant(AGENT, PLACEHOLDER, "x" * LONGEST_TRANSCRIPT + "y").prompt
    assert (len(long), long[-1]) == (LONGEST_TRANSCRIPT, "y"), "the latest"


def test_it_speaks_first() -> None:
    assert opening().owed
    assert opening().question is not None


@pytest.mark.parametrize("platform", ["accept_transfer", "reject_transfer"])
def test_nobody_else_has_its_functions(platform: str) -> None:
    one = {"name": "a", "implementation": "builtin", "platform": platform}
    with pytest.raises(ValidationError, match="write its platform"):
        AgentDefinition.model_validate({"modelName": "openai/gpt-4o", "prompt": "", "functions": [one]})


class Answers:
    def __init__(self, *, gone: bool = False) -> None:
        self.said: list[str | None] = []
        self.gone = gone

    def accept(self) -> None:
        if self.gone:
            raise ToolFault("the caller has hung up")
        self.said.append(None)

    def reject(self, reason: str) -> None:
        self.said.append(reason)


def test_what_its_functions_do() -> None:
    functions, answers = consultant(AGENT, "", "").functions, Answers()
    toolbox = Toolbox(functions, {}, means=Means(answers=answers))
    assert toolbox.call(ToolCall("1", "accept_transfer", {})).ends == "transferred"
    assert toolbox.call(ToolCall("2", "reject_transfer", {"reason": "busy"})).ends == "agent"
    assert toolbox.call(ToolCall("3", "reject_transfer", {})).ends == "agent"
    assert answers.said == [None, "busy", ""]
    gone = Toolbox(functions, {}, means=Means(answers=Answers(gone=True)))
    result = gone.call(ToolCall("1", "accept_transfer", {}))
    assert result.failed
    assert result.ends is None
    assert Toolbox(functions, {}).specs == [], "where nobody asks"
