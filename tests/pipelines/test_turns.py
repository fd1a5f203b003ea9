from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.endpointing import Endpointing
from pipelines.parts import Transcript
from pipelines.turn_events import (
    Interrupted,
    PauseAgent,
    ResumeAgent,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
    TurnLikely,
    TurnUnlikely,
)
from pipelines.turns import TurnMachine, TurnSettings
from tests.pipelines.scene import Scene

DEFAULT = TurnSettings()
VAD = TurnSettings(by_words=False)
STUBBORN = TurnSettings(interruptions=False)
NO_RESUME = TurnSettings(resume=False)
TWO_WORDS = TurnSettings(min_words=2)

STARTS = "60 started@0"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("silence 1000", [], id="silence is nothing"),
        pytest.param("speech 60", [STARTS], id="three voiced frames begin speech"),
        pytest.param("frames 1.1.1", ["100 started@0"], id="three of five"),
        pytest.param("frames 1..1..1..1..1..1", [], id="two of five do not"),
        pytest.param("frames 11.......11.......1", [], id="clicks"),
        pytest.param("silence 400; speech 60", ["460 started@400"], id="the onset is where the voice began"),
        pytest.param("frames ...1.11", ["140 started@60"], id="the onset is that of the first voiced frame"),
        pytest.param(
            "speech 300; silence 220; says hello; silence 480",
            [STARTS, "500 paused", "800 turn(hello) of 300, known at 520"],
            id="a turn ends minDelay after the last voice",
        ),
        pytest.param(
            "speech 300; silence 700; says hello; silence 100",
            [STARTS, "500 paused", "1000 turn(hello) of 300, known at 1000"],
            id="and when the transcript comes, where it comes late",
        ),
        pytest.param(
            "speech 300; silence 3500", [STARTS, "500 paused", "2700 deaf"], id="without one it is dropped after 2.4 s"
        ),
        pytest.param(
            "speech 300; gone 220; says hello; gone 480",
            [STARTS, "500 paused", "800 turn(hello) of 300, known at 520"],
            id="no frames while silent",
        ),
        pytest.param("speech 300; gone 3500", [STARTS, "500 paused", "2700 deaf"], id="no frames, deaf"),
        pytest.param(
            "speech 300; silence 220; says hello; silence 80; speech 200; silence 220; says hello you; silence 480",
            [STARTS, "500 paused", "640 resumed", "1000 paused", "1300 turn(hello you) of 800, known at 1020"],
            id="who goes on has not ended",
        ),
        pytest.param(
            "speech 300; silence 300; speech 200; says hello; silence 500; silence 2600",
            [STARTS, "500 paused", "640 resumed", "1000 paused", "3200 turn(hello) of 800, known at 3200"],
            id="words of the first part alone count after 2.4 s",
        ),
        pytest.param(
            "speech 1000; silence 300; speech 400; silence 220; says@1200 hello; silence 300; says@1900 hello you",
            ["60 started@0", "1200 paused", "1340 resumed", "1900 paused",
             "2220 turn(hello you) of 1700, known at 2220"],
            id="a stale transcript does not end a turn",
        ),
        pytest.param(
            "speech 1000; silence 1400; speech 400; silence 220; says@1700 hello you; silence 280",
            ["60 started@0", "1200 paused", "2440 resumed", "3000 paused",
             "3300 turn(hello you) of 2800, known at 3020"],
            id="recognisers may leave out pauses",
        ),
        pytest.param(
            "speech 700; says#0@600 hello; speech 300; silence 220; says#1@700 you; silence 280",
            ["60 started@0", "1200 paused", "1500 turn(hello you) of 1000, known at 1220"],
            id="segments together cover what was said",
        ),
        pytest.param(
            "speech 300; silence 220; says and you; says#2 at nine; says#1 on monday; silence 280",
            [STARTS, "500 paused", "800 turn(and you on monday at nine) of 300, known at 520"],
            id="segments are joined in their order",
        ),
        pytest.param(
            "speech 300; silence 220; says hello; says hello you; silence 280",
            [STARTS, "500 paused", "800 turn(hello you) of 300, known at 520"],
            id="a later transcript of a segment replaces the earlier one",
        ),
        pytest.param(
            "speech 300; silence 220; says; silence 10",
            [STARTS, "500 paused", "520 dropped"],
            id="no words in it: a noise",
        ),
        pytest.param("speech 100; silence 400", [STARTS, "400 dropped"], id="a cough is dropped unasked"),
        pytest.param("speech 140; gone 400", [STARTS, "440 dropped"], id="a cough without frames after it"),
        pytest.param("speech 160; silence 300", [STARTS, "360 paused"], id="a short word is no cough"),
        pytest.param(
            "speech 300; silence 220; says hello; frames ..1..1..1.; silence 300",
            [STARTS, "500 paused", "800 turn(hello) of 300, known at 520"],
            id="clicks after speech do not put its end off",
        ),
        pytest.param(
            "speech 300; silence 220; says hello; silence 300\n"
            "speech 300; says hello; silence 220; says#1 you; gone 300",
            [STARTS, "500 paused", "800 turn(hello) of 300, known at 520",
             "880 started@820", "1320 paused", "1620 turn(you) of 1120, known at 1340"],
            id="words of the turn before are not said again",
        ),
        pytest.param("says hello; silence 3000", [], id="words that nobody spoke"),
        pytest.param("speech 300; close; says hello; silence 4000; speech 400", [STARTS], id="closing"),
    ],
)  # fmt: skip
def test_turns(script: str, expected: list[str]) -> None:
    assert Scene().play(script) == expected


