"""Fields of a request that its model turned out not to take: they are left out from then on. Pure.

Which models refuse what is no list to keep here. Claude from 4.7 on and most of OpenAI's models that reason refuse any
``temperature``, servers that are compatible with OpenAI know only part of its fields, and each says so in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OptionalFields = Mapping[str, str]
"""Fields that a request can do without, by what an error says that is about one: an expression for its message. A field
within another is named with a dot between them."""


class Unwelcome:
    """Of one account; ``model`` names the model in whatever way its requests do."""

    def __init__(self) -> None:
        self._fields: dict[str, set[str]] = {}

    def without(self, model: str, request: Mapping[str, Any]) -> dict[str, Any]:
        left = dict(request)
        for field in self._fields.get(model, ()):
            outer, _, inner = field.partition(".")
            if not inner:
                left.pop(outer, None)
            elif outer in left:
                left[outer] = {name: value for name, value in left[outer].items() if name != inner}
        return left

    def learn(
        self, model: str, request: Mapping[str, Any], optional: OptionalFields, status: int, error: Mapping[str, Any]
    ) -> bool:
        """Whether ``error`` is about one of the ``optional`` fields of what was sent: then ask again, without it."""
        if status not in (400, 422):
            return False
        about = re.split(r"[.\[]", str(error.get("param") or ""))[0]
        said = str(error.get("message") or "")
        for field, words in optional.items():
            outer, _, inner = field.partition(".")
            sent = inner in request.get(outer, {}) if inner else outer in request
            if sent and (about == field or (not about and re.search(rf"\b(?:{words})\b", said))):
                self._fields.setdefault(model, set()).add(field)
                return True
        return False
