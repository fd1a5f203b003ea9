from typing import Any

import pytest

from pipelines.parts import Message, ToolCall, ToolSpec
from pipelines.realtime.model import Setup
from tests.simulators.ultravox_request import mistakes
from ultravox.calls import CallRefused, HttpTool, call_request, duration, vendor_settings


def request(setup: Setup, **settings: Any) -> dict[str, Any]:
    """Every request made here has to be one that Ultravox takes."""
    made = call_request(setup, **{"model": "ultravox-v0.7", "rate": 8000, "max_seconds": 3600.0, **settings})
    assert mistakes(made) == []
    return made


def test_the_least() -> None:
    assert request(Setup("Be brief.")) == {
        "systemPrompt": "Be brief.",
        "model": "ultravox-v0.7",
        "maxDuration": "3600s",
        "recordingEnabled": False,
        "transcriptOptional": False,
        "firstSpeakerSettings": {"user": {}},
        "vadSettings": {"minimumInterruptionDuration": "0.2s"},
        "medium": {
            "serverWebSocket": {
                "inputSampleRate": 8000,
                "outputSampleRate": 8000,
                "clientBufferSizeMs": 30000,
                "dataMessages": {
                    "callStarted": True,
                    "state": True,
                    "transcript": True,
                    "clientToolInvocation": True,
                    "playbackClearBuffer": True,
                },
            }
        },
    }


GOODBYE = {"duration": "8s", "message": "Goodbye.", "endBehavior": "END_BEHAVIOR_HANG_UP_SOFT"}


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"voice": "Mark"}, "voice", "Mark"),
        ({"language": "en-GB"}, "languageHint", "en-GB"),
        ({"temperature": 0.4}, "temperature", 0.4),
        ({"greeting": "Hi."}, "firstSpeakerSettings", {"agent": {"text": "Hi.", "uninterruptible": False}}),
        (
            {"greeting": "Hi.", "interruptible": False},
            "firstSpeakerSettings",
            {"agent": {"text": "Hi.", "uninterruptible": True}},
        ),
        (
            {"silence_seconds": 0.5},
            "vadSettings",
            {"minimumInterruptionDuration": "0.2s", "turnEndpointDelay": "0.512s"},
        ),
        (
            {"silence_seconds": 0.001},
            "vadSettings",
            {"minimumInterruptionDuration": "0.2s", "turnEndpointDelay": "0.032s"},
        ),
        (
            {"idle_seconds": 8, "idle_prompts": ["Hello?", "Still there?"], "idle_farewell": "Goodbye."},
            "inactivityMessages",
            [{"duration": "8s", "message": "Hello?"}, {"duration": "8s", "message": "Still there?"}, GOODBYE],
        ),
        ({"idle_prompts": ["Hello?"]}, "inactivityMessages", None),
        ({"idle_seconds": 8}, "inactivityMessages", None),
        ({"time_exceeded": "Time is up."}, "timeExceededMessage", "Time is up."),
        ({"longest_seconds": 305.0}, "maxDuration", "325s"),
        ({"longest_seconds": 7200.0, "time_exceeded": "Time is up."}, "maxDuration", "3600s"),
        ({"longest_seconds": 7200.0, "time_exceeded": "Time is up."}, "timeExceededMessage", None),
        (
            {
                "history": [
                    Message("user", "Is it open?"),
                    Message("assistant", "One moment.", (ToolCall("t1", "hours", {"day": "Tuesday"}),)),
                    Message("tool", "9 to 5", tool_call_id="t1", name="hours"),
                    Message("assistant", "From nine."),
                ]
            },
            "initialMessages",
            [
                {"role": "MESSAGE_ROLE_USER", "text": "Is it open?"},
                {"role": "MESSAGE_ROLE_AGENT", "text": "One moment."},
                {
                    "role": "MESSAGE_ROLE_TOOL_CALL",
                    "text": '{"day": "Tuesday"}',
                    "invocationId": "t1",
                    "toolName": "hours",
                },
                {"role": "MESSAGE_ROLE_TOOL_RESULT", "text": "9 to 5", "invocationId": "t1", "toolName": "hours"},
                {"role": "MESSAGE_ROLE_AGENT", "text": "From nine."},
            ],
        ),
    ],
)
def test_what_an_agent_means(changes: dict[str, Any], field: str, value: Any) -> None:
    assert request(Setup("Be brief.", **changes)).get(field) == value