PAUSES = [STARTS, "60 agent-pauses@0"]


@pytest.mark.parametrize(
    ("settings", "script", "expected"),
    [
        pytest.param(
            DEFAULT, "agent; speech 900; silence 220; says stop; silence 300",
            [*PAUSES, "620 interrupted@0", "1100 paused", "1400 turn(stop) of 900, known at 1120"],
            id="speech over the agent pauses it at once, and enough of it interrupts",
        ),
        pytest.param(
            DEFAULT, "agent; speech 700; silence 220; says uh-huh okay; silence 300",
            [*PAUSES, "620 interrupted@0", "900 paused", "920 dropped"],
            id="a long backchannel turns out to be nothing",
        ),
        pytest.param(
            DEFAULT, "agent; speech 300; says no stop; speech 200",
            [*PAUSES, "400 interrupted@0"],
            id="half as much does with words that are known already",
        ),
        pytest.param(
            DEFAULT, "agent; speech 300; says uh-huh; speech 300; silence 220; says uh-huh",
            [*PAUSES, "620 agent-resumes", "800 paused", "820 dropped"],
            id="unless they are a backchannel",
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; silence 220; says stop; silence 300",
            [*PAUSES, "440 paused", "460 interrupted@0", "740 turn(stop) of 240, known at 460"],
            id="a short word interrupts by its words",
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; silence 220; says Uh-huh.; silence 300",
            [*PAUSES, "440 paused", "460 agent-resumes", "460 dropped"],
            id="a backchannel does not",
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; silence 220; says; silence 300",
            [*PAUSES, "440 paused", "460 agent-resumes", "460 dropped"],
            id="a noise does not",
        ),
        pytest.param(
            DEFAULT, "agent; speech 100; silence 400", [*PAUSES, "400 agent-resumes", "400 dropped"], id="nor a cough"
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; gone 3400",
            [*PAUSES, "440 paused", "620 agent-resumes", "2640 dropped"],
            id="without words it was none after the timeout",
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; gone 600; says no stop that; gone 600",
            [*PAUSES, "440 paused", "620 agent-resumes", "840 interrupted@0",
             "840 turn(no stop that) of 240, known at 840"],
            id="unless they come late",
        ),
        pytest.param(
            DEFAULT, "agent; speech 440; silence 240; speech 440",
            [*PAUSES, "620 interrupted@0", "640 paused", "720 resumed"],
            id="two short ones are enough together",
        ),
        pytest.param(
            VAD, "agent; speech 240; silence 220; says stop; silence 300",
            [*PAUSES, "440 paused", "460 agent-resumes", "460 dropped"],
            id="vad: words do not count",
        ),
        pytest.param(
            VAD, "agent; speech 400; silence 200", [*PAUSES, "400 interrupted@0", "600 paused"], id="vad: duration does"
        ),
        pytest.param(
            TWO_WORDS, "agent; speech 900; silence 220; says stop; silence 300",
            [*PAUSES, "620 agent-resumes", "1100 paused", "1120 dropped"],
            id="min_words: one is not enough, however long",
        ),
        pytest.param(
            TWO_WORDS, "agent; speech 900; silence 220; says stop it; silence 280",
            [*PAUSES, "620 agent-resumes", "1100 paused", "1120 interrupted@0",
             "1400 turn(stop it) of 900, known at 1120"],
            id="min_words: two are",
        ),
        pytest.param(
            NO_RESUME, "agent; speech 100; silence 400", [*PAUSES, "400 interrupted@0", "400 dropped"],
            id="resume=false: whatever it was, the agent stays silent",
        ),
        pytest.param(
            NO_RESUME, "agent; speech 240; silence 220; says mm-hmm; silence 300",
            [*PAUSES, "440 paused", "460 interrupted@0", "740 turn(mm-hmm) of 240, known at 460"],
            id="resume=false: a backchannel is a turn",
        ),
        pytest.param(
            STUBBORN, "agent; speech 500; silence 220; says stop; silence 300",
            [STARTS, "700 paused", "1000 turn(stop) of 500, known at 720"],
            id="interruptions disabled: it is a turn all the same",
        ),
        pytest.param(
            DEFAULT, "protected; speech 500; silence 220; says stop; silence 300",
            [STARTS, "700 paused", "1000 turn(stop) of 500, known at 720"],
            id="a protected floor",
        ),
        pytest.param(
            DEFAULT, "agent; quiet; speech 500; silence 220; says stop; silence 300",
            [STARTS, "700 paused", "1000 turn(stop) of 500, known at 720"],
            id="nobody to interrupt",
        ),
        pytest.param(
            DEFAULT, "agent; speech 240; quiet; silence 220; says hm; silence 300",
            [*PAUSES, "440 paused", "740 turn(hm) of 240, known at 460"],
            id="the agent had ended meanwhile: what was said is a turn",
        ),
        pytest.param(DEFAULT, "agent; speech 200; close; speech 400; gone 4000", PAUSES, id="closing decides nothing"),
        pytest.param(
            DEFAULT, "agent; speech 100; silence 400; speech 100; silence 400",
            [*PAUSES, "400 agent-resumes", "400 dropped", "560 started@500", "560 agent-pauses@500",
             "900 agent-resumes", "900 dropped"],
            id="each cough is judged by itself",
        ),
    ],
)  # fmt: skip
def test_barge_ins(settings: TurnSettings, script: str, expected: list[str]) -> None:
    assert Scene(settings).play(script) == expected


