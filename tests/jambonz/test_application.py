"""The WebSocket application API without a socket: what messages say, and what they are answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from jambonz import verbs
from jambonz.application import (
    MAX_MESSAGE_BYTES,
    POLICY,
    REMEMBERED,
    UNUSABLE,
    Again,
    ApplicationProtocol,
    ApplicationRefused,
    ErrorTold,
    HookDue,
    MessageTooLarge,
    SessionAdulting,
    SessionNew,
    SessionReconnect,
    StatusTold,
    Unheeded,
    Unreadable,
    VerbStatus,
    encode,
)
from jambonz.commands import dtmf, hang_up, notify_of_verbs, pressed, record, redirect, whisper
from jambonz.verbs import VerbError

CALL: dict[str, Any] = {
    "call_sid": "c-1",
    "from": "+441",
    "to": "442",
    "direction": "inbound",
    "sip": {"method": "INVITE"},
}


def message(kind: str, msgid: str = "m-1", **more: Any) -> str:
    return json.dumps({"type": kind, "msgid": msgid, "call_sid": "c-1", "b3": "1-2-1", **more})


def begun() -> ApplicationProtocol:
    protocol = ApplicationProtocol()
    assert isinstance(protocol.receive(message("session:new", "m-0", data=CALL)), SessionNew)
    protocol.ack("m-0", [verbs.hangup()])
    return protocol


# What messages say


def test_a_socket_of_a_call_that_was_placed_begins_with_its_states() -> None:
    protocol = ApplicationProtocol()
    ringing = {"type": "call:status", "msgid": "m-0", "data": CALL | {"call_status": "ringing"}}
    told = protocol.receive(json.dumps(ringing))
    assert isinstance(told, StatusTold)
    assert (told.hook.call_sid, told.hook.call_status) == ("c-1", "ringing")
    assert isinstance(protocol.receive(message("session:new", data=CALL)), SessionNew)
    with pytest.raises(ApplicationRefused, match="another call's"):
        protocol.receive(json.dumps(ringing | {"msgid": "m-2", "call_sid": "c-2"}))
    other = ApplicationProtocol()
    other.receive(json.dumps(ringing))
    with pytest.raises(ApplicationRefused, match="another call's"):
        other.receive(message("session:new", data=CALL | {"call_sid": "c-2"}).replace('"c-1"', '"c-2"'))


def test_a_call_begins() -> None:
    protocol = ApplicationProtocol()
    event = protocol.receive(message("session:new", data=CALL))
    assert isinstance(event, SessionNew)
    assert (event.msgid, event.hook.to, event.hook.from_) == ("m-1", "442", "441")
    assert protocol.call_sid == "c-1"
    assert json.loads(protocol.ack("m-1", [verbs.hangup()])) == {
        "type": "ack", "msgid": "m-1", "data": [{"verb": "hangup"}],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["session:reconnect", "session:adulting"])
def test_a_socket_may_begin_otherwise(kind: str) -> None:
    event = ApplicationProtocol().receive(message(kind, data=CALL))
    assert isinstance(event, SessionReconnect | SessionAdulting)
    assert event.msgid == "m-1"


@pytest.mark.parametrize("kind", ["verb:hook", "session:redirect"])
def test_a_hook(kind: str) -> None:
    event = begun().receive(message(kind, hook="/jambonz/next/7", data={**CALL, "dial_call_status": "busy"}))
    assert isinstance(event, HookDue)
    assert (event.path, event.hook.dial_call_status) == ("/jambonz/next/7", "busy")


def test_a_notice_that_does_not_say_whose_it_is_is_this_calls() -> None:
    event = begun().receive(message("verb:hook", hook="/refer", data={"event": "transfer-status", "call_status": 180}))
    assert isinstance(event, HookDue)
    assert (event.hook.call_sid, event.hook.call_status) == ("c-1", "180")


def test_states_of_the_call_and_of_legs_that_it_dialled() -> None:
    protocol = begun()
    own = protocol.receive(message("call:status", data={**CALL, "call_status": "in-progress"}))
    other = {"call_sid": "c-2", "parent_call_sid": "c-1", "call_status": "ringing"}
    child = protocol.receive(message("call:status", "m-2", data=other))
    assert isinstance(own, StatusTold)
    assert isinstance(child, StatusTold)
    assert (own.hook.call_sid, child.hook.call_sid, child.hook.parent_call_sid) == ("c-1", "c-2", "c-1")


def test_verbs_and_errors() -> None:
    protocol = begun()
    assert protocol.receive(
        message("verb:status", data={"event": "starting", "id": "v", "name": "listen"})
    ) == VerbStatus("starting", "listen", "v")
    told = {"msg": "InvalidMessage", "details": "invalid type property: x", "content": "what we had sent"}
    assert protocol.receive(message("jambonz:error", data=told)) == ErrorTold(
        "InvalidMessage: invalid type property: x"
    )
    assert protocol.receive(message("jambonz:error", data=None)) == ErrorTold("no details")


def test_what_means_nothing_to_us_is_told_once_for_each_type() -> None:
    protocol = begun()
    assert protocol.receive(message("new:thing", data={})) == Unheeded("", "new:thing", first=True)
    assert protocol.receive(message("new:thing", "m-2", data={})) == Unheeded("", "new:thing", first=False)
    assert protocol.receive(message("llm:event", "m-3", data={})) == Unheeded("", "llm:event", first=True)
    assert protocol.receive(message("queue:status", "m-4", data={})) == Unheeded("m-4", "queue:status", first=True)
    assert json.loads(protocol.ack("m-4")) == {"type": "ack", "msgid": "m-4"}


def test_not_more_types_are_remembered_than_there_can_be() -> None:
    protocol = begun()
    events = [protocol.receive(message(f"kind-{n}", f"k-{n}")) for n in range(3 * REMEMBERED)]
    assert sum(isinstance(event, Unheeded) and event.first for event in events) == REMEMBERED


# Again, and late


def test_a_message_that_comes_again_has_the_same_acknowledgement_and_no_other_effect() -> None:
    protocol = begun()
    text = message("verb:hook", hook="/a", data=CALL)
    assert isinstance(protocol.receive(text), HookDue)
    assert protocol.receive(text) is None, "it is being answered"
    acknowledgement = protocol.ack("m-1", [verbs.hangup()])
    assert protocol.receive(text) == Again(acknowledgement)
    with pytest.raises(ValueError, match="no message 'm-1' waits"):
        protocol.ack("m-1")


def test_acknowledgements_are_not_kept_for_ever() -> None:
    protocol = begun()
    for number in range(REMEMBERED):
        protocol.receive(message("verb:hook", f"h-{number}", hook="/a", data=CALL))
        protocol.ack(f"h-{number}")
    assert isinstance(protocol.receive(message("session:new", "m-0", data=CALL)), SessionNew)
    assert isinstance(protocol.receive(message("verb:hook", "h-1", hook="/a", data=CALL)), Again)


# What is refused


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The message is not JSON."),
        ("{", "The message is not JSON."),
        ("[" * 100_000, "The message is not JSON."),
        ("[1]", "The message is JSON, but not an object."),
        ("{}", "The message has no type."),
        ('{"type": 7}', "The message has no type."),
        ('{"type": "session:new", "data": {"call_sid": "c"}}', "The message has no msgid to be acknowledged by."),
        ('{"type": "call:status", "msgid": "1"}', "The socket begins with call:status, and not with session:new."),
    ],
)
def test_what_is_no_message_closes_the_socket(text: str, sentence: str) -> None:
    with pytest.raises(ApplicationRefused) as refused:
        ApplicationProtocol().receive(text)
    assert str(refused.value) == sentence
    assert refused.value.code in (UNUSABLE, POLICY)
    assert len(sentence) <= 123, "it has to fit into the close frame"


@pytest.mark.parametrize(
    "text",
    [
        message("session:new", data={**CALL, "call_sid": "c-2"}),
        json.dumps({"type": "session:reconnect", "msgid": "1", "data": {"call_sid": "c-2"}}),
        json.dumps({"type": "verb:hook", "msgid": "1", "call_sid": "c-2", "hook": "/a", "data": CALL}),
    ],
)
def test_a_socket_is_one_calls(text: str) -> None:
    with pytest.raises(ApplicationRefused, match="another call's") as refused:
        begun().receive(text)
    assert refused.value.code == POLICY


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "The data of verb:hook is JSON, but not an object."),
        ([], "The data of verb:hook is JSON, but not an object."),
        ({"call_sid": ""}, "The data of verb:hook lacks call_sid."),
        ({"call_sid": "\ud800"}, "The data of verb:hook is not JSON."),
        ({"sip_status": "x"}, "The data of verb:hook's sip_status is wrong"),
    ],
)
def test_wrong_data_is_acknowledged_with_nothing(data: Any, sentence: str) -> None:
    protocol = begun()
    event = protocol.receive(message("verb:hook", hook="/a", data=data))
    assert isinstance(event, Unreadable)
    assert event.sentence.startswith(sentence)
    assert json.loads(protocol.ack(event.msgid)) == {"type": "ack", "msgid": "m-1"}


def test_a_wrong_status_waits_for_no_acknowledgement() -> None:
    event = begun().receive(message("call:status", data={"sip_status": "x"}))
    assert isinstance(event, Unreadable)
    assert event.msgid == ""


def test_an_answer_that_jambonz_would_close_the_socket_for_is_not_sent() -> None:
    protocol = begun()
    protocol.receive(message("verb:hook", hook="/a", data=CALL))
    with pytest.raises(MessageTooLarge, match=f"ack has .* bytes; Jambonz takes {MAX_MESSAGE_BYTES}"):
        protocol.ack("m-1", [verbs.say("é" * 5000)])
    assert json.loads(protocol.ack("m-1"))["msgid"] == "m-1", "it is still due"
    fits = MAX_MESSAGE_BYTES - len(encode(redirect([verbs.say(".")]))) + 1
    assert len(encode(redirect([verbs.say("x" * fits)]))) == MAX_MESSAGE_BYTES
    with pytest.raises(MessageTooLarge, match="redirect has"):
        encode(redirect([verbs.say("x" * (fits + 1))]))


json_values = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(max_size=8),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=8), inner),
    max_leaves=8,
)
KINDS = [
    "session:new",
    "session:reconnect",
    "session:adulting",
    "verb:hook",
    "call:status",
    "verb:status",
    "jambonz:error",
]


@settings(max_examples=40)
@given(
    strategies.lists(
        strategies.fixed_dictionaries(
            {"type": strategies.sampled_from([*KINDS, "other"]) | json_values},
            optional=dict.fromkeys(("msgid", "call_sid", "hook", "data"), json_values),
        ),
        max_size=4,
    )
)
def test_whatever_comes_is_an_event_or_refused_in_words(messages: list[dict[str, Any]]) -> None:
    protocol, sentences = begun(), []
    for one in messages:
        try:
            protocol.receive(json.dumps(one))
        except ApplicationRefused as refused:
            sentences.append(str(refused))
    assert all(0 < len(sentence) <= 123 for sentence in sentences)


# Commands


def test_commands_are_as_jambonz_takes_them() -> None:
    hangup = {"verb": "hangup"}
    assert redirect([hangup]) == {"type": "command", "command": "redirect", "queueCommand": False, "data": [hangup]}
    assert redirect([hangup], queue=True)["queueCommand"] is True
    assert hang_up()["data"] == {"call_status": "completed"}
    assert whisper([verbs.say("hi")])["data"] == {"whisper": [{"verb": "say", "text": "hi"}]}
    assert dtmf("#", milliseconds=80)["data"] == {"dtmf": {"digit": "#", "duration": 80}}
    assert notify_of_verbs()["data"] == {"notifyEvents": True}
    assert record("pauseCallRecording")["data"] == {"action": "pauseCallRecording"}
    started = record("startCallRecording", recording_id="r", siprec_server="sip:rec@h", headers={"X-A": "b"})
    assert started["data"] == {
        "action": "startCallRecording", "recordingID": "r", "siprecServerURL": "sip:rec@h", "headers": {"X-A": "b"},
    }  # fmt: skip


def test_keys_one_after_the_other() -> None:
    presses = [(command and command["data"]["dtmf"]["digit"], seconds) for command, seconds in pressed("1w#")]
    assert presses == [("1", 0.35), (None, 0.5), ("#", 0.35)]


@pytest.mark.parametrize(
    "build",
    [
        lambda: redirect([]),
        lambda: whisper([]),
        lambda: whisper([verbs.say("a"), verbs.hangup()]),
        lambda: dtmf("12"),
        lambda: dtmf(""),
        lambda: dtmf("x"),
        lambda: dtmf("1", milliseconds=0),
        lambda: list(pressed("")),
        lambda: list(pressed("1x")),
        lambda: list(pressed("1" * 65)),
        lambda: record("startCallRecording", recording_id="r"),
    ],
)
def test_what_jambonz_would_refuse_is_refused_here(build: Any) -> None:
    with pytest.raises(VerbError):
        build()
