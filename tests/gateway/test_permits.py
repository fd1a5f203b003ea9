"""Whom an agent may ring: every way of writing a number comes to the same answer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.permits import NotPermitted, permitted
from pipelines.agent import AgentOptions

HOME = "442079460000"
ANYWHERE = {"outboundCallFilter": r"^\+"}


def options(**given: Any) -> AgentOptions:
    return AgentOptions.model_validate(given)


@pytest.mark.parametrize(
    ("called", "given", "digits"),
    [
        ("+442079460123", {}, "442079460123"),
        ("442079460123", {}, "442079460123"),
        ("02079460123", {}, "442079460123"),
        ("+44 (20) 7946-0123", {}, "442079460123"),
        ("+447911123456", {}, "447911123456"),
        ("+12025550123", ANYWHERE, "12025550123"),
        ("+12025550123", ANYWHERE | {"outbound": {"regions": ["GB", "US"]}}, "12025550123"),
        ("02079460123", {"outboundCallFilter": "^020"}, "442079460123"),
        ("+442079460123", {"outboundCallFilter": "^020"}, "442079460123"),
        ("+449098790000", {"outboundCallFilter": ".", "outbound": {"anyNumber": True}}, "449098790000"),
        ("+881612345678", ANYWHERE | {"outbound": {"anyNumber": True}}, "881612345678"),
        ("+447700900123", ANYWHERE | {"outbound": {"anyNumber": True}}, "447700900123"),
    ],
)
def test_who_may_be_rung(called: str, given: dict[str, Any], digits: str) -> None:
    assert permitted(called, options(**given), home=HOME) == digits


@pytest.mark.parametrize(
    ("called", "given", "why"),
    [
        ("", {}, "telephone number"),
        ("ann", {}, "telephone number"),
        ("sip:ann@example.com", {}, "telephone number"),
        ("+442079460123\n", {}, None),
        ("+44２０７９４６０１２３", {}, "telephone number"),
        ("999", {}, "code of a country|too few"),
        ("+999", {}, "code of a country"),
        ("112", {}, "too few"),
        ("+44112", {}, "too few"),
        ("+4420794601234567", {}, "too few digits, or too many"),
        ("+12025550123", {}, "outboundCallFilter"),
        ("0012025550123", {}, "code of a country"),
        ("+442079460123", {"outboundCallFilter": "^030"}, "outboundCallFilter"),
        ("+12025550123", ANYWHERE | {"outbound": {"regions": ["GB"]}}, "is in US"),
        ("+449098790000", {"outboundCallFilter": "."}, "premium-rate"),
        ("09098790000", {"outboundCallFilter": "."}, "premium-rate"),
        ("+19005551234", ANYWHERE, "premium-rate"),
        ("+448432345678", {"outboundCallFilter": "."}, "shared-cost|premium-rate"),
        ("+447010123456", {"outboundCallFilter": "."}, "personal number|none that its country"),
        ("+881612345678", ANYWHERE, "satellite"),
        ("+97912345678", ANYWHERE, "satellite|code of a country|too few"),
        ("+447700900123", {}, "none that its country gives out"),
    ],
)
def test_who_may_not(called: str, given: dict[str, Any], why: str | None) -> None:
    if why is None:
        assert permitted(called, options(**given), home=HOME) == "442079460123", "white space is a separator"
        return
    with pytest.raises(NotPermitted, match=why):
        permitted(called, options(**given), home=HOME)


def test_home_is_where_the_caller_is() -> None:
    """A filter of one country lets nobody of another in who is written as at home."""
    german = options(outboundCallFilter="^0")
    assert permitted("03012345678", german, home="493098765432") == "493012345678"
    with pytest.raises(NotPermitted, match="outboundCallFilter"):
        permitted("+493012345678", german, home=HOME)
    with pytest.raises(NotPermitted):
        permitted("03012345678", german, home=None)
    with pytest.raises(NotPermitted):
        permitted("03012345678", options(), home="493098765432")