def test_who_is_speaking_and_whether_it_is_decided() -> None:
    scene = Scene()
    scene.play("agent; silence 100")
    assert not scene.machine.caller_speaking
    scene.play("speech 60")
    assert (scene.machine.caller_speaking, scene.machine.undecided) == (True, True)
    scene.play("silence 400")
    assert (scene.machine.caller_speaking, scene.machine.undecided) == (False, False)
    scene.play("speech 60; close")
    assert (scene.machine.caller_speaking, scene.machine.undecided) == (False, False)


def test_the_delays_are_settings() -> None:
    scene = Scene(TurnSettings(endpointing=Endpointing(1.0, 1.6)))
    assert scene.play("speech 300; silence 220; says hello; silence 800")[-1].startswith("1300 turn")
    scene = Scene(TurnSettings(endpointing=Endpointing(1.0, 1.6)))
    assert scene.play("speech 300; silence 220; says so maybe; silence 1400")[-1].startswith("1600 turn")
    scene = Scene(TurnSettings(endpointing=Endpointing(1.0, 1.6)))
    assert scene.play("speech 300; silence 220; says it is open; silence 1800")[-1].startswith("1900 turn")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            "speech 300; silence 220; says hello; silence 480",
            [STARTS, "500 paused", "520 likely(hello)", "800 turn(hello) of 300, known at 520"],
            id="a likely turn is told before it is over",
        ),
        pytest.param(
            "speech 300; silence 220; says so maybe; silence 900",
            [STARTS, "500 paused", "1300 turn(so maybe) of 300, known at 520"],
            id="one that nobody can tell is not",
        ),
        pytest.param(
            "speech 300; silence 220; says it is open; silence 1400",
            [STARTS, "500 paused", "1800 turn(it is open) of 300, known at 520"],
            id="who is in the middle of something has the longest",
        ),
        pytest.param(
            "speech 300; silence 220; says so maybe; thinks 90; silence 400",
            [STARTS, "500 paused", "520 likely(so maybe)", "800 turn(so maybe) of 300, known at 520"],
            id="the melody shortens the wait",
        ),
        pytest.param(
            "speech 300; silence 220; says hello; thinks 10; silence 900",
            [STARTS, "500 paused", "520 likely(hello)", "1300 turn(hello) of 300, known at 520"],
            id="and makes it longer",
        ),
        pytest.param(
            "speech 300; silence 220; says it is open; thinks 99; silence 1400",
            [STARTS, "500 paused", "1800 turn(it is open) of 300, known at 520"],
            id="but an open text it does not close",
        ),
        pytest.param(
            "speech 300; silence 220; says hello; speech 200; silence 220; says hello you; silence 480",
            [STARTS, "500 paused", "520 likely(hello)", "560 resumed", "920 paused", "940 likely(hello you)",
             "1220 turn(hello you) of 720, known at 940"],
            id="who goes on makes the guess void",
        ),
        pytest.param(
            "agent; speech 900; silence 220; says hello; silence 480",
            [STARTS, "60 agent-pauses@0", "620 interrupted@0", "1100 paused", "1120 likely(hello)",
             "1400 turn(hello) of 900, known at 1120"],
            id="after an interruption, too",
        ),
    ],
)  # fmt: skip
def test_the_ladder(script: str, expected: list[str]) -> None:
    assert Scene(guessing=True).play(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(
            "speech 300; silence 220; likely so maybe; silence 300; over so maybe",
            [STARTS, "500 paused", "520 likely(so maybe)", "820 turn(so maybe) of 300, known at 820"],
            id="the recogniser holds for likely what the words leave uncertain, and confirms it",
        ),
        pytest.param(
            "speech 300; silence 220; likely it is open; silence 300; over it is open",
            [STARTS, "500 paused", "520 likely(it is open)", "820 turn(it is open) of 300, known at 820"],
            id="and what they hold for open: it hears the melody",
        ),
        pytest.param(
            "speech 300; silence 220; likely so maybe; silence 900",
            [STARTS, "500 paused", "520 likely(so maybe)", "1300 turn(so maybe) of 300, known at 520"],
            id="what is likely ends no turn sooner",
        ),
        pytest.param(
            "speech 300; silence 120; likely@300 so maybe; silence 700",
            [STARTS, "500 paused", "500 likely(so maybe)"],
            id="likely before the pause is one",
        ),
        pytest.param(
            "speech 300; silence 220; likely so maybe; silence 80; says so maybe; silence 180; says so maybe; "
            "silence 520",
            [STARTS, "500 paused", "520 likely(so maybe)", "600 unlikely", "1300 turn(so maybe) of 300, known at 780"],
            id="it takes it back: what it tells next counts",
        ),
        pytest.param(
            "speech 300; silence 220; likely hello; silence 80; says hello; silence 400",
            [STARTS, "500 paused", "520 likely(hello)", "600 unlikely"],
            id="after which the words alone end nothing",
        ),
        pytest.param(
            "speech 300; silence 220; likely hello; silence 80; says hello; silence 80; says hello; silence 40; "
            "likely hello; silence 80",
            [STARTS, "500 paused", "520 likely(hello)", "600 unlikely", "720 likely(hello)",
             "800 turn(hello) of 300, known at 720"],
            id="and says it again: the words alone did not",
        ),
        pytest.param(
            "speech 300; silence 220; likely so maybe; silence 80; likely so maybe you; silence 80; over so maybe you",
            [STARTS, "500 paused", "520 likely(so maybe)", "600 unlikely", "600 likely(so maybe you)",
             "680 turn(so maybe you) of 300, known at 680"],
            id="other words make the guess void, and another is made",
        ),
        pytest.param(
            "speech 300; silence 220; says hello; silence 60; says hello open; silence 40",
            [STARTS, "500 paused", "520 likely(hello)", "580 unlikely"],
            id="whoever guessed",
        ),
        pytest.param(
            "speech 300; silence 220; likely so maybe; speech 100; likely so maybe; says so maybe; silence 220; "
            "likely so maybe you; silence 40; over so maybe you",
            [STARTS, "500 paused", "520 likely(so maybe)", "560 resumed", "820 paused", "840 likely(so maybe you)",
             "880 turn(so maybe you) of 620, known at 880"],
            id="the voice activity is quicker",
        ),
        pytest.param(
            "protected; speech 300; silence 220; likely so maybe; silence 40; quiet; silence 40; over so maybe",
            [STARTS, "500 paused", "580 likely(so maybe)", "600 turn(so maybe) of 300, known at 600"],
            id="nothing is prepared while the agent has the floor",
        ),
    ],
)  # fmt: skip
def test_what_the_recogniser_holds_for_likely(script: str, expected: list[str]) -> None:
    assert Scene(guessing=True).play(script) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("silence 300; commit", ["300 nothing"], id="of nothing"),
        pytest.param("speech 100; commit", [STARTS, "100 nothing"], id="of a cough"),
        pytest.param(
            "speech 600; commit; silence 100; says hello",
            [STARTS, "600 paused", "700 turn(hello) of 600, known at 700"],
            id="it ends with its transcript",
        ),
        pytest.param(
            "speech 600; silence 220; says open; silence 100; commit",
            [STARTS, "800 paused", "920 turn(open) of 600, known at 820"],
            id="whatever its words, and at once where they are known",
        ),
        pytest.param(
            "speech 600; says@600 hello; commit",
            [STARTS, "600 paused", "600 turn(hello) of 600, known at 600"],
            id="at once with a recogniser that keeps up",
        ),
        pytest.param(
            "speech 600; commit; speech 400; says hello; speech 100",
            [STARTS, "600 paused", "1000 turn(hello) of 600, known at 1000", "1060 started@1000"],
            id="who goes on begins another one",
        ),
        pytest.param(
            "agent; speech 300; commit; silence 100; says wait",
            [STARTS, "60 agent-pauses@0", "300 interrupted@0", "300 paused", "400 turn(wait) of 300, known at 400"],
            id="over the agent it is an interruption",
        ),
        pytest.param(
            "speech 600; commit; silence 2500", [STARTS, "600 paused", "3000 deaf"], id="there may be no transcript"
        ),
        pytest.param(
            "speech 600; commit; says hello; silence 100; speech 600; silence 220; says you; silence 240",
            [
                STARTS, "600 paused", "600 turn(hello) of 600, known at 600",
                "760 started@700", "1500 paused",
            ],
            id="the next one ends as turns do",
        ),
    ],
)  # fmt: skip
def test_a_turn_that_somebody_else_ends(script: str, expected: list[str]) -> None:
    assert Scene().play(script)[: len(expected)] == expected


