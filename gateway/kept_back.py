"""What a caller has keyed in and no log of his call may have: the number of a card, a code. Pure.

The log has stars for the keys themselves. But the model knows them, says them again, and gives them to functions.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

LEAST_KEYS = 4
"""Fewer are a choice in a menu, and stand in much that has nothing to do with them."""

MOST_INPUTS = 100

OF_CONVERSATION = frozenset(
    {"user", "agent", "function_calls", "function_results", "rest_callout", "inject", "error"},
)
"""The types of what a log has of it. The rest are states and figures."""


class KeptBack:
    """Of one call; false where there is nothing."""

    def __init__(self) -> None:
        self._patterns: deque[re.Pattern[str]] = deque(maxlen=MOST_INPUTS)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def keep_back(self, keys: str) -> None:
        """From here on. As they stand, and in groups, as numbers of cards are written."""
        if len(keys) >= LEAST_KEYS:
            self._patterns.append(re.compile(rf"(?<!\d){'[ -]?'.join(map(re.escape, keys))}(?!\d)"))

    def out_of(self, data: Any) -> Any:
        """``data`` is JSON."""
        match data:
            case str():
                for pattern in self._patterns:
                    data = pattern.sub(_stars, data)
                return data
            case bool() | None | float():
                return data
            case int():
                text = str(data)
                hidden = self.out_of(text)
                return data if hidden == text else hidden
            case Mapping():
                return {name: self.out_of(value) for name, value in data.items()}
            case list() | tuple():
                return [self.out_of(value) for value in data]
            case _:
                return data


def _stars(found: re.Match[str]) -> str:
    return re.sub(r"[^ -]", "*", found[0])
