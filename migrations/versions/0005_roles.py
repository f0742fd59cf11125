"""Group roles: sigstream_writer for the sink's user, sigstream_reader for those who read."""

from alembic import op

from app.sinks.timescale.roles import GRANT, REVOKE

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the roles where the user may, and grant what they need."""
    op.execute(GRANT)


def downgrade() -> None:
    """Take the grants back; the roles stay."""
    op.execute(REVOKE)
