"""The first schema, with the organisation and the user that a service without accounts runs as."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LIVE = sa.text("ended_at IS NULL")
DEFAULT_ORGANISATION_ID = "00000000-0000-4000-8000-000000000001"
DEFAULT_USER_ID = "00000000-0000-4000-8000-000000000002"


def upgrade() -> None:
    organisations = op.create_table(
        "organisations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_limit", sa.Integer(), nullable=True),
        sa.Column("call_count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
    )
    op.create_table(
        "trunks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("outbound", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trunks"),
    )
    op.create_table(
        "trunk_organisations",
        sa.Column("trunk_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_trunk_organisations_organisation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["trunk_id"], ["trunks.id"], name="fk_trunk_organisations_trunk_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trunk_id", "organisation_id", name="pk_trunk_organisations"),
    )
    users = op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("agent_limit", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_users_organisation_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("sealed_keys", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_agents_organisation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_agents_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_index("ix_agents_organisation_id_updated_at", "agents", ["organisation_id", "updated_at"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("listener_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("platform_call_id", sa.Text(), nullable=True),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("caller_id", sa.Text(), nullable=True),
        sa.Column("called_id", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_calls_organisation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_calls_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_agent_id_index", "calls", ["agent_id", "index"], unique=False)
    op.create_index("ix_calls_live", "calls", ["node"], unique=False, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_index("uq_calls_organisation_id_index", "calls", ["organisation_id", "index"], unique=True)
    op.create_table(
        "call_events",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("is_final", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_call_events_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "seq", name="pk_call_events"),
    )
    op.create_table(
        "listeners",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("websocket", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("stream_log", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("recording", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("agent_limit", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name="fk_listeners_agent_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_listeners_organisation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_listeners_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_listeners"),
    )
    op.create_index("ix_listeners_agent_id", "listeners", ["agent_id"], unique=False)
    op.create_index(
        "ix_listeners_organisation_id_created_at", "listeners", ["organisation_id", "created_at"], unique=False
    )
    op.create_table(
        "phone_numbers",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=True),
        sa.Column("trunk_id", sa.Text(), nullable=True),
        sa.Column("listener_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("reservation", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outbound", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("provisioned", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["listener_id"], ["listeners.id"], name="fk_phone_numbers_listener_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_phone_numbers_organisation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["trunk_id"], ["trunks.id"], name="fk_phone_numbers_trunk_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("number", name="pk_phone_numbers"),
        sa.UniqueConstraint("listener_id", name="uq_phone_numbers_listener_id"),
    )
    op.create_index("ix_phone_numbers_organisation_id", "phone_numbers", ["organisation_id"], unique=False)
    now = datetime.now(UTC)
    op.bulk_insert(organisations, [{"id": DEFAULT_ORGANISATION_ID, "name": "default", "created_at": now}])
    op.bulk_insert(
        users,
        [{"id": DEFAULT_USER_ID, "organisation_id": DEFAULT_ORGANISATION_ID, "name": "default", "created_at": now}],
    )


def downgrade() -> None:
    op.drop_index("ix_phone_numbers_organisation_id", table_name="phone_numbers")
    op.drop_table("phone_numbers")
    op.drop_index("ix_listeners_organisation_id_created_at", table_name="listeners")
    op.drop_index("ix_listeners_agent_id", table_name="listeners")
    op.drop_table("listeners")
    op.drop_table("call_events")
    op.drop_index("uq_calls_organisation_id_index", table_name="calls")
    op.drop_index("ix_calls_live", table_name="calls", sqlite_where=LIVE, postgresql_where=LIVE)
    op.drop_index("ix_calls_agent_id_index", table_name="calls")
    op.drop_table("calls")
    op.drop_table("api_keys")
    op.drop_index("ix_agents_organisation_id_updated_at", table_name="agents")
    op.drop_table("agents")
    op.drop_table("users")
    op.drop_table("trunk_organisations")
    op.drop_table("trunks")
    op.drop_table("organisations")
