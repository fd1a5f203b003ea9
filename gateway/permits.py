"""Whom an agent may ring: in a call of its own, or for a caller who is to be put through. Pure.

A filter says which numbers are meant; the numbering plan says which are dear whoever meant them. Both have to agree, on
the number as it is dialled, whatever way it was written in.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from pipelines.agent import AgentOptions
from pipelines.agent.telephone import LONGEST_EXTENSION

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

DEFAULT_FILTER = r"^(\+44|44|0)[1237]\d{6,15}$"
"""Of agents without an ``outboundCallFilter``: the reference's."""

NO_COUNTRY = "001"
"""The region of satellites and of networks that belong to nowhere."""

_SEPARATORS = re.compile(r"[\s().-]")
_WRITTEN = re.compile(r"\+?\d{3,20}")


class NotPermitted(Exception):
    """The message is a sentence. ``why`` is what follows after "it", and tells neither the number nor the filter: for
    models, which may have to know neither."""

    def __init__(self, number: str, why: str, more: str = "") -> None:
        super().__init__(f"{number} {why}{more}")
        self.why = why


def transferable(wanted: str, options: AgentOptions, *, home: str | None, fixed: bool) -> str:
    """Whom a transfer rings, as it is dialled. ``wanted`` is of :func:`pipelines.agent.telephone.target`, and ``home``
    the digits of the number that the call is on. Where that has no country, as a line of somebody's exchange, numbers
    without theirs are the exchange's to read, and go as they stand. ``fixed``: the agent's definition has the number,
    and says so which is meant, unless there is a filter of its own, too; and that there is such a number. Raises
    :class:`NotPermitted`."""
    if wanted.startswith("+"):
        return f"+{permitted(wanted, options, home=home, fixed=fixed)}"
    at_home = _region_of(home)
    if at_home is not None and wanted.isdigit() and len(wanted) > LONGEST_EXTENSION:
        return f"+{permitted(wanted, options, home=home, fixed=fixed)}"
    own = options.outbound_call_filter
    if (own is not None or not fixed) and not re.search(own or DEFAULT_FILTER, wanted):
        raise _filtered(wanted, own or DEFAULT_FILTER)
    if own is None and not fixed and at_home is None:
        raise NotPermitted(wanted, "has no country, and neither has the number that this call is on")
    if at_home is not None and wanted.isdigit():
        _check_extension(wanted, at_home, options)
    return wanted


def affordable(called: str, options: AgentOptions) -> str:
    """Digits (E.164) that a definition has as a last resort: whom it means is not asked, but what that may cost. Raises
    :class:`NotPermitted`."""
    import phonenumbers as plan

    try:
        _check_kind(plan.parse(f"+{called}"), options, known=True)
    except plan.NumberParseException:
        raise NotPermitted(f"+{called}", "is no telephone number with the code of a country") from None
    return called


def permitted(called: str, options: AgentOptions, *, home: str | None, fixed: bool = False) -> str:
    """The digits (E.164, without ``+``) of a number that the agent may ring. One that is written without its country is
    of that of ``home``, the digits of the number that rings. Raises :class:`NotPermitted`."""
    import phonenumbers as plan

    text = _SEPARATORS.sub("", called)
    if not (text.isascii() and _WRITTEN.fullmatch(text)):
        raise NotPermitted("calledId", "has to be a telephone number, for example +442080996945")
    at_home = _region_of(home)
    try:
        if text.startswith("0") and not text.startswith("00") and at_home is not None:
            number = plan.parse(text, at_home)
        else:
            number = plan.parse(text if text.startswith("+") else f"+{text}")
    except plan.NumberParseException:
        raise NotPermitted(called, "is no telephone number with the code of a country") from None
    if not plan.is_possible_number(number):
        raise NotPermitted(called, "is no whole telephone number: it has too few digits, or too many")
    if not fixed or options.outbound_call_filter is not None:
        _check_filter(number, options.outbound_call_filter, at_home)
    _check_region(number, options.outbound.regions)
    _check_kind(number, options, known=fixed)
    return plan.format_number(number, plan.PhoneNumberFormat.E164).removeprefix("+")


