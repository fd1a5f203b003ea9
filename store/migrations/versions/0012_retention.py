"""How long an organisation keeps its calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organisations", sa.Column("retention_days", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("organisations", "retention_days")
