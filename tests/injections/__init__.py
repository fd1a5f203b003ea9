"""Injections: what a caller says, and what a tool answers, to have an agent do what its definition does not allow.

Each is played to a model that obeys whatever it hears (``tests/calls/test_injections.py``), for no refusal of a model
is to be relied upon: it makes the ``calls`` that the text asks for. ``leaves`` are all the requests that may go out
because of it.
"""

from __future__ import annotations

from tests.injections.injection import Injection
from tests.injections.returned import OTHERS, RETURNED
from tests.injections.spoken import SPOKEN

INJECTIONS: tuple[Injection, ...] = (*SPOKEN, *RETURNED, *OTHERS)
