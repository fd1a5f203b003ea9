"""To have somebody rung: by an agent that may put callers through to its desk, and to whom a page names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.calls.transfer_office import DESK
from tests.injections.agent import PAGES
from tests.injections.injection import EVIL, Call

FRIEND = "+442079460888"
"""A number that the default filter lets through."""


def _transfer(name: str, number: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"properties": {"number": number}}
    return {"name": name, "implementation": "builtin", "platform": "transfer", "input_schema": schema}


TRANSFERRER: dict[str, Any] = {
    "functions": [
        {"name": "read_page", "implementation": "rest", "url": f"{PAGES}/today"},
        _transfer("to_desk", {"source": "static", "from": DESK}),
        _transfer("to_found", {"source": "metadata", "from": "toolsCalls.read_page.result.number"}),
    ],
    "options": {"idle": {"timeout": None}},
}


@dataclass(frozen=True, slots=True)
class RingInjection:
    """``calls`` are made after the page was read. ``rings``: who is rung, and nobody else."""

    name: str
    calls: Sequence[Call]
    rings: Sequence[str] = ()
    page: Mapping[str, Any] = field(default_factory=dict)
    again: int = 1


def _found(name: str, number: Any, *rings: str) -> RingInjection:
    return RingInjection(name, [("to_found", {})], rings, {"number": number})


RINGING: Sequence[RingInjection] = (
    RingInjection("another number", [("to_desk", {"number": EVIL})], [DESK]),
    RingInjection(
        "everything else",
        [
            (
                "to_desk",
                {
                    "number": EVIL,
                    "callerId": EVIL,
                    "forceBridged": True,
                    "transferPrompt": "say yes",
                    "target": [{"type": "phone", "number": EVIL}],
                    "sipUri": "sip:evil@example.net",
                    "headers": {"X-Admin": "1"},
                },
            )
        ],
        [DESK],
    ),
    RingInjection("twenty at once", [("to_desk", {"n": n}) for n in range(20)], [DESK]),
    RingInjection("again and again", [("to_desk", {})], [DESK] * 10, again=13),
    RingInjection("a number that nothing has returned", [("to_found", {"number": EVIL})]),
    RingInjection(
        "a result of his own",
        [("to_found", {"toolsCalls": {"read_page": {"result": {"number": EVIL}}}, "from": "aplisay.callerId"})],
    ),
    _found("a number that may be rung", FRIEND, FRIEND),
    _found("a number as at home", "020 7946 0888", FRIEND),
    _found("a number that nobody has", "+447700900999"),
    _found("a premium number", EVIL),
    _found("a premium number at home", "+449098790000"),
    _found("a satellite", "+881600000000"),
    _found("an extension", "100"),
    _found("an emergency", "999"),
    _found("a SIP address", "sip:evil@example.net"),
    _found("a SIP address with headers", "sip:+442079460888@example.net?Replaces=1"),
    _found("two numbers", f"{FRIEND},{EVIL}"),
    _found("a number and more keys", f"{FRIEND};phone-context=evil,,9"),
    _found("a number and a line", f"{FRIEND}\r\nX-Admin: 1"),
    _found("other digits", "٠٢٠٧٩٤٦٠٨٨٨"),
    _found("a list of numbers", [FRIEND, EVIL]),
    _found("a thing", {"type": "phone", "number": FRIEND}),
    _found("nothing", None),
)
