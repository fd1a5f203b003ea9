"""Calls that Jambonz is to place: the body of ``POST /Accounts/{sid}/Calls``. Pure.

Jambonz rings, and fetches the application (the call hook) only once there is an answer: nothing that the far end's
network plays before that is heard by anybody. States come by the status hook, as of any call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jambonz import verbs
from jambonz.verbs import Target, VerbError

Body = dict[str, Any]

LONGEST_RING = 300


@dataclass(frozen=True, slots=True)
class Detection:
    """Jambonz's own answering-machine detection. It listens by a recogniser of ``vendor``, for which the account needs
    credentials: without them nothing is ever told. ``action_hook`` is told each finding, and is to be answered with
    nothing, for verbs would replace the call's."""

    action_hook: str
    vendor: str
    language: str
    words: int = 9
    """From so many words on a greeting is a machine's."""
    no_speech: float = 5.0
    decision: float = 15.0
    tone: float = 20.0
    completion: float = 2.0
    """Seconds: until it concludes that nobody speaks, that it cannot tell, that there is no tone, and of silence after
    a machine's greeting."""


def new_call(
    to: Target,
    *,
    from_: str,
    timeout: float,
    tag: Mapping[str, str],
    detection: Detection | None = None,
) -> Body:
    """All but its application. ``to`` is of :func:`jambonz.verbs.phone`, ``sip`` or ``user``. It rings for ``timeout``
    seconds. ``tag`` comes with each of its hooks, as ``customerData``. Raises :class:`VerbError` for what Jambonz would
    refuse or misread."""
    body: Body = {
        "from": verbs.printable(from_, "the caller's number"),
        "to": to,
        "timeout": _whole(timeout, "timeout", LONGEST_RING),
        "tag": verbs.tag(tag)["data"],
    }
    if detection is not None:
        body["amd"] = _detection(detection)
    return body


def _detection(wanted: Detection) -> Body:
    return {
        "actionHook": verbs.hook(wanted.action_hook, "the action hook of amd"),
        "thresholdWordCount": wanted.words,
        "timers": {
            "noSpeechTimeoutMs": round(wanted.no_speech * 1000),
            "decisionTimeoutMs": round(wanted.decision * 1000),
            "toneTimeoutMs": round(wanted.tone * 1000),
            "greetingCompletionTimeoutMs": round(wanted.completion * 1000),
        },
        "recognizer": {"vendor": wanted.vendor, "language": wanted.language},
    }


def _whole(seconds: float, what: str, most: int) -> int:
    """A feature server takes whole seconds, and answers all others with a 500."""
    if not (math.isfinite(seconds) and 0 < seconds <= most):
        raise VerbError(f"a new call's {what} must be more than 0 and at most {most} seconds, not {seconds}")
    return math.ceil(seconds)
