"""What ships has to keep to, on the bench's own corpus."""

from __future__ import annotations

from collections.abc import Iterator

from tests.turnbench.measure import SHIPS, Results
from tests.turnbench.onsets import percentile_ms

ONSET_MS = {50: 140.0, 95: 280.0}
SILENT = ("noise, line noise", "noise, tones", "echo, ERL 25", "echo, ERL 35", "echo, ERL 45")
"""Here nothing starts."""

MODERATE = ("ambience -45", "music -45", "keyboard -45", "doors -45")
MODERATE_PER_MINUTE = 0.5
END_P50_MS = 450.0
CUT_RATES = {
    ("anywhere", 500): 0.1,
    ("anywhere", 1000): 0.4,
    **{("number asked for", ms): 0.0 for ms in (300, 500, 700, 1000, 1200)},
}
FALSE_INTERRUPTION_MS = 600.0


def broken(results: Results) -> Iterator[str]:
    """A sentence for each figure that is out of bounds."""
    clean = results.onsets[SHIPS]["speech, clean"]
    for percent, bound in ONSET_MS.items():
        onset = percentile_ms(clean.delays, percent)
        if not onset <= bound:
            yield f"clean speech is noticed after {onset:.0f} ms (p{percent}); at most {bound:g}"
    if clean.missed or clean.already_open:
        yield f"of {clean.count} clean sentences {clean.missed} were missed, {clean.already_open} began too early"
    false = results.false_starts[SHIPS]
    for condition in SILENT:
        if false[condition].starts:
            yield f"{condition} starts {false[condition].per_minute:.1f} times a minute; it never may"
    moderate = [false[f"noise, {kind}"] for kind in MODERATE]
    rate = 60 * sum(one.starts for one in moderate) / sum(one.seconds for one in moderate)
    if rate >= MODERATE_PER_MINUTE:
        yield f"moderate noise starts {rate:.2f} times a minute; less than {MODERATE_PER_MINUTE:g} may"
    ends = results.ends[SHIPS]
    end = percentile_ms(ends["clean"].delays, 50)
    if not end <= END_P50_MS:
        yield f"the end of a sentence is decided {end:.0f} ms after it (p50); at most {END_P50_MS:g}"
    spoilt = ends["clean"].cut_in_speech + ends["clean"].never
    if spoilt > 0.03 * ends["clean"].turns:
        yield f"of {ends['clean'].turns} fluent sentences {spoilt} were cut or never ended; at most 3 % may"
    for (condition, pause), bound in CUT_RATES.items():
        cut = ends[condition].cut_rate(pause)
        if not cut <= bound:
            yield f"pauses of {pause} ms ({condition}) are cut in {cut:.0%}; at most {bound:.0%} may"
    for kind in ("backchannels", "coughs", "doors"):
        overs = results.overs[kind]
        longest = 1000 * max(overs.pauses, default=0.0)
        if longest > FALSE_INTERRUPTION_MS:
            yield f"{kind} silenced the agent for {longest:.0f} ms; at most {FALSE_INTERRUPTION_MS:g}"
        if overs.taken > overs.count * 0.1:
            yield f"{overs.taken} of {overs.count} {kind} were taken for a turn; at most a tenth may be"
