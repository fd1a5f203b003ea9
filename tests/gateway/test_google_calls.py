"""The whole service on loopback, with Google for ears and voice, as the settings name it: gRPC as it is used in calls.

In real time, and marked so: what is tried is how the parts go together over real connections.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.equipment import Equipment, provider_environment
from gateway.settings import load
from jambonz.simulator.caller import AwaitAgentSilence, BargeIn, HangUp, Speak
from media.g711 import mulaw_to_pcm, pcm_to_mulaw
from pipelines.providers.registry import Registry
from store import DEFAULT_OWNER
from tests.gateway.service import LoudFactory, recorded, serving
from tests.simulators.codeword import plain_words
from tests.simulators.google_speech import serve_google
from tests.simulators.mulaw_words import CUT, heard, speak

ANSWER = "well they open each noon till nine when both boys come"
"""Words of one length: Google's streams do not time them, and what was heard of a phrase is reckoned by its letters."""

AGENT: dict[str, Any] = {
    "modelName": "scripted/desk",
    "prompt": "You are a front desk.",
    "options": {
        "greeting": "Hello.",
        "stt": {"vendor": "google", "model": "chirp_2", "language": "en", "hints": ["opening hours"]},
        "tts": {"vendor": "google", "language": "en-GB", "voice": "Kore"},
        "script": {
            "rules": [
                {"said": ["when are you open"], "say": ANSWER},
                {"said": ["i have to go"], "say": "Thank you and goodbye."},
            ]
        },
    },
}


def test_what_the_settings_say_of_google_reaches_the_providers() -> None:
    google = {
        "GOOGLE_APPLICATION_CREDENTIALS": "/etc/google.json",
        "GOOGLE_PROJECT_ID": "my-project",
        "GOOGLE_SPEECH_ENDPOINT": "eu-speech.googleapis.com",
        "GOOGLE_TTS_ENDPOINT": "http://127.0.0.1:9",
    }
    settings = load(env_file=None, flags={name.lower(): value for name, value in google.items()})
    assert provider_environment(settings).items() >= google.items()
    assert not any("GOOGLE" in name for name in provider_environment(load(env_file=None)))


@pytest.mark.realtime
async def test_a_conversation_with_a_barge_in(tmp_path: Path) -> None:
    """What the caller said is what the log has; what it has of the agent is what the caller heard."""
    async with serve_google(per_word_seconds=0.01) as google:
        endpoints = {"google_speech_endpoint": google.endpoint, "google_tts_endpoint": google.endpoint}
        settings = load(env_file=None, flags={"google_project_id": "my-project", **endpoints})
        factory = LoudFactory(Registry(provider_environment(settings)), None, equipment=Equipment.of(settings))
        async with serving(tmp_path, agent=AGENT, factory=factory) as service:
            report = await service.call(
                AwaitAgentSilence(),
                Speak(mulaw_to_pcm(speak("when are you open"))),
                BargeIn(mulaw_to_pcm(speak("i have to go")), after=1.5),
                AwaitAgentSilence(),
                HangUp(),
                patience=20.0,
            )
            calls = service.store.calls
            call = await recorded(calls)
            log = [(event.type, event.data) for event in await calls.events(DEFAULT_OWNER, call.id) or ()]
            used = await calls.usage(DEFAULT_OWNER, call.id)
        assert [data for type, data in log if type == "error"] == []
        assert [data for type, data in log if type == "user"] == ["when are you open", "i have to go"]
        greeting, cut, goodbye = [data for type, data in log if type == "agent"]
        assert (greeting, goodbye) == ("Hello.", "Thank you and goodbye.")
        assert ANSWER.startswith(cut)
        assert 2 <= len(cut.split()) < len(ANSWER.split())
        words = [word for word in heard(pcm_to_mulaw(report.heard)) if word != CUT]
        assert words == plain_words(f"{greeting} {cut} {goodbye}")
        assert google.configs[0].recognizer == "projects/my-project/locations/global/recognizers/_"
        config = google.configs[0].streaming_config.config
        assert (config.model, list(config.language_codes)) == ("chirp_2", ["en-US"])
        assert config.adaptation.phrase_sets[0].inline_phrase_set.phrases[0].value == "opening hours"
        assert {request.streaming_config.voice.name for request in google.voices} == {"en-GB-Chirp3-HD-Kore"}
        assert {(one.part, one.provider) for one in used} == {("stt", "google"), ("tts", "google")}
        assert len(set(google.peers)) == 2, "one connection to each service, for all of the call"
        assert (google.mistakes, google.open) == ([], 0)
