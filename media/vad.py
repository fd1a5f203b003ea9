"""Is anybody speaking? A cascade: an energy gate and webrtcvad wake Silero, and Silero decides.

On its own webrtcvad takes any steady noise for speech, and Silero costs thirty times as much as it. Together they cost
next to nothing while nobody speaks, and are as right as Silero is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import webrtcvad

from media.audio import FRAME_SECONDS, AudioFormat, Encoding
from media.echo import EchoGate
from media.levels import FULL_SCALE, energies
from media.resample import Resampler
from media.silero import RATE, WINDOW_SAMPLES, Floats, SileroModel, SileroStream

_WEBRTC_MODE = 2

_FAINTEST_DBOV = -55.0
"""Speech on a telephone is not fainter than this; crosstalk and the noise of codecs are."""
_MARGIN_DB = 6.0
_FLOOR_DBOV = (-75.0, -45.0)
"""Where the noise floor may begin: louder sound in the first frame may be speech."""
_FLOOR_STAYS = 0.75
_FLOOR_RISE_DB_PER_SECOND = 3.0

_ENTER, _LEAVE = 0.5, 0.35
_PRE_ROLL_FRAMES = 8
_SLEEP_FRAMES = 15
_STALE_WINDOWS = round(2.0 * RATE / WINDOW_SAMPLES)
"""Silero grows deaf under music and tones: after half a minute of them it hears speech a second late, or not at all.
So, while it hears no speech, its state is used for 2 s; with 4 s speech over tones came up to 1.4 s late."""

_LATEST = 8 * WINDOW_SAMPLES
_LONGEST_WAIT = 16 * WINDOW_SAMPLES
"""Silero is asked where it could change what is so: sound stirs and is not speech yet, or speech has gone quiet. What
comes between waits, for up to half a second, and Silero hears the later half of it: some windows at once cost it half
as much each, and that speech goes on is no news. So speech that passes into another steady sound ends that much later;
into silence, as soon as ever."""

_GLANCE = 4 * WINDOW_SAMPLES
_UNSEEN_FRAMES = 50
_GAP_FRAMES = 3
"""Where a model tells turns, nobody waits for the end of what is said. There speech that Silero has heard goes on as
long as the gate opens, with short gaps. Silero hears an eighth of a second of it after each second, and is done with it
as soon as it would sleep: that takes a third of the windows, and webrtcvad knows nothing in it that the gate does not.
"""


def _ratio(db: float) -> float:
    return 10 ** (db / 10)


_RISE = _ratio(_FLOOR_RISE_DB_PER_SECOND * FRAME_SECONDS)
_MARGIN = _ratio(_MARGIN_DB)


class EnergyGate:
    """Open for frames that stand out from the noise, whose floor it follows: quickly down, slowly up."""

    __slots__ = ("_faintest", "_floor", "_full_scale", "_loudest_start", "_lowest")

    def __init__(self, frame_samples: int) -> None:
        self._full_scale = frame_samples * FULL_SCALE**2
        self._faintest = self._full_scale * _ratio(_FAINTEST_DBOV)
        self._lowest, self._loudest_start = (self._full_scale * _ratio(level) for level in _FLOOR_DBOV)
        self._floor = 0.0

    @property
    def floor_dbov(self) -> float:
        """The level of the noise, as far as it is known."""
        return 10 * float(np.log10(max(self._floor, self._lowest) / self._full_scale))

    def opens(self, energy: float, frames: int = 1) -> bool:
        """``energy`` is the sum of the squares of a frame's samples (full scale is 32768): its own, or the mean of some
        that follow each other."""
        floor = self._floor
        if energy < floor:
            floor += (1.0 - _FLOOR_STAYS**frames) * (energy - floor)
        elif floor:
            floor *= _RISE**frames
            if energy < floor:
                floor = energy
        else:
            floor = min(energy, self._loudest_start)
        if floor < self._lowest:
            floor = self._lowest
        self._floor = floor
        return energy > floor * _MARGIN and energy > self._faintest

    def reset(self) -> None:
        self._floor = 0.0


_HANN = np.hanning(WINDOW_SAMPLES).astype(np.float32)
_TONAL = 0.997
"""Sound whose two strongest tones hold more of its power than this is a signal of the network, not a voice."""


def _is_tonal(window: Floats) -> bool:
    """Busy tones and the like, of one or two frequencies: a detector that has just woken takes them for vowels."""
    power = np.abs(np.fft.rfft(window * _HANN)) ** 2
    total = float(power.sum())
    held = 0.0
    for _ in range(2):
        peak = int(power.argmax())
        around = slice(max(0, peak - 2), peak + 3)
        held += float(power[around].sum())
        power[around] = 0.0
    return held > _TONAL * total


class VoiceActivity:
    """Decides for each frame of one stream whether it is speech. The same frames lead to the same decisions.

    ``silero`` is the model of :func:`media.silero.load_model`; with ``None`` the gate and webrtcvad decide, which open
    on music, tones and voices in the background. ``echo`` tells the caller's voice from the agent's, coming back.
    ``closely``: turns are told by this; where a model tells them itself, less will do.
    """

    __slots__ = (
        "_age",
        "_awake",
        "_fill",
        "_frame_bytes",
        "_gate",
        "_quiet",
        "_rate",
        "_raw",
        "_recent",
        "_resampler",
        "_samples",
        "_silero",
        "_speaking",
        "_still",
        "_unseen",
        "_webrtc",
        "closely",
        "echo",
        "format",
    )

    def __init__(self, format: AudioFormat, silero: SileroModel | None = None, echo: EchoGate | None = None) -> None:
        if format.encoding is not Encoding.PCM16 or format.rate not in (8000, 16000):
            raise ValueError(
                f"voice activity is judged in pcm16 at 8000 or 16000 Hz, not in {format}; convert it first"
            )
        self.format = format
        self._rate = format.rate
        self._frame_bytes = format.frame_bytes
        self.echo = echo
        self.closely = True
        self._gate = EnergyGate(format.frame_samples)
        self._webrtc = webrtcvad.Vad(_WEBRTC_MODE)
        self._silero = SileroStream(silero) if silero is not None else None
        self._resampler = Resampler(format.rate, RATE) if format.rate != RATE else None
        self._recent: deque[bytes] = deque(maxlen=_PRE_ROLL_FRAMES)
        self._samples: Floats = np.zeros(_LONGEST_WAIT + 2 * WINDOW_SAMPLES, np.float32)
        self._fill = 0
        self._raw: list[bytes] = []  # the latest of them, at another rate
        self._age = 0
        self._quiet = 0
        self._awake = False
        self._speaking = False
        self._still = 0  # frames since the gate opened, and ...
        self._unseen = 0  # ... since Silero was asked, as long as speech is only glanced at

    @property
    def awake(self) -> bool:
        """Whether Silero is listening."""
        return self._awake

    def hear(self, frame: bytes, now: float = 0.0) -> bool:
        """Whether the next 20 ms are the caller's speech, with neither onset nor hangover smoothed. ``now``, when they
        end, matters to the echo gate alone."""
        if len(frame) != self._frame_bytes:
            raise ValueError(
                f"voice activity takes frames of {self._frame_bytes} bytes, not {len(frame)}; frame them first"
            )
        if not self.closely:
            return self._glance((frame,), now)[0]
        samples = np.frombuffer(frame, np.int16).astype(np.float32)
        return self._hear(frame, float(samples.dot(samples)), now)

    def hear_all(self, frames: Sequence[bytes], now: float = 0.0) -> Sequence[bool]:
        """The same for some frames, the last of which ends ``now``."""
        if not self.closely:
            return self._glance(frames, now)
        if len(frames) == 1:
            return (self.hear(frames[0], now),)
        at = now - len(frames) * FRAME_SECONDS
        voices = []
        for frame, energy in zip(frames, energies(b"".join(frames), self.format.frame_samples), strict=True):
            at += FRAME_SECONDS
            voices.append(self._hear(frame, energy, at))
        return voices

    def _hear(self, frame: bytes, energy: float, now: float) -> bool:
        passes = self.echo is None or self.echo.passes(energy, now)
        loud = self._gate.opens(energy) and passes
        if not loud and not self._awake:
            self._recent.append(frame)
            return False
        return self._is_speech(frame, loud, passes) and passes

    def _is_speech(self, frame: bytes, loud: bool, passes: bool) -> bool:
        """Echo alone neither wakes Silero nor keeps it awake: it would say speech, and go on saying so for a while."""
        stirring = loud and self._webrtc.is_speech(frame, self._rate)
        if self._silero is None:
            return stirring
        if self._awake:
            self._quiet = 0 if passes and (stirring or self._speaking) else self._quiet + 1
            self._awake = self._quiet < _SLEEP_FRAMES
            self._speaking = self._speaking and self._awake
            if self._age < _STALE_WINDOWS or self._speaking:
                self._listen(frame)
            else:
                self._begin(self._silero, frame)
        elif stirring:
            self._begin(self._silero, frame)
            self._quiet = 0
            self._awake = True
        if self._awake and (stirring != self._speaking or (stirring and self._fill >= _LONGEST_WAIT)):
            self._judge(self._silero)
        self._recent.append(frame)
        return self._speaking

    # Where a model tells turns

    def _glance(self, frames: Sequence[bytes], now: float) -> Sequence[bool]:
        """As :meth:`hear_all`, of all frames alike, and by their mean where no echo can be among them."""
        count, echo = len(frames), self.echo
        at = now - count * FRAME_SECONDS
        if echo is None or at >= echo.until:
            samples = np.frombuffer(b"".join(frames), np.int16).astype(np.float32)
            passes = True
            loud = self._gate.opens(float(samples.dot(samples)) / count, count)
        else:
            passes, total = False, 0.0
            for energy in energies(b"".join(frames), self.format.frame_samples):
                at += FRAME_SECONDS
                total += energy
                passes |= echo.passes(energy, at)
            loud = self._gate.opens(total / count, count) and passes
        if self._speaking and self._silero is not None:
            return (self._goes_on(self._silero, frames, loud) and passes,) * count
        if not loud and not self._awake:
            self._recent.extend(frames)
            return (False,) * count
        return [self._is_speech(frame, loud, passes) and passes for frame in frames]

    def _goes_on(self, silero: SileroStream, frames: Sequence[bytes], loud: bool) -> bool:
        """Whether what was speech still is."""
        self._recent.extend(frames)
        self._unseen += len(frames)
        if not loud:
            self._still += len(frames)
            self._awake = self._speaking = self._still < _SLEEP_FRAMES
            return self._still <= _GAP_FRAMES
        self._still = 0
        if self._unseen >= _UNSEEN_FRAMES:
            self._look_again(silero)
        return self._speaking

    def reset(self) -> None:
        """Begin anew, as for another stream."""
        self._gate.reset()
        self._webrtc = webrtcvad.Vad(_WEBRTC_MODE)
        self._recent.clear()
        self._awake = self._speaking = False

    def _begin(self, silero: SileroStream, frame: bytes) -> None:
        """Listen with a fresh state, from a little before this frame: a sound that is there at once confuses Silero."""
        silero.reset()
        if self._resampler is not None:
            self._resampler.reset()
            self._raw.clear()
        self._fill = self._age = 0
        for earlier in self._recent:
            self._listen(earlier)
        self._listen(frame)

    def _listen(self, frame: bytes) -> None:
        end = self._fill + RATE // 50
        if self._resampler is None:
            self._samples[self._fill : end] = np.frombuffer(frame, np.int16)
        else:
            self._raw.append(frame)
        self._fill = end

    def _judge(self, silero: SileroStream) -> None:
        """Have Silero hear what waits, or the later half of it."""
        whole = self._fill - self._fill % WINDOW_SAMPLES
        if not whole:
            return
        samples = self._samples
        if self._resampler is not None and self._raw:  # many frames at once take little longer than one
            raw = np.frombuffer(self._resampler.process(b"".join(self._raw)), np.int16)
            samples[self._fill - len(raw) : self._fill] = raw
            self._raw.clear()
        skipped = max(0, whole - _LATEST)
        self._ask(silero, samples[:skipped], samples[skipped:whole])
        self._fill -= whole
        samples[: self._fill] = samples[whole : whole + self._fill]

    def _look_again(self, silero: SileroStream) -> None:
        """Have Silero hear the latest of what goes on."""
        sound = b"".join(self._recent)
        if self._resampler is not None:
            self._resampler.reset()
            self._raw.clear()
            sound = self._resampler.process(sound)
        samples = np.frombuffer(sound, np.int16).astype(np.float32)
        self._fill = 0
        self._ask(silero, samples[:-_GLANCE], samples[-_GLANCE:])

    def _ask(self, silero: SileroStream, skipped: Floats, heard: Floats) -> None:
        if len(skipped):
            silero.skip(skipped)
        for index, probability in enumerate(silero.process(heard)):
            if self._speaking:
                self._speaking = probability >= _LEAVE
            elif probability >= _ENTER:
                self._speaking = not _is_tonal(heard[index * WINDOW_SAMPLES : (index + 1) * WINDOW_SAMPLES])
        self._age += len(heard) // WINDOW_SAMPLES
        self._still = self._unseen = 0
