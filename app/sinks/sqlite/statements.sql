-- The SQLite sink's statements. Columns as in PostgreSQL; times as text, YYYY-MM-DDTHH:MM:SS.ffffffZ.

-- name: create_table
CREATE TABLE IF NOT EXISTS signals (
    signal_id      TEXT    NOT NULL,
    provider       TEXT    NOT NULL,
    symbol         TEXT    NOT NULL CHECK (symbol = upper(symbol)),
    ts             TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    value          REAL,
    score          REAL,
    signal_type    TEXT,
    block_height   INTEGER,
    block_hash     TEXT,
    block_time     TEXT,
    confidence     REAL    CHECK (confidence BETWEEN 0 AND 1),
    metadata       TEXT    CHECK (metadata IS NULL OR json_valid(metadata)),
    version        INTEGER NOT NULL,
    digest         INTEGER NOT NULL,
    created_at     TEXT    NOT NULL,
    first_seen_at  TEXT,
    retracted_at   TEXT,
    canonical_key  TEXT,
    outcome        TEXT,
    correlation_id TEXT,
    updated_at     TEXT    NOT NULL,
    PRIMARY KEY (provider, symbol, ts, name)
) STRICT;

-- name: create_series_index
CREATE INDEX IF NOT EXISTS signals_series ON signals (provider, symbol, name, ts DESC);

-- name: create_ts_index
CREATE INDEX IF NOT EXISTS signals_ts ON signals (ts DESC);

-- name: create_name_index
CREATE INDEX IF NOT EXISTS signals_name_ts ON signals (name, ts DESC);

-- name: create_latest_view
-- What counts now, without what was taken back.
CREATE VIEW IF NOT EXISTS signals_latest AS SELECT * FROM signals WHERE retracted_at IS NULL;

-- name: known
SELECT version, digest FROM signals WHERE provider = ? AND symbol = ? AND ts = ? AND name = ?;

-- name: upsert
INSERT INTO signals
       (signal_id, provider, symbol, ts, name, value, score, signal_type, block_height, block_hash,
        block_time, confidence, metadata, version, digest, created_at, first_seen_at, retracted_at,
        canonical_key, outcome, correlation_id, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (provider, symbol, ts, name) DO UPDATE
-- The digest covers these: where it is equal, so are they.
SET version = excluded.version,
    digest = excluded.digest,
    value = excluded.value,
    score = excluded.score,
    signal_type = excluded.signal_type,
    block_height = excluded.block_height,
    block_hash = excluded.block_hash,
    block_time = excluded.block_time,
    confidence = excluded.confidence,
    metadata = excluded.metadata,
-- These it does not: a newer version of the same content leaves them.
    created_at = iif(digest = excluded.digest, created_at, excluded.created_at),
    retracted_at = iif(digest = excluded.digest, retracted_at, excluded.retracted_at),
    canonical_key = iif(digest = excluded.digest, canonical_key, excluded.canonical_key),
    outcome = iif(digest = excluded.digest, outcome, excluded.outcome),
    correlation_id = iif(digest = excluded.digest, correlation_id, excluded.correlation_id),
    updated_at = iif(digest = excluded.digest, updated_at, excluded.updated_at),
    -- SQLite's min() of a null is null.
    first_seen_at = min(coalesce(first_seen_at, excluded.first_seen_at),
                        coalesce(excluded.first_seen_at, first_seen_at))
WHERE (excluded.version, excluded.digest) > (version, digest);
