"""Telephone numbers as people write them."""

from __future__ import annotations

import re

from pipelines.agent.strict import refuse

_E164 = re.compile(r"\+?([1-9]\d{2,14})")


def digits(number: str) -> str:
    """E.164 digits without ``+``: how numbers are stored. Spaces, dots, dashes and brackets do no harm."""
    match = _E164.fullmatch(re.sub(r"[\s().-]", "", number))
    if match is None:
        raise refuse("has to be a number in E.164, for example +442080996945")
    return match[1]
