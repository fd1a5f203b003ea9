"""Pico and espeak-ng, the real ones."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from time import process_time

import numpy as np
import pytest
from numpy.typing import NDArray

from media.audio import PCM_16K
from pipelines.parts import ProviderError, SpeechAudio, TextToSpeech
from pipelines.providers.espeak import EspeakTextToSpeech
from pipelines.providers.pico import VOICES, PicoTextToSpeech, voice_for

pytest.importorskip("ttspico")


async def speak(voice: TextToSpeech, text: str) -> NDArray[np.int16]:
    sound = b"".join([event.data async for event in voice.synthesize(text) if isinstance(event, SpeechAudio)])
    return np.frombuffer(sound, np.int16)


def make(vendor: str) -> TextToSpeech:
    return PicoTextToSpeech() if vendor == "pico" else EspeakTextToSpeech()


@pytest.mark.parametrize("vendor", ["pico", "espeak"])
async def test_speech_has_the_format_declared_and_is_not_clipped(vendor: str) -> None:
    voice = make(vendor)
    await voice.prepare()
    await voice.prepare()
    assert voice.format == PCM_16K
    samples = await speak(voice, "Good morning. How can I help you?")
    assert 1.0 < len(samples) / voice.format.rate < 5.0
    assert 3000 < np.abs(samples.astype(int)).max() < 32767
    await voice.close()


@pytest.mark.parametrize("vendor", ["pico", "espeak"])
@pytest.mark.parametrize("text", ["", "   ", "...", "😀", "*"])
async def test_what_is_no_words_is_no_sound(vendor: str, text: str) -> None:
    voice = make(vendor)
    assert len(await speak(voice, text)) == 0
    await voice.close()


@pytest.mark.parametrize("vendor", ["pico", "espeak"])
@pytest.mark.parametrize(
    "text",
    [
        "a < b & c > d",
        "<speed level='300'>slow</speed>",
        "AT&T &amp; more",
        "\x00nul\x07",
        "naïve café €5 “x” …",
        "5 日本",
    ],
)
async def test_odd_text_is_spoken_and_never_obeyed(vendor: str, text: str) -> None:
    voice = make(vendor)
    assert len(await speak(voice, text)) > 0.3 * voice.format.rate
    await voice.close()


async def test_markup_does_not_change_the_voice() -> None:
    voice = PicoTextToSpeech()
    marked = await speak(voice, "<speed level='300'>one two three four five six</speed>")
    plain = await speak(voice, "speed level 300 one two three four five six speed")
    assert len(marked) > 0.8 * len(plain)
    await voice.close()


@pytest.mark.parametrize("vendor", ["pico", "espeak"])
async def test_several_calls_speak_at_once_and_each_hears_its_own(vendor: str) -> None:
    voice = make(vendor)
    texts = ["One.", "This is a sentence of some length.", "Here is one that is longer than all of the others."] * 3
    lengths = [len(samples) for samples in await asyncio.gather(*(speak(voice, text) for text in texts))]
    for short, middle, long in zip(lengths[::3], lengths[1::3], lengths[2::3], strict=True):
        assert short < middle < long
    await voice.close()


@pytest.mark.parametrize("vendor", ["pico", "espeak"])
async def test_closing_the_generator_stops_the_synthesis(vendor: str) -> None:
    voice = make(vendor)
    await voice.prepare()
    began = process_time()
    await speak(voice, "This goes on and on. " * 5)
    cost = process_time() - began
    began = process_time()
    async with aclosing(voice.synthesize("This goes on and on. " * 150)) as sound:
        first = await anext(sound)
    assert isinstance(first, SpeechAudio)
    assert len(await speak(voice, "Done.")) > 0
    await voice.close()  # which waits for what runs
    assert process_time() - began < 10 * cost, "all of it costs 30 times as much"


@pytest.mark.parametrize(
    ("language", "voice"),
    [("en-GB", "en-GB"), ("en", "en-US"), ("en-AU", "en-US"), ("de_DE", "de-DE"), ("DE-at", "de-DE"), ("nl", None)],
)
def test_languages_have_their_voice(language: str, voice: str | None) -> None:
    assert voice_for(language) == voice


async def test_every_voice_of_pico_speaks() -> None:
    for name in VOICES:
        voice = PicoTextToSpeech(name)
        assert len(await speak(voice, "Hello 123.")) > 8000
        await voice.close()


async def test_espeak_takes_the_nearest_voice_and_refuses_what_is_none() -> None:
    assert len(await speak(EspeakTextToSpeech("en-GB"), "Hello.")) > 8000
    assert len(await speak(EspeakTextToSpeech("nl"), "Goede morgen.")) > 8000
    with pytest.raises(ProviderError, match="no voice 'zzz'"):
        await speak(EspeakTextToSpeech("zzz"), "Hello.")


def test_pico_refuses_a_voice_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="no voice 'rms'; it has en-US"):
        PicoTextToSpeech("rms")