def test_a_turn_without_end_is_cut() -> None:
    scene = Scene(TurnSettings(longest=2.0))
    told = scene.play("speech 2000; says and so on; speech 1000; silence 600")
    assert told[:3] == [STARTS, "2000 paused", "2000 cut turn(and so on) of 2000, known at 2000"]
    assert "2060 started@2000" in told


# What holds whatever happens

_frames = st.lists(st.booleans(), min_size=1, max_size=40)
_actions = st.one_of(
    st.tuples(st.just("hear"), _frames),
    st.tuples(st.just("hear"), st.integers(3, 60).map(lambda n: [True] * n)),
    st.tuples(st.just("hear"), st.integers(3, 60).map(lambda n: [False] * n)),
    st.tuples(st.just("tick"), st.integers(1, 200)),
    st.tuples(
        st.just("says"),
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["", "hello you", "stop", "uh-huh"]),
            st.sampled_from([0, 0.3, 2]),
            st.sampled_from(["", "likely", "over"]),
        ),
    ),
    st.tuples(st.just("floor"), st.sampled_from([(True, False), (True, True), (False, False)])),
)
_settings = st.builds(
    TurnSettings,
    interruptions=st.booleans(),
    by_words=st.booleans(),
    min_words=st.integers(0, 2),
    resume=st.booleans(),
    false_interruption_timeout=st.sampled_from([0.0, 1.0, 5.0]),
)


