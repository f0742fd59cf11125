"""Versions: what decides between two rows of one key, and where a signal comes from.

Rows of before get version 0 and digest 0, below every row that the sink writes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = {
    "signal_id": "uuid",
    "signal_type": "text",
    "block_height": "bigint",
    "block_hash": "text",
    "block_time": "timestamptz",
    "confidence": "double precision CONSTRAINT signals_confidence CHECK (confidence BETWEEN 0 AND 1)",
    "version": "bigint NOT NULL DEFAULT 0",
    "digest": "bigint NOT NULL DEFAULT 0",
    "first_seen_at": "timestamptz",
    "retracted_at": "timestamptz",
    "canonical_key": "text",
    "outcome": "text",
    "correlation_id": "text",
    "updated_at": "timestamptz NOT NULL DEFAULT now()",
}


def upgrade() -> None:
    """Add the columns."""
    for name, definition in COLUMNS.items():
        op.execute(f"ALTER TABLE signals ADD COLUMN {name} {definition}")


def downgrade() -> None:
    """Drop the columns; the rows keep what 0001 knows of them."""
    for name in reversed(COLUMNS):
        op.execute(f"ALTER TABLE signals DROP COLUMN {name}")
