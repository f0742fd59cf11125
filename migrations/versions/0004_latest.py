"""The view signals_latest: what counts now, without what was taken back."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the view."""
    op.execute("CREATE VIEW signals_latest AS SELECT * FROM signals WHERE retracted_at IS NULL")


def downgrade() -> None:
    """Drop the view."""
    op.execute("DROP VIEW signals_latest")