def _check_filter(number: PhoneNumber, own: str | None, at_home: str | None) -> None:
    """However it was written: as ``+44…``, as ``44…`` and, at home, as ``0…`` it is the same number. The home of the
    filter that agents have who have none is Great Britain."""
    import phonenumbers as plan

    international = plan.format_number(number, plan.PhoneNumberFormat.E164)
    forms = [international, international.removeprefix("+")]
    wanted = own or DEFAULT_FILTER
    if at_home is not None and plan.region_code_for_number(number) == at_home and (own or at_home == "GB"):
        forms.append(re.sub(r"\D", "", plan.format_number(number, plan.PhoneNumberFormat.NATIONAL)))
    if not any(re.search(wanted, form) for form in forms):
        raise _filtered(international, wanted)


def _filtered(number: str, pattern: str) -> NotPermitted:
    return NotPermitted(number, "does not match the agent's outboundCallFilter", f", {pattern}")


def _check_region(number: PhoneNumber, allowed: Collection[str]) -> None:
    import phonenumbers as plan

    region = plan.region_code_for_number(number) or plan.region_code_for_country_code(number.country_code or 0)
    if allowed and region not in allowed:
        international = plan.format_number(number, plan.PhoneNumberFormat.E164)
        more = f": it is in {region}, and they are {', '.join(allowed)}"
        raise NotPermitted(international, "is in none of the agent's outbound.regions", more)


def _check_kind(number: PhoneNumber, options: AgentOptions, *, known: bool) -> None:
    """What is dear, or leads nowhere; the latter not of a number that is ``known`` to lead somewhere, whatever the plan
    has of it: a definition was written by somebody who means it."""
    import phonenumbers as plan

    if options.outbound.any_number:
        return
    types = plan.PhoneNumberType
    words = {
        types.PREMIUM_RATE: "a premium-rate number",
        types.SHARED_COST: "a shared-cost number",
        types.PERSONAL_NUMBER: "a personal number, which may cost anything",
        types.PAGER: "a pager",
    }.get(plan.number_type(number))
    if plan.region_code_for_country_code(number.country_code or 0) == NO_COUNTRY:
        words = "of a satellite, or of a network of no country"
    elif not known and not plan.is_valid_number(number):
        words = "none that its country gives out"
    if words is not None:
        international = plan.format_number(number, plan.PhoneNumberFormat.E164)
        raise NotPermitted(international, f"is {words}; outbound.anyNumber lets the agent ring those, too")


def _check_extension(text: str, at_home: str, options: AgentOptions) -> None:
    """Few digits are an extension, unless the network has made something of them: an emergency, a service that may
    cost anything, or, in a small country, whoever has the number."""
    import phonenumbers as plan
    from phonenumbers import shortnumberinfo as short

    if short.connects_to_emergency_number(text, at_home):
        raise NotPermitted(text, f"is an emergency number in {at_home}")
    if options.outbound.any_number:
        return
    zeros = len(text) - len(text.lstrip("0"))
    number = plan.PhoneNumber(
        country_code=plan.country_code_for_region(at_home),
        national_number=int(text),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros or None,
    )
    if short.is_valid_short_number_for_region(number, at_home):
        advice = "write an extension as a SIP address, or let the agent ring those, too, by outbound.anyNumber"
        raise NotPermitted(text, f"is a short number of the network in {at_home}; {advice}")
    _check_kind(number, options, known=True)


def _region_of(digits: str | None) -> str | None:
    """The country of a number; None for what is none, such as the user of a registration."""
    import phonenumbers as plan

    try:
        number = plan.parse(f"+{digits}") if digits is not None else None
    except plan.NumberParseException:
        return None
    if number is None:
        return None
    return plan.region_code_for_number(number) or plan.region_code_for_country_code(number.country_code or 0)
