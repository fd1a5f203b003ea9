"""Who answered before: for as long as the database is away, and for no other purpose."""

from __future__ import annotations

from collections import OrderedDict

from store.listeners import ListenerForCall

MOST = 10_000
"""Numbers that are remembered: those that rang last."""


class KnownListeners:
    """By number; each as it was when it was looked up last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, ListenerForCall] = OrderedDict()

    def remember(self, number: str, listener: ListenerForCall | None) -> None:
        """None: nobody answers it any more."""
        key = number.removeprefix("+")
        self._known.pop(key, None)
        if listener is not None:
            self._known[key] = listener
            if len(self._known) > MOST:
                self._known.popitem(last=False)

    def recall(self, number: str) -> ListenerForCall | None:
        return self._known.get(number.removeprefix("+"))
