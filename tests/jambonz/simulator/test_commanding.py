"""Live call control by the REST API, in mid-call. Commands by the socket are in ``test_application.py``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jambonz.simulator.caller import Caller, HangUp, Wait
from jambonz.simulator.report import CallReport
from jambonz.simulator.transport import HookResponse
from tests.clock import run_virtual
from tests.jambonz.simulator.service import LISTEN, Service


def controlled(*bodies: dict[str, Any]) -> CallReport:
    """While it listens."""
    service = Service([LISTEN, {"verb": "hangup"}], failing=HookResponse(500, "", b""))
    jambonz = service.jambonz()

    async def run() -> CallReport:
        placing = asyncio.create_task(jambonz.place_call(to="1", from_="2", caller=Caller([Wait(2), HangUp()])))
        await asyncio.sleep(1)
        [sid] = jambonz.calls
        for body in bodies:
            jambonz.update_call(sid, body)
        return await placing

    return run_virtual(run())


def test_what_comes_by_rest_is_told_as_what_comes_by_the_socket() -> None:
    keys, psst = {"dtmf": {"digit": "5", "duration": 100}}, {"whisper": {"verb": "say", "text": "Psst."}}
    recording = {"action": "startCallRecording", "recordingID": "r", "siprecServerURL": "sip:rec@example.com"}
    report = controlled(keys, {"record": recording} | psst, {"mute_status": "mute"}, {"call_status": "completed"})
    assert [(name, data) for _, name, data in report.commands] == [
        ("dtmf", keys),
        ("record", recording),
        ("whisper", psst),
        ("mute:status", {"mute_status": "mute"}),
        ("call:status", {"call_status": "completed"}),
    ]
    assert all(at == pytest.approx(1.0) for at, _, _ in report.commands)
    assert report.ended_by == "jambonz"


def test_what_the_feature_server_cannot_do_was_accepted_all_the_same() -> None:
    report = controlled({"dtmf": {"digit": "12"}}, {"whisper": {"verb": "hangup"}}, {"tag": {"a": 1}})
    assert [note for note in report.notes if "nothing" in note] == [
        "a command by the REST API does nothing: dtmf: invalid digit: 12",
        "a command by the REST API does nothing: whisper: say and play only",
        "the option tag is not simulated: it does nothing",
    ]
    assert report.ended_by == "caller"


def test_a_redirect_without_verbs_ends_the_verb_that_runs_and_one_that_fails_changes_nothing() -> None:
    assert controlled({"call_hook": "/empty"}).ended == pytest.approx(1.0, abs=0.1)
    failed = controlled({"call_hook": "/failing"})
    assert failed.ended_by == "caller"
    assert any(note.startswith("a redirect failed") for note in failed.notes)
