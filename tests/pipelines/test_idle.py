from __future__ import annotations

import pytest

from pipelines.idle import IdleClock, IdleFarewell, IdlePrompt


def test_the_ladder() -> None:
    clock = IdleClock(5.0, ["There?", "Still there?"], "Bye.")
    said = []
    clock.quiet(10.0)
    for second in range(10, 40):
        prompt = clock.tick(float(second))
        if prompt is not None:
            said.append((second, prompt))
            clock.quiet(second + 2.0)  # it takes two seconds to say
    assert said[:3] == [(15, IdlePrompt("There?")), (22, IdlePrompt("Still there?")), (29, IdleFarewell("Bye."))]


def test_it_waits_while_a_prompt_is_said() -> None:
    clock = IdleClock(5.0, ["There?"], "Bye.")
    clock.quiet(0.0)
    assert clock.tick(5.0) == IdlePrompt("There?")
    assert clock.tick(50.0) is None, "until it was heard"
    clock.quiet(50.0)
    assert clock.tick(54.9) is None
    assert clock.tick(55.0) == IdleFarewell("Bye.")


def test_quiet_begins_once() -> None:
    clock = IdleClock(5.0, [], "Bye.")
    clock.quiet(0.0)
    clock.quiet(4.0)
    assert clock.tick(5.0) == IdleFarewell("Bye.")


def test_somebody_speaks() -> None:
    clock = IdleClock(5.0, ["There?"], "Bye.")
    clock.quiet(0.0)
    clock.stop()
    assert clock.tick(100.0) is None
    clock.quiet(100.0)
    assert clock.tick(104.9) is None
    assert clock.tick(105.0) == IdlePrompt("There?")
    clock.stop()
    clock.quiet(110.0)
    assert clock.tick(115.0) == IdleFarewell("Bye."), "a noise does not start the ladder anew"


def test_what_the_caller_says_starts_it_anew() -> None:
    clock = IdleClock(5.0, ["There?"], "Bye.")
    clock.quiet(0.0)
    assert clock.tick(5.0) == IdlePrompt("There?")
    clock.reset()
    clock.quiet(6.0)
    assert clock.tick(11.0) == IdlePrompt("There?")


@pytest.mark.parametrize("prompts", [[], ["There?"]])
def test_without_a_timeout_it_waits_for_ever(prompts: list[str]) -> None:
    clock = IdleClock(None, prompts, "Bye.")
    clock.quiet(0.0)
    assert clock.tick(1e9) is None


def test_before_it_is_quiet_nothing_runs() -> None:
    assert IdleClock(0.1, ["There?"], "Bye.").tick(1e9) is None