class _Watch:
    """Follows a machine's events, and complains of those that do not fit together."""

    def __init__(self, machine: TurnMachine) -> None:
        self.machine = machine
        self.speech = False
        self.asked = False
        self.paused = False
        self.doubted = False  # the agent went on, and words that come late may still interrupt it
        self.closed = False
        self.guess: str | None = None

    def floor(self, agent: bool, protected: bool) -> None:
        self.machine.floor(agent, protected=protected)
        self.paused &= agent

    def close(self) -> None:
        self.machine.close()
        self.closed = True

    def see(self, events: Sequence[TurnEvent]) -> None:
        assert not (events and self.closed)
        for event in events:
            match event:
                case SpeechStarted():
                    assert not self.speech
                    self.speech, self.asked, self.doubted = True, False, False
                case SpeechPaused():
                    assert self.speech
                    assert not self.asked
                    self.asked = True
                case SpeechResumed():
                    assert self.speech
                    assert self.asked
                    self.asked = False
                    self.guess = None
                case TurnEnded(text, ended, transcribed, decided):
                    self.guess = None
                    assert self.speech
                    assert text.strip()
                    assert ended <= transcribed <= decided
                    self.speech = False
                case SpeechDropped():
                    assert self.speech
                    self.speech, self.guess = False, None
                case TurnLikely(text):
                    assert self.speech
                    assert self.asked
                    assert text.strip()
                    assert self.guess is None
                    self.guess = text
                case TurnUnlikely():
                    assert self.speech
                    assert self.guess is not None
                    self.guess = None
                case PauseAgent():
                    assert not self.paused
                    assert self.speech
                    self.paused = True
                case ResumeAgent():
                    assert self.paused
                    self.paused, self.doubted = False, True
                case Interrupted():
                    assert self.paused or self.doubted
                    self.paused = self.doubted = False
        if not self.closed:
            assert self.machine.caller_speaking == self.speech
            assert self.machine.undecided == self.paused


