from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jambonz import verbs
from jambonz.verbs import MAX_METADATA_BYTES, Verb, VerbError
from tests.jambonz.judges import judge

HOOK = "/jambonz/next/c-1"
SOCKET = "wss://voice.example.com/jambonz/listen/dG9rZW4"

EXAMPLES: list[Verb] = [
    verbs.answer(),
    verbs.listen(SOCKET, action_hook=HOOK),
    verbs.listen("/jambonz/listen/t", action_hook="https://voice.example.com/jambonz/next/c?leg=2", sample_rate=16000),
    verbs.listen(
        SOCKET,
        action_hook=HOOK,
        metadata={"call": "c-1", "leg": "2"},
        ws_auth=("trunkline", "s3cret:with:colons"),
        pass_dtmf=False,
        early_media=True,
    ),
    verbs.say('It\'s «ünï» | fine, "really"'),
    verbs.say("One moment.", early_media=True),
    verbs.play("https://voice.example.com/hold.wav"),
    verbs.play("/hold.wav", early_media=True, action_hook=HOOK),
    verbs.pause(0.5),
    verbs.tag({"ticket": "42"}),
    verbs.redirect(HOOK),
    verbs.redirect(HOOK, status_hook="/jambonz/status"),
    verbs.dial([verbs.phone("+442079460000")], action_hook=HOOK),
    verbs.dial(
        [
            verbs.phone("+442079460000", trunk="Carrier One"),
            verbs.sip("sip:ann@example.com", auth=("ann", "pw"), proxy="sip:proxy.example.com"),
            verbs.user("bob@realm.example.com"),
        ],
        action_hook=HOOK,
        caller_id="+442079460001",
        answer_on_bridge=False,
        timeout=30,
        time_limit=3600,
        music="https://voice.example.com/jambonz/ringback.wav",
        headers={"X-Aplisay-Origin-Caller-Id": "+447700900000"},
    ),
    verbs.conference("room-1", action_hook=HOOK, id="joined"),
    verbs.sip_refer("+442079460000", action_hook=HOOK),
    verbs.sip_refer(
        "<sip:ann@example.com>", action_hook=HOOK, event_hook=HOOK, referred_by="sip:us@host", headers={"X-A": "b"}
    ),
    verbs.sip_decline(404),
    verbs.sip_decline(486, "Busy Here", headers={"Retry-After": "5"}),
    verbs.sip_decline(603),
    verbs.hangup(),
    verbs.hangup(headers={"X-Reason": "goodbye"}),
    verbs.dtmf("12*#ABCDw9"),
    verbs.dtmf("5", milliseconds=250),
]


def test_jambonz_accepts_every_verb() -> None:
    for verb, verdict in zip(EXAMPLES, judge([[verb] for verb in EXAMPLES]), strict=True):
        assert verdict == (None, None), verb


def test_the_judges_can_refuse() -> None:
    wrong = [
        [{"verb": "pause", "length": 1, "foo": 1}],
        [{"verb": "listen", "actionHook": "/x"}],
        [{"verb": "nope"}],
        [{"verb": "sip:decline", "status": "486"}],
        {"verb": "hangup"},
    ]
    verdicts = judge(wrong)
    assert all(verdict.specifications for verdict in verdicts)
    assert all(verdict.schema for verdict in verdicts[1:]), "the schema alone lets unknown properties pass"


def test_every_builder_is_among_the_examples() -> None:
    built = {verb["verb"].replace(":", "_") for verb in EXAMPLES}
    assert built == {"answer", "listen", "say", "play", "pause", "tag", "redirect", "dial", "conference", "sip_refer",
                     "sip_decline", "hangup", "dtmf"}  # fmt: skip


def test_listen_asks_for_all_that_streaming_needs() -> None:
    for rate in verbs.LISTEN_RATES:
        verb = verbs.listen(SOCKET, action_hook=HOOK, sample_rate=rate)
        assert verb["bidirectionalAudio"] == {"enabled": True, "streaming": True, "sampleRate": rate}
        assert (verb["sampleRate"], verb["mixType"]) == (rate, "mono")


