"""Telephone numbers as people write them."""

from __future__ import annotations

import re

from pipelines.agent.strict import refuse

_E164 = re.compile(r"\+?([1-9]\d{2,14})")
_RUNG = re.compile(r"\+?\d{2,15}")
_SIP = re.compile(r"sips?:[!#-&*-;=?-Z_a-z~]{3,250}")
_NOT_ABROAD = re.compile(r"\(0\)")
_SEPARATORS = re.compile(r"[\s().-]")

LONGEST_EXTENSION = 6
"""Digits: what is longer, and does not begin with 0, is a number with its country."""


def digits(number: str) -> str:
    """E.164 digits without ``+``: how numbers are stored. Spaces, dots, dashes and brackets do no harm, and the zero
    of ``+44 (0)20 …`` is none that is dialled."""
    match = _E164.fullmatch(_SEPARATORS.sub("", _NOT_ABROAD.sub("", number)))
    if match is None:
        raise refuse("has to be a number in E.164, for example +442080996945")
    return match[1]


def target(text: str) -> str | None:
    """Whom a transfer rings, as it is dialled: ``+442080996945``, an extension or a national number as it stands, or a
    SIP address. None where it is none of these."""
    text = text.strip()
    if text.lower().startswith(("sip:", "sips:")):
        scheme, _, address = text.partition(":")
        found = f"{scheme.lower()}:{address}"
        return found if _SIP.fullmatch(found) else None
    number = _SEPARATORS.sub("", _NOT_ABROAD.sub("", text) if text.startswith("+") else text)
    if not (number.isascii() and _RUNG.fullmatch(number)):
        return None
    return number if number.startswith(("+", "0")) or len(number) <= LONGEST_EXTENSION else f"+{number}"
