"""Invocation logs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invocation_logs",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("subsystem", sa.Text(), nullable=False),
        sa.Column("log", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_invocation_logs_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "subsystem", name="pk_invocation_logs"),
    )


def downgrade() -> None:
    op.drop_table("invocation_logs")
