"""What calls used, by part, provider and unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_usage",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_call_usage_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", "part", "provider", "unit", name="pk_call_usage"),
    )


def downgrade() -> None:
    op.drop_table("call_usage")
