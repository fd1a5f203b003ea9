"""Secrets of listeners' options apart; what a ticket was made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("listeners", sa.Column("sealed_options", sa.Text(), nullable=True))
    op.add_column("tickets", sa.Column("made_by", sa.Text(), nullable=True))
    op.add_column("tickets", sa.Column("until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("tickets", "until")
    op.drop_column("tickets", "made_by")
    op.drop_column("listeners", "sealed_options")
