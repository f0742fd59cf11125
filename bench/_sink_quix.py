"""A contender of bench/sink_timescale.py: the PostgreSQL sink of Quix Streams.

`python bench/_sink_quix.py BOOTSTRAP INPUT DSN GROUP STATE_DIR`. A record a signal; upserts by the same
key into a table that the sink makes; a checkpoint, which is when it writes, every 5,000 signals.
"""

import sys
from urllib.parse import unquote, urlsplit

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

MOST = 5000


def sink_of(dsn: str) -> PostgreSQLSink:
    """Into table `signals`."""
    parts = urlsplit(dsn)
    return PostgreSQLSink(
        host=parts.hostname or "",
        port=parts.port or 5432,
        dbname=parts.path.lstrip("/"),
        user=parts.username or "",
        password=unquote(parts.password or ""),
        table_name="signals",
        primary_key_columns=["provider", "symbol", "ts", "name"],
        upsert_on_primary_key=True,
    )


def main() -> None:
    """Until SIGTERM."""
    bootstrap, source, dsn, group, state_dir = sys.argv[1:]
    app = Application(
        bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_every=MOST,
        state_dir=state_dir,
        loglevel="WARNING",
    )
    app.dataframe(app.topic(source, key_deserializer="str", value_deserializer="json")).sink(sink_of(dsn))
    app.run()


if __name__ == "__main__":
    main()
