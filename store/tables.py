"""The tables, in the common ground of SQLite and PostgreSQL.

Ids are UUIDs as text; times are UTC; telephone numbers are E.164 digits without the ``+``. Each row that a tenant owns
has its ``organisation_id``: every query that serves a tenant asks for it. ``user_id`` says who made the row.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = sa.MetaData(naming_convention=CONVENTION)


class Utc(sa.TypeDecorator[datetime]):
    """A moment. SQLite keeps no zone: UTC goes in, and comes out as UTC again."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value} has no zone; give a datetime in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.Text, primary_key=True)


def _owner() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="SET NULL")),
    )


def _created() -> sa.Column[datetime]:
    return sa.Column("created_at", Utc, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


organisations = sa.Table(
    "organisations",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("agent_limit", sa.Integer),
    # How many calls the organisation has had: the index of its newest.
    sa.Column("call_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    _created(),
    # How long its calls are kept; null: as long as the service keeps them.
    sa.Column("retention_days", sa.Double),
)

users = sa.Table(
    "users",
    metadata,
    _id(),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, unique=True),
    sa.Column("agent_limit", sa.Integer),
    _created(),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    _id(),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    # SHA-256 of the key, in hex: the keys are random, so that nothing slower is needed.
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("expires_at", Utc),
    _created(),
    # Null: all of them.
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    # To the minute.
    sa.Column("last_used_at", Utc),
)

# Stand in for a key where a URL has to carry it: good for one use, and for a short while.
tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE")),
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    # The id of the key or user that it was made with, and when a token of theirs is over.
    sa.Column("made_by", sa.Text),
    sa.Column("until", Utc),
    sa.Column("expires_at", Utc, nullable=False),
)

agents = sa.Table(
    "agents",
    metadata,
    _id(),
    *_owner(),
    sa.Column("name", sa.Text),
    sa.Column("model_name", sa.Text, nullable=False),
    # The whole definition as it was sent, without keys and other secrets.
    sa.Column("definition", sa.JSON, nullable=False),
    # Encrypted: all of these. See store.vault.
    sa.Column("sealed_keys", sa.Text),
    _created(),
    sa.Column("updated_at", Utc, nullable=False),
    sa.Index(None, "organisation_id", "updated_at"),
)

listeners = sa.Table(
    "listeners",
    metadata,
    _id(),
    *_owner(),
    sa.Column("agent_id", sa.Text, sa.ForeignKey("agents.id", ondelete="CASCADE"), nullable=False, index=True),
    # The handler of the agent's model at the time.
    sa.Column("type", sa.Text, nullable=False),
    # Encrypted: the credential that lets a browser join.
    sa.Column("key", sa.Text, nullable=False),
    _flag("websocket"),
    _flag("stream_log"),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("recording", sa.JSON(none_as_null=True)),
    # Encrypted: what is secret of these two.
    sa.Column("sealed_options", sa.Text),
    sa.Column("agent_limit", sa.Integer),
    _created(),
    # A lease: so many seconds, until then, renewed by requests or, if it is tied, by its progress sockets.
    sa.Column("ttl", sa.Integer),
    _flag("tied"),
    sa.Column("expires_at", Utc, index=True),
    sa.Index(None, "organisation_id", "created_at"),
)

trunks = sa.Table(
    "trunks",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("handler", sa.Text, nullable=False),
    _flag("outbound"),
    sa.Column("flags", sa.JSON, nullable=False),
    _created(),
)

# Which organisations may put their numbers on a trunk.
trunk_organisations = sa.Table(
    "trunk_organisations",
    metadata,
    sa.Column("trunk_id", sa.Text, sa.ForeignKey("trunks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), primary_key=True),
)

phone_numbers = sa.Table(
    "phone_numbers",
    metadata,
    sa.Column("number", sa.Text, primary_key=True),
    # Null: a number of the house, which any organisation may take while it is free.
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), index=True),
    sa.Column("trunk_id", sa.Text, sa.ForeignKey("trunks.id", ondelete="SET NULL")),
    sa.Column("listener_id", sa.Text, sa.ForeignKey("listeners.id", ondelete="SET NULL"), unique=True),
    sa.Column("name", sa.Text),
    sa.Column("handler", sa.Text, nullable=False),
    # Taken by "*" never, by its own digits only.
    _flag("reservation"),
    _flag("outbound"),
    _flag("provisioned"),
    _created(),
)

