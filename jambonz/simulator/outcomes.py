"""What becomes of verbs that need others than the caller: scripts for those who are rung."""

from __future__ import annotations

from dataclasses import dataclass

from jambonz.simulator.caller import Step


@dataclass(frozen=True, slots=True)
class DialOutcome:
    """What becomes of a ``dial``. Who is rung answers (``completed``) after ``ring_seconds``, does ``steps`` as a
    caller would, and hangs up ``talk_seconds`` after them. Otherwise it is ``sip_status`` by then, which Jambonz calls
    ``call_status``: ``busy``, ``no-answer``, ``failed``."""

    call_status: str = "completed"
    sip_status: int = 200
    ring_seconds: float = 1.0
    talk_seconds: float = 5.0
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferOutcome:
    """What becomes of a ``sip:refer``: the answer to it (None: there is none, and the request is sent again and again),
    and the referred call's final status (None: no news of it).

    After a final 200 the far end hangs up; ``early``: it does so before it tells of it.
    """

    status: int | None = 202
    final: int | None = 200
    seconds: float = 1.0
    early: bool = False


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The scripted fates of verbs that need others than the caller. Lists are used up in order, the last one again
    and again."""

    dials: tuple[DialOutcome, ...] = (DialOutcome(),)
    refers: tuple[ReferOutcome, ...] = (ReferOutcome(),)
    sip_request_status: int = 200
    play_seconds: float = 3.0
    music_seconds: float = 60.0
    """How long the file of a ``dialMusic`` is."""
