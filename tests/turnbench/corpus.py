"""The bench's own corpus: synthetic, but as a telephone brings it. The same seed makes the same sound.

Speech has its true edges from the synthesiser; pauses are cut into sentences at the end of a phrase and, as often,
between any two words, and into telephone numbers between their groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

import numpy as np

from tests.media.speech import RATE, Samples
from tests.turnbench import sounds, texts
from tests.turnbench.line import CLEAN_DBOV, FRAME, Concealment, echo, line_noise, lose_packets, received
from tests.turnbench.recording import Recording
from tests.turnbench.voices import LEVEL_DBOV, Spoken, Voice, Word, speak, voices

PAUSES_MS = (300, 500, 700, 1000, 1500)
NUMBER_PAUSES_MS = (300, 500, 700, 1000, 1200, 1500)
ERLS_DB = (15, 25, 35, 45)
LEVELS_DBOV = (-45, -32)

QUIET_DBOV = -40.0
AGENT_DBOV = -20.0
TAIL = 2.5
"""After the end of a turn: who has not answered by then never does."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything; ``noise`` and ``echo`` in seconds for each kind and level."""

    sentences: int = len(texts.SENTENCES)
    words: int = 2 * len(texts.ANSWERS)
    numbers: int = 24
    noise: float = 120.0
    echo: float = 120.0
    overs: int = 24


QUICK = Scale(sentences=6, words=4, numbers=3, noise=12.0, echo=12.0, overs=4)

Phrases = tuple[Spoken, ...]


