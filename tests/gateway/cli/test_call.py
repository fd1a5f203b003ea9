from __future__ import annotations

import asyncio
import wave
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from yarl import URL

from gateway.cli import call as module
from gateway.cli import trunkline as command
from gateway.cli.call import Dialled, problem_of, write_sound
from jambonz.simulator.report import CallReport
from jambonz.simulator.requestor import HookRecord
from tests.gateway.cli.process import KEY, NUMBER, SECRET, add_agent, serve, trunkline
from tests.gateway.cli.test_speech import SILENCE, TONE, ear_that_heard
from tests.steady import undisturbed


def dialled(*flags: str, **variables: str) -> Dialled:
    """What the command would do."""
    asked: list[Dialled] = []

    async def note(_: Any, what: Dialled) -> CallReport:
        asked.append(what)
        return CallReport("sid", 0.0, ear_that_heard(b""), answered=0.0, ended_by="caller")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_call", note)
        result = CliRunner(env=variables).invoke(command, ["call", "--to", NUMBER, *flags])
    assert result.exit_code == 0, result.output
    return asked[0]


def test_what_the_caller_does_is_done_in_the_order_given() -> None:
    flags = "--say one --dtmf 12 --say two --barge-in three --play f.wav --hangup --say four"
    assert dialled(*flags.split()).actions == [
        ("say", "one"), ("dtmf", "12"), ("say", "two"), ("barge_in", "three"), ("play", "f.wav"), ("hangup", ""),
        ("say", "four"),
    ]  # fmt: skip
    assert dialled().actions == []


def test_the_telephone_may_be_wideband() -> None:
    assert not dialled().wideband
    assert dialled("--wideband").wideband


def test_it_may_ring_by_the_application_socket() -> None:
    assert dialled().application is None
    assert module._application(dialled()) is None
    variables = {"JAMBONZ_APPLICATION_USERNAME": "u", "JAMBONZ_APPLICATION_PASSWORD": "p"}
    assert dialled(**variables).application is None
    hook = {"url": "ws://127.0.0.1:8080/jambonz/application", "username": "u", "password": "p"}
    assert module._application(dialled("--application", **variables)) == hook
    elsewhere = dialled("--application", "--password", "q", "--url", "https://example.com/base/")
    hook = {"url": "wss://example.com/base/jambonz/application", "username": "jambonz", "password": "q"}
    assert module._application(elsewhere) == hook


def test_secrets_come_from_the_environment_too() -> None:
    assert (dialled().secret, dialled().key) == (None, None)
    variables = {"JAMBONZ_WEBHOOK_SECRET": "s", "TRUNKLINE_ADMIN_KEY": "k"}
    assert (dialled(**variables).secret, dialled(**variables).key) == ("s", "k")
    assert dialled("--secret", "other", **variables).secret == "other"
    assert "s3cr3t" not in CliRunner(env={"TRUNKLINE_ADMIN_KEY": "s3cr3t"}).invoke(command, ["call", "--help"]).output


def report(sound: bytes = b"", said: bytes = b"", **values: Any) -> CallReport:
    return CallReport("sid", 0.0, ear_that_heard(sound), said=said, **values)


def test_calls_that_end_as_calls_do_are_no_problem() -> None:
    for by in ("caller", "jambonz"):
        assert problem_of(report(answered=1.0, ended_by=by)) is None
    assert problem_of(report(answered=1.0, ended_by="cancelled")) == "The call ended by cancelled."


def test_why_a_call_was_not_answered() -> None:
    assert problem_of(report(sip_status=404, reason="Not Found", ended_by="refused")) == (
        "The call was declined: 404 Not Found"
    )
    assert problem_of(report(sip_status=487, ended_by="cancelled")) == "The call was not answered within 30 s."
    forged = HookRecord("session:new", "http://x", {}, 0.0, status=403)
    assert problem_of(report(sip_status=480, reason="Unexpected", ended_by="refused", hooks=[forged])) == (
        "The call was declined: 480 Unexpected (the call hook was answered with 403)"
    )


def read(path: Path) -> tuple[int, bytes]:
    with wave.open(str(path)) as file:
        assert (file.getsampwidth(), file.getframerate()) == (2, 8000)
        return file.getnchannels(), file.readframes(file.getnframes())


def test_what_was_heard_is_written(tmp_path: Path) -> None:
    write_sound(tmp_path / "o.wav", report(TONE + SILENCE), stereo=False)
    assert read(tmp_path / "o.wav") == (1, TONE + SILENCE)


@pytest.mark.parametrize("said", [SILENCE + TONE, SILENCE + TONE + TONE, SILENCE])
def test_in_stereo_the_caller_is_on_the_left(tmp_path: Path, said: bytes) -> None:
    write_sound(tmp_path / "o.wav", report(TONE + SILENCE, said), stereo=True)
    channels, frames = read(tmp_path / "o.wav")
    left, right = np.frombuffer(frames, "<i2").reshape(-1, channels).T
    assert left.tobytes() == (said + SILENCE)[:640]
    assert right.tobytes() == TONE + SILENCE


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--url", "http://127.0.0.1:1"], "The call was declined: 480 ECONNREFUSED"),
        (["--url", "http://127.0.0.1:1", "--key", "k"], "The service did not answer GET /api/listener: Cannot connect"),
        (["--play", "/missing.wav"], "No such file or directory: '/missing.wav'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence_and_status_1(flags: list[str], sentence: str) -> None:
    result = CliRunner().invoke(command, ["call", "--to", NUMBER, *flags])
    assert result.exit_code == 1
    assert sentence in result.output


@pytest.mark.realtime
@pytest.mark.skipif(not find_spec("moonshine_voice"), reason="the service's recogniser, Moonshine, is not installed")
@undisturbed
async def test_a_call_to_a_running_service(tmp_path: Path) -> None:
    """In real time: two processes have no clock that could be handed in."""
    password = {"JAMBONZ_APPLICATION_PASSWORD": "password-of-the-sockets"}
    async with serve(tmp_path, **password) as service:
        url = str(await service.address())
        await add_agent(URL(url))
        keys = password | {"JAMBONZ_WEBHOOK_SECRET": SECRET, "TRUNKLINE_ADMIN_KEY": KEY}

        async def call(*flags: str) -> tuple[int, str, str]:
            async with trunkline("call", "--url", url, *flags, directory=tmp_path, **keys) as process:
                return await process.end()

        answered, declined, forged = await asyncio.gather(
            call("--to", NUMBER, "--hangup", "--wav", "heard.wav", "--transcribe"),
            call("--to", "+442079460009", "--application"),
            call("--to", NUMBER, "--secret", "another"),
        )
    assert declined[0] == forged[0] == 1
    assert "The call was declined: 404 Not Found" in declined[1]
    assert "(the call hook was answered with 403)" in forged[1]
    status, output, errors = answered
    assert (status, errors) == (0, ""), output
    in_order(
        output,
        "answered",
        "the agent speaks",
        "agent  What time would you like?",
        "over: ended by caller",
        "the caller hung up",
    )
    in_order(
        output,
        "answer to first audio heard",
        "What time would you like?",
        "Against the log",
        "ok  100%  What time would you like?",
    )
    channels, frames = await asyncio.to_thread(read, tmp_path / "heard.wav")
    assert channels == 1
    assert np.abs(np.frombuffer(frames, "<i2")).max() > 1000


def in_order(text: str, *parts: str) -> None:
    at = 0
    for part in parts:
        assert part in text[at:], f"{part!r} is not in {text[at:]}"
        at = text.index(part, at) + len(part)