def test_metadata_never_hides_what_jambonz_says() -> None:
    verb = verbs.listen(SOCKET, action_hook=HOOK, metadata={"callId": "mine", "from": "me"})
    assert verb["metadata"] == {"trunkline_callId": "mine", "trunkline_from": "me"}


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("sample rate", lambda: verbs.listen(SOCKET, action_hook=HOOK, sample_rate=11025)),
    ("url", lambda: verbs.listen("wss://host/a|b", action_hook=HOOK)),
    ("url", lambda: verbs.listen("wss://host/it's", action_hook=HOOK)),
    ("url", lambda: verbs.listen("wss://host/a b", action_hook=HOOK)),
    ("url", lambda: verbs.listen("wss://höst/", action_hook=HOOK)),
    ("url", lambda: verbs.listen("wss:///path", action_hook=HOOK)),
    ("url", lambda: verbs.listen("ftp://host/path", action_hook=HOOK)),
    ("url", lambda: verbs.listen("host/path", action_hook=HOOK)),
    ("url", lambda: verbs.listen("", action_hook=HOOK)),
    ("too long", lambda: verbs.listen("wss://host/" + "x" * 4096, action_hook=HOOK)),
    ("too long", lambda: verbs.listen("wss://" + "x" * 513 + "/", action_hook=HOOK)),
    ("action hook", lambda: verbs.listen(SOCKET, action_hook="ws://host/x")),
    ("action hook", lambda: verbs.listen(SOCKET, action_hook="/x\r\n")),
    ("metadata", lambda: verbs.listen(SOCKET, action_hook=HOOK, metadata={"a": "x" * MAX_METADATA_BYTES})),
    ("metadata", lambda: verbs.listen(SOCKET, action_hook=HOOK, metadata={"a b": "x"})),
    *(
        ("metadata", lambda bad=bad: verbs.listen(SOCKET, action_hook=HOOK, metadata={"a": bad}))
        for bad in ("a|b", "it's", 'say "x"', "back\\slash", "ünï", "line\nbreak", "\x00", "\x7f")
    ),
    ("user", lambda: verbs.listen(SOCKET, action_hook=HOOK, ws_auth=("a:b", "c"))),
    ("user", lambda: verbs.listen(SOCKET, action_hook=HOOK, ws_auth=("a", "c" * 126))),
    ("text", lambda: verbs.say("  ")),
    ("play's url", lambda: verbs.play("file:///etc/passwd")),
    ("pause", lambda: verbs.pause(0)),
    ("pause", lambda: verbs.pause(math.inf)),
    ("pause", lambda: verbs.pause(math.nan)),
    ("tag's data", lambda: verbs.tag({"a": "it's"})),
    ("target", lambda: verbs.dial([], action_hook=HOOK)),
    ("timeout", lambda: verbs.dial([verbs.user("a")], action_hook=HOOK, timeout=-1)),
    ("music", lambda: verbs.dial([verbs.user("a")], action_hook=HOOK, music="file:///etc/passwd")),
    ("name", lambda: verbs.conference("", action_hook=HOOK, id="joined")),
    ("number", lambda: verbs.phone("")),
    ("number", lambda: verbs.phone("+44\r\nX-Evil: 1")),
    ("SIP address", lambda: verbs.sip("ann@example.com")),
    ("target", lambda: verbs.sip_refer("sip:a@b\nX-Evil: 1", action_hook=HOOK)),
    ("from 400 to 699", lambda: verbs.sip_decline(302)),
    ("from 400 to 699", lambda: verbs.sip_decline(700)),
    ("from 400 to 699", lambda: verbs.sip_decline(200)),
    ("header", lambda: verbs.hangup(headers={"X-A": "b\r\nX-Evil: 1"})),
    ("header", lambda: verbs.hangup(headers={"X A": "b"})),
    ("dtmf", lambda: verbs.dtmf("")),
    ("dtmf", lambda: verbs.dtmf("12x")),
    ("dtmf", lambda: verbs.dtmf("1\n")),
    ("duration", lambda: verbs.dtmf("1", milliseconds=0)),
]


@pytest.mark.parametrize(("about", "build"), REFUSED)
def test_what_jambonz_would_refuse_or_misread_is_an_error_here(about: str, build: Callable[[], object]) -> None:
    with pytest.raises(VerbError, match=re.escape(about)):
        build()


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=40))
def test_metadata_is_refused_or_harmless(metadata: dict[str, str]) -> None:
    try:
        verb = verbs.listen(SOCKET, action_hook=HOOK, metadata=metadata)
    except VerbError:
        return
    written = json.dumps(verb.get("metadata", {}))
    assert len(written) <= MAX_METADATA_BYTES
    assert written.isascii()
    assert not set(written) & set("|'\\")
    assert written.count('"') == 4 * len(metadata)
