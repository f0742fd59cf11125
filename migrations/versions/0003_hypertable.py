"""Hypertable: chunks of 7 days, compressed after 30, where the server has the timescaledb extension.

On plain PostgreSQL the table stays as it is; to convert it once the extension is there, run
`alembic downgrade 0002` and `alembic upgrade head`.
"""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Convert the table, rows included."""
    if not _value("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"):
        return
    op.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    op.execute("""
        SELECT create_hypertable('signals', 'ts', chunk_time_interval => INTERVAL '7 days',
                                 create_default_indexes => false, migrate_data => true)
    """)
    # Compression is not in the builds under the Apache licence (some managed services).
    if _value("SELECT current_setting('timescaledb.license', true)") == "timescale":
        _compress()


def _compress() -> None:
    op.execute("""
        ALTER TABLE signals SET (timescaledb.compress,
                                 timescaledb.compress_segmentby = 'provider, symbol, name',
                                 timescaledb.compress_orderby = 'ts DESC')
    """)
    op.execute("SELECT add_compression_policy('signals', INTERVAL '30 days')")


def downgrade() -> None:
    """Back to a plain table, rows included; the extension stays, others may use it."""
    if not _is_hypertable():
        return
    # A hypertable can't be turned back: its rows move. Dropping it takes policy and chunks along.
    op.execute("CREATE TABLE signals_plain (LIKE signals INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    op.execute("INSERT INTO signals_plain SELECT * FROM signals")
    op.execute("DROP TABLE signals")
    op.execute("ALTER TABLE signals_plain RENAME TO signals")
    op.execute("ALTER TABLE signals ADD CONSTRAINT signals_pkey PRIMARY KEY (provider, symbol, ts, name)")
    op.execute("CREATE INDEX signals_series ON signals (provider, symbol, name, ts DESC)")
    op.execute("CREATE INDEX signals_ts ON signals (ts DESC)")
    op.execute("CREATE INDEX signals_name_ts ON signals (name, ts DESC)")


def _is_hypertable() -> bool:
    if not _value("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
        return False
    return bool(
        _value("SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_name = 'signals'")
    )


def _value(query: str) -> object:
    return op.get_bind().execute(text(query)).scalar()
