"""Other corpora: a folder of WAV files, one turn of a caller (or noise) to each, with labels.

``labels.json`` is an object of objects by file name::

    {"a.wav": {"speech": [[0.52, 1.9], [2.6, 4.1]], "text": ["I would like to", "come on Friday"]},
     "b.wav": {"speech": [], "condition": "traffic"},
     "c.wav": {"speech": [[3.0, 4.2]], "played": "c-agent.wav", "condition": "echo"}}

``speech`` holds from when to when (seconds) the caller speaks: what is between two stretches is a pause within his
turn, and the end of the last is the end of it. Optional are ``text``, of each stretch; ``words``, each
``[word, start, end]``; ``condition``, a column of the tables; ``played``, another file with what the agent says
meanwhile; ``expects`` (``free``, ``digits``, ``yes_no``), what the agent had asked for.

``labels.csv`` has the columns file, start, end, text and condition, and a line for each stretch; for noise start and
end are empty.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from media.audio import PCM_8K, Clip
from media.convert import Converter
from media.wav import read_wav, write_wav
from tests.turnbench.recording import Recording
from tests.turnbench.voices import Word, shared

UNKNOWN = "..."
"""Stands for words that nobody wrote down."""


def read(folder: Path) -> Iterator[Recording]:
    """Every recording twice if there is speech in it: for its onset, and for its end."""
    for name, label in _labels(folder).items():
        try:
            yield from _recordings(folder, name, label)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ValueError(f"cannot use {name} of {folder}: {error!r}; see the head of {__name__}") from error


def _labels(folder: Path) -> dict[str, dict[str, Any]]:
    as_json, as_csv = folder / "labels.json", folder / "labels.csv"
    if as_json.exists():
        labels: dict[str, dict[str, Any]] = json.loads(as_json.read_text())
        return labels
    if not as_csv.exists():
        raise ValueError(f"there is neither labels.json nor labels.csv in {folder}; see the head of {__name__}")
    labels = {}
    with as_csv.open(newline="") as file:
        for line in csv.DictReader(file):
            label = labels.setdefault(line["file"], {"speech": [], "text": []})
            label["condition"] = line.get("condition") or "all"
            if line["start"]:
                label["speech"].append((float(line["start"]), float(line["end"])))
                label["text"].append(line.get("text") or UNKNOWN)
    return labels


def _recordings(folder: Path, name: str, label: dict[str, Any]) -> Iterator[Recording]:
    speech = tuple((float(start), float(end)) for start, end in label["speech"])
    words = [Word(str(text), float(start), float(end)) for text, start, end in label.get("words", ())]
    if not words:
        texts = label.get("text") or [UNKNOWN] * len(speech)
        words = [
            word for text, (start, end) in zip(texts, speech, strict=True) for word in shared(text.split(), start, end)
        ]
    played = _pcm(folder / label["played"]) if "played" in label else b""
    expects = label.get("expects", "free")
    condition = str(label.get("condition", "all"))
    pcm = _pcm(folder / name)
    groups = (label["group"],) if "group" in label else ("speech", "turn") if speech else ("noise",)
    for group in groups:
        yield Recording(label.get("name", name), group, condition, pcm, speech, tuple(words), played, expects)


def _pcm(path: Path) -> bytes:
    clip = read_wav(path)
    if clip.format == PCM_8K:
        return clip.data
    size = clip.format.frame_bytes
    whole = clip.data + clip.format.silence(20)[: -len(clip.data) % size]
    converter = Converter(clip.format, PCM_8K)
    return b"".join(converter.process(whole[at : at + size]) for at in range(0, len(whole), size))


def write(recordings: Iterable[Recording], folder: Path) -> None:
    """As :func:`read` takes it, to listen to or to run against other systems."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {}
    for recording in recordings:
        name = f"{recording.group} {recording.condition} {recording.name}.wav".replace(" ", "-").replace("%", "pct")
        write_wav(folder / name, Clip(PCM_8K, recording.pcm))
        label: dict[str, Any] = {
            "name": recording.name,
            "group": recording.group,
            "condition": recording.condition,
            "speech": recording.speech,
            "words": [(word.text, word.start, word.end) for word in recording.words],
            "expects": recording.expects,
        }
        if recording.played:
            label["played"] = f"agent-{name}"
            write_wav(folder / label["played"], Clip(PCM_8K, recording.played))
        labels[name] = label
    (folder / "labels.json").write_text(json.dumps(labels, indent=1))
