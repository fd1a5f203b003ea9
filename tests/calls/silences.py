"""For how long a caller hears nothing, and what is said so that he does not."""

from __future__ import annotations

from jambonz.simulator.report import CallReport
from pipelines.phrasebook import phrases
from tests.simulators.codeword import plain_words

PATIENCE = [plain_words(text) for text in (phrases("en").one_moment, phrases("en").still_here)]


def longest_silence(report: CallReport, since: float) -> float:
    """Of both, from ``since`` to the last that the agent says."""
    spans = sorted(
        [(span.start, span.end) for span in report.ear.utterances()]
        + [(r.speech_started, r.speech_ended) for r in report.steps if r.speech_started and r.speech_ended]
    )
    ends = [since, *(end for _, end in spans if end > since)]
    begins = [start for start, _ in spans if start > since]
    return max((b - a for a, b in zip(ends, begins, strict=False)), default=0.0)


def without_patience(words: list[str]) -> list[str]:
    """What was said besides asking the caller for a moment."""
    kept: list[str] = []
    while words:
        patience = next((said for said in PATIENCE if words[: len(said)] == said), None)
        if patience is not None:
            words = words[len(patience) :]
        else:
            kept.append(words[0])
            words = words[1:]
    return kept
