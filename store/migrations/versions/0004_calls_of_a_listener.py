"""The calls of a listener are found without a look at all others: who watches them asks for what it missed."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_calls_listener_id", "calls", ["listener_id"])


def downgrade() -> None:
    op.drop_index("ix_calls_listener_id", table_name="calls")
