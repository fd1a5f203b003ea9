from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.cli.demo import EmbeddedSettings
from tests.gateway.cli.process import trunkline
from tests.gateway.cli.test_call import in_order
from tests.steady import undisturbed


def test_the_environment_does_not_change_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRUNKLINE_HOST=0.0.0.0\n")
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": "postgresql://x/y", "OPENAI_API_KEY": "k", "TRUNKLINE_MAX_CALLS": "x"}.items():
        monkeypatch.setenv(name, value)
    settings = EmbeddedSettings(data_dir=tmp_path)
    assert settings.database == f"sqlite:///{tmp_path}/trunkline.sqlite3"
    assert (settings.host, settings.max_calls, settings.openai_api_key) == ("127.0.0.1", None, None)


@pytest.mark.realtime
@pytest.mark.timeout(450)
@pytest.mark.skipif(not find_spec("moonshine_voice"), reason="Moonshine, the demo's recogniser, is not installed")
@pytest.mark.skipif(not find_spec("ttspico"), reason="Pico, whose voice Moonshine understands, is not installed")
@undisturbed
async def test_one_real_call_from_hello_to_goodbye(tmp_path: Path) -> None:
    """In real time: recogniser, voices and sockets are the real ones, and so is their speed."""
    async with trunkline("demo", "--once", directory=tmp_path, LANG="C.UTF-8") as process:
        status, output, errors = await process.end(140)
    assert (status, errors) == (0, ""), output
    in_order(
        output,
        "agent  Good morning",
        "caller I would like an appointment",
        "check_slot(day=Tuesday",
        "interrupted:",
        "the caller coughs",
        "Goodbye",
        "the call is over: the agent hung up",
        "end of speech to first audio heard",
        "barge-in to silence at the caller's ear",
        "underruns",
        "DSP delay",
        "-- cut",
    )
    assert "\x1b" not in output
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