# A SIP account that Jambonz registers with for us; calls to it come to the listener.
phone_registrations = sa.Table(
    "phone_registrations",
    metadata,
    _id(),
    sa.Column(
        "organisation_id",
        sa.Text,
        sa.ForeignKey("organisations.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="SET NULL")),
    sa.Column("listener_id", sa.Text, sa.ForeignKey("listeners.id", ondelete="SET NULL"), unique=True),
    sa.Column("name", sa.Text),
    sa.Column("handler", sa.Text, nullable=False),
    _flag("outbound"),
    sa.Column("registrar", sa.Text, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("sealed_password", sa.Text, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    # active, failed or disabled: what is wanted of it, and whether that works.
    sa.Column("status", sa.Text, nullable=False),
    # initial, registering, registered or failed: what Jambonz last told.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("last_seen_at", Utc),
    # When Jambonz was last told of it: what it knew before is of other credentials.
    sa.Column("told_at", Utc),
    _created(),
)

# What one process at a time does for all, for as long as it renews its lease.
chores = sa.Table(
    "chores",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("done_at", Utc),
)

# A service that runs. It renews its lease; once that is over the process is dead, and what it held is free.
processes = sa.Table("processes", metadata, _id(), _created(), sa.Column("expires_at", Utc, nullable=False))

# One for each call under way, and for each that is about to begin: what limits count. The ids are only counted by, and
# may be of what is gone.
places = sa.Table(
    "places",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("process_id", sa.Text, sa.ForeignKey("processes.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("organisation_id", sa.Text, nullable=False, index=True),
    sa.Column("user_id", sa.Text, index=True),
    sa.Column("listener_id", sa.Text, index=True),
    _created(),
)

LIVE = sa.text("ended_at IS NULL")

# A call keeps the ids of its agent and listener when those are gone: it is a record of what happened.
calls = sa.Table(
    "calls",
    metadata,
    _id(),
    *_owner(),
    sa.Column("index", sa.BigInteger, nullable=False),
    sa.Column("parent_id", sa.Text),
    sa.Column("listener_id", sa.Text),
    sa.Column("agent_id", sa.Text, nullable=False),
    sa.Column("platform", sa.Text, nullable=False),
    sa.Column("platform_call_id", sa.Text),
    sa.Column("model_name", sa.Text, nullable=False),
    sa.Column("caller_id", sa.Text),
    sa.Column("called_id", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("recording_id", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text),
    sa.Column("duration_ms", sa.BigInteger),
    # The process that has the call, while it lives.
    sa.Column("node", sa.Text),
    _created(),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("ended_at", Utc),
    sa.Index("uq_calls_organisation_id_index", "organisation_id", "index", unique=True),
    sa.Index("ix_calls_organisation_id_started_at_index", "organisation_id", "started_at", "index"),
    sa.Index(None, "agent_id", "index"),
    sa.Index("ix_calls_listener_id", "listener_id"),
    sa.Index("ix_calls_live", "node", sqlite_where=LIVE, postgresql_where=LIVE),
)

# Of finished recordings. The files are elsewhere, each under its organisation and its id.
recordings = sa.Table(
    "recordings",
    metadata,
    _id(),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    # Null: it opens by a key that is the client's.
    sa.Column("sealed_key", sa.Text),
    _created(),
    sa.Index("ix_recordings_call_id", "call_id"),
)

# Who played or deleted a recording. It is kept when the recording, the call or the user goes.
recording_accesses = sa.Table(
    "recording_accesses",
    metadata,
    _id(),
    sa.Column("recording_id", sa.Text, nullable=False),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="SET NULL")),
    sa.Column("action", sa.Text, nullable=False),
    _created(),
    sa.Index("ix_recording_accesses_call_id", "call_id"),
)

call_events = sa.Table(
    "call_events",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    _flag("is_final"),
    _created(),
    # The listener of the call, and the place among the events of that, in the order in which they were written.
    sa.Column("listener_id", sa.Text),
    sa.Column("position", sa.BigInteger),
    sa.Index("ix_call_events_listener_id_position", "listener_id", "position"),
)

# The newest position of a listener's events. Whoever writes events locks it.
listener_positions = sa.Table(
    "listener_positions",
    metadata,
    sa.Column("listener_id", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

# Sums, written when the call ends. Units are such as input_tokens, characters, audio_seconds.
call_usage = sa.Table(
    "call_usage",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("provider", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("amount", sa.Double, nullable=False),
)

# What the service logged of a call, compressed, where its listener wants that.
invocation_logs = sa.Table(
    "invocation_logs",
    metadata,
    sa.Column("call_id", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("subsystem", sa.Text, primary_key=True),
    sa.Column("log", sa.LargeBinary, nullable=False),
    _created(),
    sa.Column("updated_at", Utc, nullable=False),
)

# Progress sockets that answer functions; null names are all of them. A socket goes with its process.
client_sockets = sa.Table(
    "client_sockets",
    metadata,
    _id(),
    sa.Column("process_id", sa.Text, sa.ForeignKey("processes.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("listener_id", sa.Text, nullable=False, index=True),
    sa.Column("call_id", sa.Text),
    sa.Column("names", sa.JSON(none_as_null=True)),
    _created(),
)

# What calls of one process ask sockets of any, while they wait for it. It goes with the process of the call.
client_questions = sa.Table(
    "client_questions",
    metadata,
    _id(),
    sa.Column("asked_by", sa.Text, sa.ForeignKey("processes.id", ondelete="CASCADE"), nullable=False, index=True),
    # The process of the socket.
    sa.Column("process_id", sa.Text, nullable=False, index=True),
    sa.Column("socket_id", sa.Text, nullable=False),
    sa.Column("organisation_id", sa.Text, sa.ForeignKey("organisations.id", ondelete="CASCADE"), nullable=False),
    sa.Column("listener_id", sa.Text, nullable=False),
    sa.Column("message", sa.JSON, nullable=False),
    _flag("told"),
    sa.Column("answer", sa.JSON(none_as_null=True)),
    sa.Column("expires_at", Utc, nullable=False),
)
