"""Processes and the places of their calls, both by leases; leases of listeners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "processes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "places",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("listener_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["process_id"], ["processes.id"], name="fk_places_process_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", name="pk_places"),
    )
    for column in ("process_id", "organisation_id", "user_id", "listener_id"):
        op.create_index(f"ix_places_{column}", "places", [column])
    op.add_column("listeners", sa.Column("ttl", sa.Integer(), nullable=True))
    op.add_column("listeners", sa.Column("tied", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("listeners", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_listeners_expires_at", "listeners", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_listeners_expires_at", table_name="listeners")
    for column in ("expires_at", "tied", "ttl"):
        op.drop_column("listeners", column)
    op.drop_table("places")
    op.drop_table("processes")
