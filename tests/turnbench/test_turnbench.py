"""The bench measures what it says, and detectors that hear everything, or nothing, get the figures they deserve."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from media.audio import PCM_8K
from media.levels import rms_dbov, sounding
from media.wav import read_wav
from tests.turnbench import __main__ as command
from tests.turnbench import labels
from tests.turnbench.bounds import broken
from tests.turnbench.corpus import QUICK, Corpus
from tests.turnbench.detectors import OURS, Ear, TimedRule
from tests.turnbench.ends import by_machine, by_silence
from tests.turnbench.measure import SHIPS, measure
from tests.turnbench.onsets import Onsets, percentile_ms
from tests.turnbench.recogniser import StreamingRecogniser
from tests.turnbench.recording import Recording, frame_time
from tests.turnbench.report import as_json, report
from tests.turnbench.voices import Word


@pytest.fixture(scope="module")
def corpus() -> list[Recording]:
    return list(Corpus(QUICK))


def perfect(recording: Recording) -> list[bool]:
    """Frames that are speech, by the labels."""
    ends = [frame_time(index) for index in range(len(recording.pcm) // PCM_8K.frame_bytes)]
    return [any(start + 0.01 <= end <= stop + 0.01 for start, stop in recording.speech) for end in ends]


def named(corpus: list[Recording], group: str, condition: str) -> list[Recording]:
    return [recording for recording in corpus if (recording.group, recording.condition) == (group, condition)]


def test_the_same_seed_makes_the_same_sound(corpus: list[Recording]) -> None:
    assert list(Corpus(QUICK)) == corpus
    assert len({recording.name for recording in corpus}) == len(corpus)


def test_labels_say_where_the_speech_is(corpus: list[Recording]) -> None:
    turns = [r for r in corpus if r.group == "turn" and r.condition != "ambience 10 dB"]
    for recording in named(corpus, "speech", "clean") + turns:
        loud = sounding(recording.pcm, 8000, above_dbov=-50, bridge=0.25)
        assert abs(loud[0][0] - recording.speech[0][0]) <= 0.06, recording.name
        assert abs(loud[-1][1] - recording.speech[-1][1]) <= 0.06, recording.name
        for pause, resumed in recording.pauses:
            middle = range(round((pause + 0.04) * 50), round((resumed - 0.04) * 50))
            frames = [recording.pcm[320 * at : 320 * (at + 1)] for at in middle]
            assert max(rms_dbov(frame) for frame in frames) < -40, f"{recording.name} is not silent in its pause"


def test_words_follow_each_other_within_the_speech(corpus: list[Recording]) -> None:
    for recording in corpus:
        edges = [edge for word in recording.words for edge in (word.start, word.end)]
        assert edges == sorted(edges), recording.name
        for word in recording.words:
            assert any(a - 1e-6 <= word.start <= word.end <= b + 1e-6 for a, b in recording.speech), recording.name


def test_pauses_are_as_long_as_they_say_and_lie_between_the_right_words(corpus: list[Recording]) -> None:
    number = next(r for r in corpus if r.name == "number-000-700")
    assert [round(resumed - pause, 3) for pause, resumed in number.pauses] == [0.7, 0.7]
    groups = [sum(a <= word.start < b for word in number.words) for a, b in number.speech]
    assert sum(groups) == len(number.words)
    assert groups[1:] in ([3, 4], [4, 4], [3, 3])


def test_levels_and_echo_are_what_they_are_called(corpus: list[Recording]) -> None:
    def level(recording: Recording) -> float:
        frames = np.frombuffer(recording.pcm, np.int16).astype(float).reshape(-1, 160)
        power = (frames**2).mean(axis=1)
        return 10 * float(np.log10(power[power > power.max() / 1000].mean() / 32768**2))

    assert abs(np.mean([level(r) for r in named(corpus, "speech", "clean")]) + 22) < 1.5
    assert abs(np.mean([level(r) for r in named(corpus, "speech", "quiet")]) + 40) < 1.5
    (echo,) = named(corpus, "echo", "ERL 25")
    assert abs(rms_dbov(echo.played) - rms_dbov(echo.pcm) - 25) < 1.5
    (loss,) = (r for r in named(corpus, "speech", "3 % loss") if "001" in r.name)
    assert loss.pcm != next(r for r in named(corpus, "speech", "clean") if "001" in r.name).pcm


def test_a_start_takes_100_ms_of_speech_and_a_stop_500_of_silence(corpus: list[Recording]) -> None:
    voice = [False] * 10 + [True] * 4 + [False] + [True] * 20 + [False] * 24 + [True] * 3 + [False] * 30
    ((start, stop),) = TimedRule()(corpus[0], voice)
    assert (start, stop) == (frame_time(19), frame_time(10 + 4 + 1 + 20 + 24 + 3 + 24))


def test_an_onset_is_found_missed_or_too_early(corpus: list[Recording]) -> None:
    recording = corpus[0]
    begin, end = recording.speech[0]
    onsets = Onsets()
    onsets.add(recording, [(0.1, 0.5), (begin + 0.12, end)])
    onsets.add(recording, [(begin - 0.5, end)])
    onsets.add(recording, [(end + 1.0, end + 2.0)])
    assert (onsets.already_open, onsets.missed, onsets.count) == (1, 1, 3)
    assert percentile_ms(onsets.delays, 50) == pytest.approx(120)


def test_silence_decides_after_its_time_and_cuts_longer_pauses(corpus: list[Recording]) -> None:
    for pause, decisions in ((300, 1), (700, 3)):
        recording = next(r for r in corpus if r.name == f"number-000-{pause}")
        times = by_silence(500)(recording, perfect(recording))
        assert len(times) == decisions
        assert times[-1] - recording.speech[-1][1] == pytest.approx(0.5, abs=0.03)


def test_the_machine_answers_a_perfect_ear(corpus: list[Recording]) -> None:
    for recording in named(corpus, "turn", "clean"):
        (decided,) = by_machine()(recording, perfect(recording))
        assert 0.2 < decided - recording.speech[-1][1] < 2.0


def test_the_recogniser_tells_words_after_they_were_said_and_at_once_when_asked() -> None:
    said = ("My", "number", "is", "five", "five", "oh.")
    words = [Word(text, 0.3 * i, 0.3 * i + 0.25) for i, text in enumerate(said)]
    recogniser = StreamingRecogniser("caller", words)
    recogniser.speech_started(0.0)
    assert recogniser.transcripts(0.39) == []
    (first,) = recogniser.transcripts(0.51)
    assert (first.text, first.final) == ("My", False)
    assert [transcript.final for transcript in recogniser.transcripts(2.0)] == [False] * 5
    recogniser.speech_paused(2.0)
    assert recogniser.transcripts(2.09) == []
    (last,) = recogniser.transcripts(2.21)
    assert last.final
    assert last.text.rstrip(".") in ("My number is five five oh", "My number is 550")
    assert last.audio_seconds == pytest.approx(2.0)
    recogniser.end_segment(2.25)
    recogniser.speech_paused(3.0)
    recogniser.speech_started(2.9)
    assert [(t.segment, t.text) for t in recogniser.transcripts(4.0)] == [(1, "")]


class _Ear:
    """Hears what ``everything`` says, whatever there is to hear."""

    def __init__(self, everything: bool) -> None:
        self._everything = everything

    def hear(self, frame: bytes, played: bytes | None) -> bool:
        return self._everything


def _ears(everything: bool) -> Mapping[str, Callable[[], Ear]]:
    return {OURS: lambda: _Ear(everything)}


@pytest.mark.parametrize("everything", [True, False], ids=["hears speech in everything", "is deaf"])
def test_a_bad_ear_breaks_the_bounds(corpus: list[Recording], everything: bool) -> None:
    results = measure(corpus, _ears(everything))
    complaints = "\n".join(broken(results))
    assert ("echo, ERL 25 starts" in complaints) is everything
    assert "clean sentences" in complaints
    assert "were cut or never ended" in complaints
    assert results.onsets[SHIPS]["speech, clean"].delays == []


def test_the_command_measures_a_corpus_that_it_wrote_as_it_measures_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ["--quick", "--only", "word", "over"]
    assert command.main([*only, "--write", str(tmp_path / "corpus")]) == 0
    for source, name in ((only, "own.json"), (["--corpus", str(tmp_path / "corpus")], "read.json")):
        assert command.main([*source, "--json", str(tmp_path / name)]) == 0
    assert "trunkline: as it ships" in capsys.readouterr().out
    own, read = (json.loads((tmp_path / name).read_text()) for name in ("own.json", "read.json"))
    assert own["onset"] == read["onset"]
    assert own["over_the_agent"] == read["over_the_agent"]
    assert own["onset"][SHIPS]["word, clean"]["p50_ms"] <= 200


def test_labels_may_be_a_table(tmp_path: Path, corpus: list[Recording]) -> None:
    labels.write(named(corpus, "turn", "anywhere")[:1], tmp_path)
    (wav,) = tmp_path.glob("*.wav")
    (tmp_path / "labels.json").unlink()
    with pytest.raises(ValueError, match=r"neither labels\.json nor labels\.csv"):
        list(labels.read(tmp_path))
    lines = ["file,start,end,text", f"{wav.name},0.5,1.0,I would like", f"{wav.name},1.6,2.4,a table", "hiss.wav,,,"]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    (tmp_path / "hiss.wav").write_bytes(wav.read_bytes())
    onset, turn, noise = labels.read(tmp_path)
    assert (onset.group, turn.group, noise.group) == ("speech", "turn", "noise")
    assert turn.pauses == [(1.0, 1.6)]
    assert [word.text for word in turn.words] == ["I", "would", "like", "a", "table"]
    assert noise.speech == ()
    assert turn.pcm == read_wav(wav).data


def test_tables_and_figures_agree(corpus: list[Recording]) -> None:
    results = measure(named(corpus, "turn", "clean") + named(corpus, "echo", "ERL 25"), _ears(everything=False))
    figures = as_json(results)
    assert figures["end"][SHIPS]["clean"]["never"] == QUICK.sentences
    assert figures["false_starts"][SHIPS]["echo, ERL 25"]["per_minute"] == 0
    text = report(results)
    assert f"({QUICK.sentences} never)" in text
    assert "Sounds over the agent" not in text
