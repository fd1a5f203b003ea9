"""``make bench-turns``: how soon speech is noticed, what is mistaken for it, and when a turn is taken to be over."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter

from tests.turnbench import labels, semantic
from tests.turnbench.bounds import broken
from tests.turnbench.corpus import QUICK, Corpus, Scale
from tests.turnbench.detectors import ears
from tests.turnbench.measure import measure
from tests.turnbench.recording import Recording
from tests.turnbench.report import as_json, report
from tests.turnbench.voices import voices


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.turnbench", description=__doc__)
    parser.add_argument("--corpus", type=Path, help="a folder of WAV files with labels, instead of the bench's own")
    parser.add_argument("--quick", action="store_true", help="a small corpus, to see that it works")
    parser.add_argument("--seed", type=int, default=1, help="of the bench's own corpus (1)")
    parser.add_argument(
        "--only", nargs="+", metavar="GROUP", help="speech, word, noise, echo, 'double talk', turn, over"
    )
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the corpus there, and measure nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    parser.add_argument("--check", action="store_true", help="exit 1 if what ships is out of its bounds")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    began = perf_counter()
    recordings: Iterable[Recording]
    try:
        if options.corpus:
            recordings = list(labels.read(options.corpus))
        else:
            recordings = Corpus(QUICK if options.quick else Scale(), options.seed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.only:
        recordings = (recording for recording in recordings if recording.group in options.only)
    if options.write:
        labels.write(recordings, options.write)
        return 0
    detectors = ears()
    judge = semantic.find()
    parts = [
        *detectors,
        *(["Smart Turn"] if judge else [f"no Smart Turn (it needs onnxruntime, and {semantic.WEIGHTS})"]),
    ]
    print(f"with {len(voices())} voices, {', '.join(parts)}", file=sys.stderr)
    results = measure(recordings, detectors, lambda group: print(f"  {group} ...", file=sys.stderr), judge)
    print(report(results))
    print(f"\n{results.seconds / 60:.0f} minutes of sound in {perf_counter() - began:.0f} s.")
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=1))
    complaints = list(broken(results)) if options.check else []
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
