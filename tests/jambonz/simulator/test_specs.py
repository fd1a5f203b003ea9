"""The simulator refuses what Jambonz refuses: its validator is the judge."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jambonz.simulator.specs import Refused, parse_verbs

PACKAGE = Path(__file__).parents[2] / "node" / "node_modules" / "@jambonz" / "verb-specifications"

LISTEN = {"verb": "listen", "url": "wss://host/audio"}
DIAL = {"verb": "dial", "target": [{"type": "phone", "number": "+44123"}]}

ACCEPTED: list[Any] = [
    [],
    [{"verb": "answer"}],
    [{"answer": {}}],
    [{"answer": None}],
    [{"verb": "pause", "length": 1.5}],
    [{"pause": {"length": 2, "id": "p"}}],
    [{"verb": "hangup"}, {"verb": "hangup", "headers": {"X-Reason": "bye"}}],
    [{"verb": "hangup", "headers": []}],
    [{"verb": "hangup", "headers": None}],
    [LISTEN],
    [{**LISTEN, "verb": "stream"}],
    [{**LISTEN, "metadata": {"a": "b"}, "mixType": "stereo", "sampleRate": 8000, "passDtmf": True}],
    [{**LISTEN, "bidirectionalAudio": {"enabled": True, "streaming": True, "sampleRate": 8000}, "actionHook": "/x"}],
    [{**LISTEN, "wsAuth": {"username": "u", "password": "p"}, "actionHook": {"url": "/x", "method": "POST"}}],
    [{**LISTEN, "transcribe": {"recognizer": {"vendor": "google"}}}],
    [{**LISTEN, "_": {"anything": 1}}],
    [{"verb": "say", "text": "hello"}, {"verb": "say", "text": ["a", "b"], "loop": "forever"}, {"verb": "say"}],
    [{"verb": "say", "text": "x", "synthesizer": {"vendor": "google", "gender": "MALE"}}],
    [{"verb": "play", "url": ["http://a/b.wav"], "loop": 2, "seekOffset": "8000"}],
    [{"verb": "gather", "input": ["speech"], "actionHook": "/g", "say": {"text": "x"}, "timeout": 5}],
    [DIAL],
    [{**DIAL, "answerOnBridge": True, "timeLimit": 60, "headers": {"X-A": "b"}, "srtpEncryption": "sdes"}],
    [{**DIAL, "target": [{"type": "sip", "sipUri": "sip:a@b", "auth": {"username": "u", "password": "p"}}]}],
    [{**DIAL, "target": []}],
    [{**DIAL, "listen": {"url": "ws://x"}, "dub": [{"action": "addTrack", "track": "t"}]}],
    [{"verb": "sip:refer", "referTo": "+44123", "headers": {}, "actionHook": "/r", "eventHook": "/e"}],
    [{"verb": "sip:decline", "status": 486, "reason": "Busy Here"}],
    [{"verb": "sip:request", "method": "INFO", "body": "x"}],
    [{"verb": "redirect", "actionHook": "/new"}],
    [{"verb": "tag", "data": {"a": 1}}],
    [{"verb": "dtmf", "dtmf": "12#", "duration": 250}],
    [{"verb": "config", "bargeIn": {"enable": True, "input": ["speech"]}, "reset": ["synthesizer"]}],
    [{"verb": "config", "listen": {"enable": True, "url": "ws://x"}, "boostAudioSignal": "10 dB"}],
    [
        {"verb": "enqueue", "name": "q", "priority": 1},
        {"verb": "dequeue", "name": "q", "beep": True},
        {"verb": "leave"},
    ],
    [{"verb": "conference", "name": "c", "joinMuted": True, "statusEvents": ["start"]}],
    [{"verb": "message", "to": "1", "from": "2", "text": "x", "media": ["http://x"]}],
    [{"verb": "alert", "message": "x"}],
    [{"verb": "dub", "action": "playOnTrack", "track": "t", "play": "http://x", "gain": -3}],
    [{"verb": "transcribe", "transcriptionHook": "/t", "recognizer": {"vendor": "google", "interim": True}}],
    [{"verb": "llm", "vendor": "openai", "llmOptions": {}, "mcpServers": [{"url": "http://x"}]}],
    [{"verb": "openai_s2s", "llmOptions": {"a": 1}}],
    [{"ultravox_s2s": {"llmOptions": {}}}],
]

REFUSED: list[Any] = [
    {"verb": "answer"},
    "answer",
    None,
    [None],
    ["answer"],
    [1],
    [[]],
    [{}],
    [{"say": {"text": "a"}, "pause": {"length": 1}}],
    [{"verb": "nope"}],
    [{"nope": {}}],
    [{"verb": None}],
    [{"verb": "answer"}, {"verb": "nope"}],
    [{"verb": "answer", "foo": 1}],
    [{"verb": "answer", "id": 5}],
    [{"verb": "pause", "length": 1, "foo": 2}],
    [{"verb": "pause"}],
    [{"verb": "pause", "length": "1"}],
    [{"verb": "pause", "length": True}],
    [{"verb": "pause", "length": None}],
    [{"pause": 3}],
    [{"pause": "3"}],
    [{"verb": "listen"}],
    [{**LISTEN, "url": 7}],
    [{**LISTEN, "mixType": "both"}],
    [{**LISTEN, "mixType": None}],
    [{**LISTEN, "sampleRate": "8000"}],
    [{**LISTEN, "metadata": "text"}],
    [{**LISTEN, "passDtmf": "yes"}],
    [{**LISTEN, "bidirectionalAudio": {"enable": True}}],
    [{**LISTEN, "bidirectionalAudio": {"streaming": "true"}}],
    [{**LISTEN, "bidirectionalAudio": "yes"}],
    [{**LISTEN, "wsAuth": {"username": "u"}}],
    [{**LISTEN, "wsAuth": 3}],
    [{**LISTEN, "actionHook": 3}],
    [{**LISTEN, "actionHook": True}],
    [{**LISTEN, "transcribe": {"recognizer": {}}}],
    [{**LISTEN, "verb": "stream", "streamUrl": "x"}],
    [{"verb": "say", "text": {"a": 1}}],
    [{"verb": "say", "text": "x", "synthesizer": {"voice": "a"}}],
    [{"verb": "say", "text": "x", "synthesizer": {"vendor": "google", "gender": "male"}}],
    [{"verb": "play"}],
    [{"verb": "gather", "input": "speech"}],
    [{"verb": "gather", "say": {"txt": "x"}}],
    [{"verb": "dial"}],
    [{**DIAL, "target": {"type": "phone"}}],
    [{**DIAL, "target": 5}],
    [{**DIAL, "target": "phone"}],
    [{**DIAL, "target": [{"number": "+44"}]}],
    [{**DIAL, "target": [{"type": "fax", "number": "+44"}]}],
    [{**DIAL, "target": [{"type": "phone", "phone": "+44"}]}],
    [{**DIAL, "callerID": "x"}],
    [{"verb": "sip:refer"}],
    [{"verb": "sip:refer", "referTo": "x", "action_hook": "/x"}],
    [{"verb": "sip:decline"}],
    [{"verb": "sip:decline", "status": "486"}],
    [{"verb": "sip:request", "body": "x"}],
    [{"verb": "redirect"}],
    [{"verb": "tag"}],
    [{"verb": "tag", "data": "x"}],
    [{"verb": "dtmf", "dtmf": 5}],
    [{"verb": "config", "listen": {"url": "ws://x"}}],
    [{"verb": "enqueue"}],
    [{"verb": "dub", "action": "add", "track": "t"}],
    [{"verb": "message", "to": "1"}],
    [{"verb": "llm", "vendor": "openai"}],
    [{"verb": "llm", "vendor": "openai", "llmOptions": {}, "mcpServers": [{"auth": {}}]}],
    [{"verb": "hangup", "reason": "x"}],
]


def reason(application: Any) -> str | None:
    try:
        parse_verbs(application)
    except Refused as error:
        return str(error)
    return None


def test_the_reasons_are_those_seen_on_a_real_feature_server() -> None:
    assert reason([{"verb": "pause", "length": 1, "foo": 2}]) == "pause: unknown property foo"
    assert reason([{"verb": "nope"}]) == "invalid instruction: nope"
    assert reason("text") == "malformed jambonz payload: must be array"


def test_synonyms_are_resolved() -> None:
    assert parse_verbs([{"verb": "stream", "url": "ws://x"}]) == [("listen", {"url": "ws://x"})]
    assert parse_verbs([{"openai_s2s": {"llmOptions": {}}}]) == [("llm", {"vendor": "openai", "llmOptions": {}})]


def test_parts_of_verbs_are_no_verbs() -> None:
    """The validator lets them pass, but the feature server has nothing to run for them."""
    assert reason([{"verb": "target", "type": "phone"}]) == "invalid instruction: target"


@pytest.mark.parametrize("application", ACCEPTED, ids=json.dumps)
def test_accepted(application: Any) -> None:
    assert reason(application) is None


@pytest.mark.parametrize("application", REFUSED, ids=json.dumps)
def test_refused(application: Any) -> None:
    assert reason(application) is not None


def test_jambonzs_own_validator_gives_the_same_verdicts() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to ask Jambonz's validator with")
    if not PACKAGE.is_dir():
        pytest.skip("Jambonz's validator is not installed; npm ci in tests/node installs it")
    applications = ACCEPTED + REFUSED
    script = Path(__file__).with_name("verdicts.js")
    run = subprocess.run(
        [node, script, PACKAGE], input=json.dumps(applications), capture_output=True, text=True, check=True, timeout=100
    )
    verdicts: list[str | None] = json.loads(run.stdout)
    ours = [reason(application) for application in applications]
    differing = [
        (application, theirs, mine)
        for application, theirs, mine in zip(applications, verdicts, ours, strict=True)
        if (theirs is None) != (mine is None)
    ]
    assert differing == []
    same_words = sum(theirs == mine for theirs, mine in zip(verdicts, ours, strict=True) if theirs)
    assert same_words >= 0.9 * len(REFUSED)
