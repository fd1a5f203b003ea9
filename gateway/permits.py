"""Whom an agent may ring. Pure.

A filter says which numbers are meant; the numbering plan says which are dear whoever meant them. Both have to agree, on
the number as it is dialled, whatever way it was written in.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from pipelines.agent import AgentOptions

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

DEFAULT_FILTER = r"^(\+44|44|0)[1237]\d{6,15}$"
"""Of agents without an ``outboundCallFilter``: the reference's."""

NO_COUNTRY = "001"
"""The region of satellites and of networks that belong to nowhere."""

_SEPARATORS = re.compile(r"[\s().-]")
_WRITTEN = re.compile(r"\+?\d{3,20}")


class NotPermitted(Exception):
    """The message is a sentence."""


def permitted(called: str, options: AgentOptions, *, home: str | None) -> str:
    """The digits (E.164, without ``+``) of a number that the agent may ring. One that is written without its country is
    of that of ``home``, the digits of the number that rings. Raises :class:`NotPermitted`."""
    import phonenumbers as plan

    text = _SEPARATORS.sub("", called)
    if not (text.isascii() and _WRITTEN.fullmatch(text)):
        raise NotPermitted("calledId has to be a telephone number, for example +442080996945")
    at_home = _region_of(home)
    try:
        if text.startswith("0") and not text.startswith("00") and at_home is not None:
            number = plan.parse(text, at_home)
        else:
            number = plan.parse(text if text.startswith("+") else f"+{text}")
    except plan.NumberParseException:
        raise NotPermitted(f"{called} is no telephone number with the code of a country") from None
    if not plan.is_possible_number(number):
        raise NotPermitted(f"{called} is no whole telephone number: it has too few digits, or too many")
    _check_filter(number, options.outbound_call_filter, at_home)
    _check_plan(number, options)
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
        raise NotPermitted(f"{international} does not match the agent's outboundCallFilter, {wanted}")


def _check_plan(number: PhoneNumber, options: AgentOptions) -> None:
    import phonenumbers as plan

    international = plan.format_number(number, plan.PhoneNumberFormat.E164)
    region = plan.region_code_for_number(number) or plan.region_code_for_country_code(number.country_code or 0)
    allowed: Collection[str] = options.outbound.regions
    if allowed and region not in allowed:
        raise NotPermitted(f"{international} is in {region}, and the agent's outbound.regions are {', '.join(allowed)}")
    if options.outbound.any_number:
        return
    kind = plan.number_type(number)
    types = plan.PhoneNumberType
    words = {
        types.PREMIUM_RATE: "a premium-rate number",
        types.SHARED_COST: "a shared-cost number",
        types.PERSONAL_NUMBER: "a personal number, which may cost anything",
        types.PAGER: "a pager",
    }.get(kind)
    if plan.region_code_for_country_code(number.country_code or 0) == NO_COUNTRY:
        words = "of a satellite, or of a network of no country"
    elif not plan.is_valid_number(number):
        words = "none that its country gives out"
    if words is not None:
        raise NotPermitted(f"{international} is {words}; outbound.anyNumber lets the agent ring those, too")


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
