"""The store: tables, migrations and queries, on SQLite by default and PostgreSQL for more than one process."""

from store.calls import Call, CallEvent, NewCall, Period
from store.listeners import Listener, ListenerForCall, ListenerOptions
from store.rows import DEFAULT_OWNER, Owner, Page
from store.store import Store

__all__ = [
    "DEFAULT_OWNER",
    "Call",
    "CallEvent",
    "Listener",
    "ListenerForCall",
    "ListenerOptions",
    "NewCall",
    "Owner",
    "Page",
    "Period",
    "Store",
]
