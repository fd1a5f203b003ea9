"""The calls of a period are found without a look at all calls before it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_calls_organisation_id_started_at_index", "calls", ["organisation_id", "started_at", "index"])


def downgrade() -> None:
    op.drop_index("ix_calls_organisation_id_started_at_index", table_name="calls")
