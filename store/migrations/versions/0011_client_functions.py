"""Functions that clients answer, between processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_sockets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("listener_id", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=True),
        sa.Column("names", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_client_sockets"),
        sa.ForeignKeyConstraint(
            ["process_id"], ["processes.id"], name="fk_client_sockets_process_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_client_sockets_organisation_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_client_sockets_process_id", "client_sockets", ["process_id"])
    op.create_index("ix_client_sockets_listener_id", "client_sockets", ["listener_id"])
    op.create_table(
        "client_questions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("process_id", sa.Text(), nullable=False),
        sa.Column("socket_id", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.Text(), nullable=False),
        sa.Column("listener_id", sa.Text(), nullable=False),
        sa.Column("message", sa.JSON(), nullable=False),
        sa.Column("told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_client_questions"),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["processes.id"], name="fk_client_questions_asked_by", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_client_questions_organisation_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_client_questions_asked_by", "client_questions", ["asked_by"])
    op.create_index("ix_client_questions_process_id", "client_questions", ["process_id"])


def downgrade() -> None:
    op.drop_table("client_questions")
    op.drop_table("client_sockets")