DAY = {"type": "string", "description": "Which day"}
HOURS = ToolSpec("hours", "When is it open?", {"type": "object", "properties": {"day": DAY}, "required": ["day"]})


def parameter(location: str) -> dict[str, Any]:
    return {"name": "day", "location": f"PARAMETER_LOCATION_{location}", "schema": DAY, "required": True}


def test_a_tool_is_ours() -> None:
    made = request(Setup("", tools=[HOURS, ToolSpec("bye", "", {"type": "object"})]))
    assert made["selectedTools"] == [
        {
            "temporaryTool": {
                "modelToolName": "hours",
                "description": "When is it open?",
                "dynamicParameters": [parameter("BODY")],
                "timeout": "10s",
                "client": {},
            }
        },
        {
            "temporaryTool": {
                "modelToolName": "bye",
                "description": "",
                "dynamicParameters": [],
                "timeout": "10s",
                "client": {},
            }
        },
    ]


@pytest.mark.parametrize(
    ("tool", "location", "static"),
    [
        (HttpTool("https://example.com/hours"), "QUERY", "QUERY"),
        (HttpTool("https://example.com/hours/{day}", "delete"), "PATH", "QUERY"),
        (HttpTool("https://example.com/hours", "post"), "BODY", "BODY"),
    ],
)
def test_a_tool_that_ultravox_asks_itself(tool: HttpTool, location: str, static: str) -> None:
    tool = HttpTool(tool.url, tool.method, {"shop": "north"})
    (made,) = request(Setup("", tools=[HOURS]), http_tools={"hours": tool})["selectedTools"]
    assert made["temporaryTool"]["http"] == {"baseUrlPattern": tool.url, "httpMethod": tool.method.upper()}
    assert made["temporaryTool"]["dynamicParameters"] == [parameter(location)]
    assert made["temporaryTool"]["staticParameters"] == [
        {"name": "shop", "location": f"PARAMETER_LOCATION_{static}", "value": "north"}
    ]
    assert "client" not in made["temporaryTool"]


def test_vendor_settings_are_laid_over() -> None:
    vendor = {
        "experimentalSettings": {"anyThing": [1, 2]},
        "vadSettings": {"frameActivationThreshold": 0.3},
        "metadata": {"shop": "north"},
        "selectedTools": [{"toolName": "hangUp"}],
        "externalVoice": {"elevenLabs": {"voiceId": "v"}},
    }
    setup = Setup("", tools=[HOURS], voice="Mark", vendor={"ultravox": vendor, "openai": {"other": 1}})
    made = request(setup, metadata={"call": "c1"})
    assert made["experimentalSettings"] == {"anyThing": [1, 2]}
    assert made["vadSettings"] == {"minimumInterruptionDuration": "0.2s", "frameActivationThreshold": 0.3}
    assert made["metadata"] == {"call": "c1", "shop": "north"}
    assert [*made["selectedTools"]][1:] == [{"toolName": "hangUp"}]
    assert "voice" not in made


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"experimentalSetting": {}}, "is not known; did you mean experimentalSettings?"),
        ({"q": 1}, "vendorSpecific.ultravox.q is not known; known here: callbacks, "),
        ({"systemPrompt": "x"}, "systemPrompt is set by the service itself; write it as prompt"),
        ({"medium": {}}, "medium is set by the service itself; leave it out"),
        ({"vadSettings": []}, "vendorSpecific.ultravox.vadSettings has to be an object"),
        ({"metadata": {"ultravox.x": "y"}}, "metadata.ultravox.x has to be text, under a name of your own"),
        ({"selectedTools": {}}, "vendorSpecific.ultravox.selectedTools has to be an array"),
        ("v0.7", "vendorSpecific.ultravox has to be an object"),
    ],
)
def test_vendor_settings_are_refused_in_words(settings: Any, sentence: str) -> None:
    with pytest.raises(CallRefused) as refused:
        vendor_settings({"ultravox": settings})
    assert sentence in str(refused.value)


def test_a_tool_needs_a_name() -> None:
    with pytest.raises(CallRefused, match="'look up' needs a name"):
        request(Setup("", tools=[ToolSpec("look up", "", {})]))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "3600s"), (0.2, "0.2s"), (0.384, "0.384s"), (30.0, "30s"), (100.0, "100s"), (1 / 3, "0.333s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
