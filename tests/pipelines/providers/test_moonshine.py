"""The real recogniser, spoken to by Pico."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from media.audio import ALAW_8K, MULAW_8K, PCM_8K, PCM_16K, PCM_24K, AudioFormat, Clip
from media.convert import Converter
from pipelines.parts import ProviderError, SpeechAudio
from pipelines.providers.moonshine import MoonshineSpeechToText
from pipelines.providers.pico import PicoTextToSpeech
from tests.clock import run_virtual
from tests.pipelines.providers.ear import Ear


@pytest.fixture(scope="module")
def moonshine() -> Iterator[MoonshineSpeechToText]:
    pytest.importorskip("ttspico")  # who speaks to it; imported here, for imports block an event loop
    moonshine = MoonshineSpeechToText()
    yield moonshine
    asyncio.run(moonshine.close())


async def say(text: str, format: AudioFormat) -> Clip:
    voice = PicoTextToSpeech()
    sound = b"".join([event.data async for event in voice.synthesize(text) if isinstance(event, SpeechAudio)])
    await voice.close()
    whole = sound + bytes(-len(sound) % PCM_16K.frame_bytes)
    return Clip(format, await asyncio.to_thread(Converter(PCM_16K, format).process, whole))


async def test_a_caller_on_the_telephone_is_understood(moonshine: MoonshineSpeechToText) -> None:
    await moonshine.prepare()
    clip = await say("I would like to book an appointment on Tuesday, please.", MULAW_8K)
    pcm = await asyncio.to_thread(Converter(MULAW_8K, PCM_8K).process, clip.data)
    listener = Ear()
    stream = moonshine.open(listener, language="en-GB")
    stream.speech_started()
    for at in range(0, len(pcm), PCM_8K.frame_bytes):
        stream.push(pcm[at : at + PCM_8K.frame_bytes])
    stream.speech_paused()
    await listener.until(lambda: listener.transcripts)
    await stream.close()
    [heard] = listener.transcripts
    assert heard.text == "I would like to book an appointment on Tuesday, please."
    assert heard.audio_seconds == pytest.approx(clip.seconds)


@pytest.mark.parametrize("format", [ALAW_8K, PCM_8K, PCM_16K, PCM_24K])
async def test_clips_of_any_format_are_transcribed(moonshine: MoonshineSpeechToText, format: AudioFormat) -> None:
    clip = await say("I would like to book an appointment on Tuesday, please.", format)
    heard = await moonshine.transcribe(Clip(format, clip.data[:-10]))
    assert "book an appointment on Tuesday" in heard


async def test_a_clip_longer_than_the_model_takes_is_cut_at_its_pauses(moonshine: MoonshineSpeechToText) -> None:
    one = await say("Please tell me when you are open.", MULAW_8K)
    pause = MULAW_8K.silence(1000)
    text = await moonshine.transcribe(Clip(MULAW_8K, (one.data + pause) * 8))
    assert text.count("tell me when you are open") >= 7


@pytest.mark.parametrize("level", [0, 30, 1000, 5000])
async def test_noise_is_no_words(moonshine: MoonshineSpeechToText, level: int) -> None:
    noise = np.random.default_rng(7).normal(0, level, 12000).astype(np.int16).tobytes()
    assert await moonshine.transcribe(Clip(PCM_8K, noise)) == ""


def test_other_languages_than_english_are_refused() -> None:
    async def main() -> None:
        with pytest.raises(ProviderError, match="English only, not 'de-DE'"):
            MoonshineSpeechToText().open(Ear(), language="de-DE")

    run_virtual(main())


def test_the_weights_are_inside_the_package() -> None:
    """Later releases fetch them: the pin in pyproject.toml is what makes the demo work offline."""
    from moonshine_voice.utils import get_model_path

    assert {path.name for path in Path(get_model_path("tiny-en")).glob("*.ort")} == {
        "decoder_model_merged.ort",
        "encoder_model.ort",
    }
