"""Fields of a request that its model turned out not to take: they are left out from then on. Pure.

Which models refuse what is no list to keep here. Claude from 4.7 on and most of OpenAI's models that reason refuse any
``temperature``, servers that are compatible with OpenAI know only part of its fields, and each says so in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any


class Unwelcome:
    """Of one account, by model."""

    def __init__(self) -> None:
        self._fields: dict[str, set[str]] = {}

    def without(self, request: Mapping[str, Any]) -> dict[str, Any]:
        refused = self._fields.get(_model(request), ())
        return {field: value for field, value in request.items() if field not in refused}

    def learn(
        self, request: Mapping[str, Any], optional: Collection[str], status: int, error: Mapping[str, Any]
    ) -> bool:
        """Whether ``error`` is about one of the ``optional`` fields of what was sent: then ask again, without it."""
        if status not in (400, 422):
            return False
        about = re.split(r"[.\[]", str(error.get("param") or ""))[0]
        said = str(error.get("message") or "")
        for field in optional:
            if field in request and (about == field or (not about and re.search(rf"\b{field}\b", said))):
                self._fields.setdefault(_model(request), set()).add(field)
                return True
        return False


def _model(request: Mapping[str, Any]) -> str:
    return str(request.get("model", ""))
