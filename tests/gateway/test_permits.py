"""Whom an agent may ring: every way of writing a number comes to the same answer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.permits import NotPermitted, affordable, permitted, transferable
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
        (
            "+12025550123",
            ANYWHERE | {"outbound": {"regions": ["GB"]}},
            "outbound.regions: it is in US, and they are GB",
        ),
        ("+449098790000", {"outboundCallFilter": "."}, "premium-rate"),
        ("09098790000", {"outboundCallFilter": "."}, "premium-rate"),
        ("+19005551234", ANYWHERE, "premium-rate"),
        ("+448432345678", {"outboundCallFilter": "."}, "shared-cost|premium-rate"),
        ("+4918051234567", ANYWHERE, "shared-cost"),
        ("+447640123456", ANYWHERE, "a pager"),
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


TRANSFERS: dict[str, tuple[str, dict[str, Any], str | None, bool, str]] = {
    "as it stands in the definition": ("+12025550123", {}, HOME, True, "+12025550123"),
    "nobody's by the plan, in the definition": ("+15551234567", {}, HOME, True, "+15551234567"),
    "of the call": ("+442079460123", {}, HOME, False, "+442079460123"),
    "at home": ("02079460123", {}, HOME, False, "+442079460123"),
    "at home, of another country": ("03012345678", {}, "493098765432", True, "+493012345678"),
    "a filter without its plus": ("+442079460123", {"outboundCallFilter": "^44"}, HOME, False, "+442079460123"),
    "a filter as at home": ("+442079460123", {"outboundCallFilter": "^020"}, HOME, False, "+442079460123"),
    "dear, and meant": ("+449098790000", {"outbound": {"anyNumber": True}}, HOME, True, "+449098790000"),
    "an extension": ("2001", {}, HOME, True, "2001"),
    "an extension, of the call": ("2001", {"outboundCallFilter": "^2[0-9]{3}$"}, HOME, False, "2001"),
    "a short number, and meant": ("118118", {"outbound": {"anyNumber": True}}, HOME, True, "118118"),
    "whatever an exchange reads": ("118118", {}, None, True, "118118"),
    "a number at an exchange": ("02079460123", {}, None, True, "02079460123"),
    "a SIP address": ("sip:desk@example.com", {}, HOME, True, "sip:desk@example.com"),
    "a SIP address, of the call": ("sip:a@b.example", {"outboundCallFilter": "@b"}, HOME, False, "sip:a@b.example"),
}


@pytest.mark.parametrize("which", TRANSFERS)
def test_whom_a_transfer_rings(which: str) -> None:
    wanted, given, home, fixed, dialled = TRANSFERS[which]
    assert transferable(wanted, options(**given), home=home, fixed=fixed) == dialled


REFUSED: dict[str, tuple[str, dict[str, Any], str | None, bool, str]] = {
    "dear, in the definition": ("+449098790000", {}, HOME, True, "is a premium-rate number"),
    "dear, as at home": ("09098790000", {}, HOME, True, "is a premium-rate number"),
    "dear, and in the filter": ("+19005551234", ANYWHERE, HOME, True, "is a premium-rate number"),
    "a satellite": ("+881612345678", {}, HOME, True, "of a satellite"),
    "nobody's": ("+447700900123", {}, HOME, False, "none that its country gives out"),
    "not in the filter": ("+12025550123", {"outboundCallFilter": r"^\+44"}, HOME, True, "outboundCallFilter"),
    "of the call, abroad": ("+12025550123", {}, HOME, False, "outboundCallFilter"),
    "of the call, at home abroad": ("03012345678", {}, "493098765432", False, "outboundCallFilter"),
    "elsewhere": ("+12025550123", {"outbound": {"regions": ["GB"]}}, HOME, True, "outbound.regions"),
    "too short": ("+44112", {}, HOME, True, "too few digits"),
    "an emergency": ("999", {"outbound": {"anyNumber": True}}, HOME, True, "is an emergency number in GB"),
    "an emergency that begins with 0": ("000", {}, "61291234567", True, "is an emergency number in AU"),
    "a short number": ("118118", {}, HOME, True, "is a short number of the network in GB"),
    "an extension that the filter has not": ("2001", {"outboundCallFilter": "^3"}, HOME, True, "outboundCallFilter"),
    "an extension, of the call": ("2001", {}, HOME, False, "outboundCallFilter"),
    "few digits that are dear": ("901534", {}, "298201234", True, "is a premium-rate number"),
    "at an exchange, of the call": ("02079460123", {}, None, False, "has no country"),
    "a SIP address, of the call": ("sip:a@b.example", {}, HOME, False, "outboundCallFilter"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_whom_it_does_not(which: str) -> None:
    wanted, given, home, fixed, why = REFUSED[which]
    with pytest.raises(NotPermitted, match=why) as refused:
        transferable(wanted, options(**given), home=home, fixed=fixed)
    assert wanted.lstrip("+0") in str(refused.value)
    assert wanted.lstrip("+0") not in refused.value.why or wanted == "000", "a model may have to know nothing of it"


def test_what_a_last_resort_may_cost() -> None:
    """Whom it means is not asked."""
    assert affordable("15551234567", options()) == "15551234567", "whatever the plan has of it"
    assert affordable("12025550123", options(outboundCallFilter=r"^\+44")) == "12025550123"
    with pytest.raises(NotPermitted, match="premium-rate"):
        affordable("449098790000", options())
    with pytest.raises(NotPermitted, match="code of a country"):
        affordable("999", options())
    assert affordable("449098790000", options(outbound={"anyNumber": True})) == "449098790000"