@given(settings=_settings, actions=st.lists(_actions, max_size=30), close=st.booleans())
@example(
    settings=TurnSettings(false_interruption_timeout=0.0),
    actions=[("floor", (True, False)), ("hear", [True] * 8), ("hear", [False] * 10), ("says", (0, "hello you", 0, ""))],
    close=False,
)
def test_whatever_happens_it_holds_together(
    settings: TurnSettings, actions: list[tuple[str, object]], close: bool
) -> None:
    watch = _Watch(TurnMachine(settings))
    machine, frame = watch.machine, 0

    def run(actions: list[tuple[str, object]]) -> None:
        nonlocal frame
        for action in actions:
            match action:
                case ("hear", [*frames]):
                    for voice in frames:
                        frame += 1
                        watch.see(machine.hear(bool(voice), frame * 0.02))
                case ("tick", int(count)):
                    for _ in range(count):
                        frame += 1
                        watch.see(machine.tick(frame * 0.02))
                case ("says", (int(segment), str(text), float() | int() as seconds, str(opinion))):
                    opinions = {opinion: True} if opinion else {}
                    transcript = Transcript(segment, text, False, float(seconds), **opinions)
                    watch.see(machine.transcript(transcript, frame * 0.02))
                case ("floor", (bool(agent), bool(protected))):
                    watch.floor(agent, protected)
                case _:
                    raise AssertionError(action)

    run(actions)
    if close:
        watch.close()
        run(actions)
    run([("tick", 300)])
    assert not machine.caller_speaking, "silence for ever ends everything"
    assert not machine.undecided
