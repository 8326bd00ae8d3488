"""What growing incidents need: a digest of each finding, and which incident took another one in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Findings that are there already have no digest until they are saved again: they are read each time."""
    op.add_column("findings", sa.Column("digest", sa.String(64)))
    op.add_column("incidents", sa.Column("merged_into", sa.String(200)))
    op.create_index("incidents_merged_into", "incidents", ["merged_into"])


def downgrade() -> None:
    """Back to the first schema."""
    op.drop_index("incidents_merged_into", "incidents")
    op.drop_column("incidents", "merged_into")
    op.drop_column("findings", "digest")
