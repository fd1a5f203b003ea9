"""Positions of events among those of a listener's calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "listener_positions",
        sa.Column("listener_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("listener_id", name="pk_listener_positions"),
    )
    op.add_column("call_events", sa.Column("listener_id", sa.Text(), nullable=True))
    op.add_column("call_events", sa.Column("position", sa.BigInteger(), nullable=True))
    op.create_index("ix_call_events_listener_id_position", "call_events", ["listener_id", "position"])


def downgrade() -> None:
    op.drop_index("ix_call_events_listener_id_position", table_name="call_events")
    op.drop_column("call_events", "position")
    op.drop_column("call_events", "listener_id")
    op.drop_table("listener_positions")