class Corpus:
    """Iterate over it: recordings are made as they are needed."""

    def __init__(self, scale: Scale, seed: int = 1) -> None:
        self._scale, self._seed = scale, seed
        choices = Random(seed)
        said = [texts.SENTENCES[i % len(texts.SENTENCES)] for i in range(scale.sentences)]
        requests: dict[str, list[str]] = {
            "sentences": [text.replace(" |", "") for text in said],
            "at phrases": [_one_pause_of(text, choices) for text in said],
            "anywhere": [_pause_anywhere(text, choices) for text in [*said, *said]],
            "words": [texts.ANSWERS[i % len(texts.ANSWERS)] for i in range(scale.words)],
            "numbers": [texts.telephone_number(choices) for _ in range(scale.numbers)],
            "interruptions": [texts.INTERRUPTIONS[i % len(texts.INTERRUPTIONS)] for i in range(scale.overs)],
            "backchannels": [texts.BACKCHANNELS[i % len(texts.BACKCHANNELS)] for i in range(scale.overs)],
            "agent": [sentence for text in texts.AGENT for sentence in re.split(r"(?<=[.?]) ", text)],
        }
        everything = [(text, self._voice(index)) for group in requests.values() for index, text in enumerate(group)]
        spoken = iter(speak(everything))
        self._said: dict[str, list[Phrases]] = {
            group: [next(spoken) for _ in group_texts] for group, group_texts in requests.items()
        }

    @staticmethod
    def _voice(index: int) -> Voice:
        everyone = voices()
        return everyone[index * 5 % len(everyone)]

    def __iter__(self) -> Iterator[Recording]:
        yield from self._speech()
        yield from self._noises()
        yield from self._echoes()
        yield from self._turns()
        yield from self._overs()

    def _random(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, crc32(name.encode())])

    def _alone(self, group: str) -> list[Spoken]:
        return [phrases[0] for phrases in self._said[group]]

    # Onsets

    def _speech(self) -> Iterator[Recording]:
        for group, source in (("speech", "sentences"), ("word", "words")):
            for index, spoken in enumerate(self._alone(source)):
                name = f"{group}-{index:03}"
                random = self._random(name)
                lead = random.uniform(1.0, 2.0)
                clean = _placed(spoken.samples, lead, 0.8)
                conceal: Concealment = "repeat" if index % 2 else "silence"
                good = line_noise(len(clean), CLEAN_DBOV, random)
                for condition, sound in {
                    "clean": clean + good,
                    "quiet": clean * 10 ** ((QUIET_DBOV - LEVEL_DBOV) / 20) + good,
                    "noise 20 dB": clean + line_noise(len(clean), LEVEL_DBOV - 20, random),
                    "noise 10 dB": clean + line_noise(len(clean), LEVEL_DBOV - 10, random),
                    "ambience 10 dB": clean
                    + sounds.levelled(sounds.ambience(len(clean) / RATE, random), LEVEL_DBOV - 10),
                    "3 % loss": lose_packets(clean + good, 0.03, conceal, random),
                }.items():
                    yield Recording(
                        f"{name}-{condition}", group, condition, received(sound), *_labels((spoken,), (lead,))
                    )

    # What is not speech

    def _noises(self) -> Iterator[Recording]:
        seconds = self._scale.noise
        for dbov in (-60.0, -50.0, -42.0):
            name = f"line noise {dbov:g}"
            noise = line_noise(int(seconds * RATE / 3), dbov, self._random(name))
            yield Recording(name, "noise", "line noise", received(noise))
        for name, tone in sounds.signalling(max(8.0, seconds / 16)).items():
            for draw in range(3):  # where in a frame a tone begins matters to a detector
                random = self._random(f"{name} {draw}")
                late = np.concatenate([np.zeros(int(random.integers(2 * FRAME))), tone])
                pcm = received(late + line_noise(len(late), CLEAN_DBOV, random))
                yield Recording(f"{name} {draw}", "noise", "tones", pcm)
        for kind, make in sounds.KINDS.items():
            for dbov in LEVELS_DBOV:
                random = self._random(f"{kind} {dbov}")
                sound = sounds.at_level(make(seconds, random), dbov, random)
                yield Recording(f"{kind} {dbov}", "noise", f"{kind} {dbov}", received(sound))
        for dbov in LEVELS_DBOV:
            random = self._random(f"babble {dbov}")
            sound = sounds.at_level(sounds.babble(seconds, self._alone("sentences"), random), dbov, random)
            yield Recording(f"babble {dbov}", "noise", f"babble {dbov}", received(sound))

    def _agent(self, seconds: float, random: np.random.Generator) -> Samples:
        """The agent's talk, as it is sent."""
        talk = np.zeros(int(seconds * RATE) // FRAME * FRAME)
        sentences = self._alone("agent")
        at, index = RATE // 2, int(random.integers(len(sentences)))
        while at < len(talk):
            piece = sentences[index % len(sentences)].samples[: len(talk) - at]
            talk[at : at + len(piece)] += piece * 10 ** ((AGENT_DBOV - LEVEL_DBOV) / 20)
            at += len(piece) + int(RATE * random.uniform(0.2, 0.7))
            index += 1
        return talk

    def _echoes(self) -> Iterator[Recording]:
        draws = max(1, round(self._scale.echo / 30))
        for erl in ERLS_DB:
            for draw in range(draws):
                name = f"echo {erl} dB {draw}"
                random = self._random(name)
                talk = self._agent(self._scale.echo / draws, random)
                back = echo(talk, erl, random) + line_noise(len(talk), CLEAN_DBOV, random)
                yield Recording(name, "echo", f"ERL {erl}", received(back), played=received(talk))
        for erl in (25, 35):
            for index, spoken in enumerate(self._alone("sentences")):
                name = f"double talk {erl} dB {index}"
                random = self._random(name)
                lead = random.uniform(3.0, 4.5)
                talk = self._agent(lead + spoken.seconds + 0.5, random)
                both = _placed(spoken.samples, lead, 0.5)[: len(talk)]
                both = both + echo(talk, erl, random)[: len(both)] + line_noise(len(both), CLEAN_DBOV, random)
                labels = _labels((spoken,), (lead,))
                yield Recording(name, "double talk", f"ERL {erl}", received(both), *labels, played=received(talk))

    # Ends of turns

    def _turns(self) -> Iterator[Recording]:
        for index, phrases in enumerate(self._said["sentences"]):
            yield self._turn(f"sentence-{index:03}", "clean", phrases)
            yield self._turn(f"sentence-{index:03}-ambience", "ambience 10 dB", phrases)
        for index, phrases in enumerate(self._said["words"]):
            yield self._turn(f"answer-{index:03}", "one word", phrases)
        for where in ("anywhere", "at phrases"):
            for index, phrases in enumerate(self._said[where]):
                for pause in PAUSES_MS:
                    yield self._turn(f"{where}-{index:03}-{pause}", where, phrases, pause)
        for index, phrases in enumerate(self._said["numbers"]):
            for pause in NUMBER_PAUSES_MS:
                turn = self._turn(f"number-{index:03}-{pause}", "number", phrases, pause)
                yield turn
                yield replace(turn, name=f"asked for {turn.name}", condition="number asked for", expects="digits")

    def _turn(self, name: str, condition: str, phrases: Phrases, pause_ms: int = 0) -> Recording:
        random = self._random(name)
        at, begins = random.uniform(0.6, 0.9), []
        for phrase in phrases:
            begins.append(at)
            at += phrase.seconds + pause_ms / 1000
        parts = [_placed(phrase.samples, begin, 0.0) for phrase, begin in zip(phrases, begins, strict=True)]
        sound = _padded(np.zeros(0), len(parts[-1]) + int(TAIL * RATE))
        for part in parts:
            sound[: len(part)] += part
        noise = line_noise(len(sound), CLEAN_DBOV, random)
        if condition.startswith("ambience"):
            noise = sounds.levelled(sounds.ambience(len(sound) / RATE, random), LEVEL_DBOV - 10)
        return Recording(
            name, "turn", condition, received(sound + _padded(noise, len(sound))), *_labels(phrases, begins)
        )

    # While the agent speaks

    def _overs(self) -> Iterator[Recording]:
        for condition in ("interruptions", "backchannels"):
            for index, (spoken,) in enumerate(self._said[condition]):
                name = f"{condition}-{index:03}"
                random = self._random(name)
                lead = random.uniform(0.6, 1.2)
                sound = _placed(spoken.samples, lead, TAIL)
                sound = sound + line_noise(len(sound), CLEAN_DBOV, random)
                yield Recording(name, "over", condition, received(sound), *_labels((spoken,), (lead,)))
        for condition, make in (("coughs", sounds.fit_of_coughing), ("doors", sounds.door)):
            for index in range(self._scale.overs):
                name = f"over {condition}-{index:03}"
                random = self._random(name)
                noise = sounds.levelled(make(random), float(random.uniform(-30, -18)))
                sound = _placed(noise, random.uniform(0.6, 1.2), TAIL)
                yield Recording(name, "over", condition, received(sound + line_noise(len(sound), CLEAN_DBOV, random)))


def _one_pause_of(text: str, choices: Random) -> str:
    phrases = text.split(" | ")
    at = choices.randrange(1, len(phrases)) if len(phrases) > 1 else 0
    return f"{' '.join(phrases[:at])} | {' '.join(phrases[at:])}" if at else text


def _pause_anywhere(text: str, choices: Random) -> str:
    words = text.replace(" |", "").split()
    at = choices.randrange(2, len(words) - 1)
    return f"{' '.join(words[:at])} | {' '.join(words[at:])}"


def _placed(samples: Samples, lead: float, tail: float) -> Samples:
    return np.concatenate([np.zeros(round(lead * RATE)), samples, np.zeros(round(tail * RATE))])


def _padded(samples: Samples, length: int) -> Samples:
    return np.concatenate([samples[:length], np.zeros(max(0, length - len(samples)))])


def _labels(phrases: Phrases, begins: Sequence[float]) -> tuple[tuple[tuple[float, float], ...], tuple[Word, ...]]:
    """Where there is speech, and the words of it."""
    spans = tuple((begin, begin + phrase.seconds) for phrase, begin in zip(phrases, begins, strict=True))
    words = (word.moved(begin) for phrase, begin in zip(phrases, begins, strict=True) for word in phrase.words)
    return spans, tuple(words)
