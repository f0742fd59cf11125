-- The TimescaleDB sink's statements; they run on PostgreSQL 15 and later, with and without the extension.

-- name: create_incoming
-- Once a connection. AS SELECT takes over the types without the constraints: only `upsert` refuses rows.
-- metadata stays text until then, as in `from_arguments`.
CREATE TEMPORARY TABLE incoming ON COMMIT DELETE ROWS AS
SELECT signal_id, provider, symbol, ts, name, value, score, signal_type, block_height, block_hash,
       block_time, confidence, metadata::text, version, digest, created_at, first_seen_at, retracted_at,
       canonical_key, outcome, correlation_id
FROM signals
WITH NO DATA;

-- name: from_arguments
-- The same rows from one array a column; takes the temporary table's place in `upsert`.
incoming AS (
    SELECT *
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[],
                $6::double precision[], $7::double precision[], $8::text[], $9::bigint[], $10::text[],
                $11::timestamptz[], $12::double precision[], $13::text[], $14::bigint[], $15::bigint[],
                $16::timestamptz[], $17::timestamptz[], $18::timestamptz[], $19::text[], $20::text[],
                $21::text[])
         AS rows (signal_id, provider, symbol, ts, name, value, score, signal_type, block_height, block_hash,
                  block_time, confidence, metadata, version, digest, created_at, first_seen_at, retracted_at,
                  canonical_key, outcome, correlation_id)
)

-- name: upsert
written AS (
    INSERT INTO signals AS stored
           (signal_id, provider, symbol, ts, name, value, score, signal_type, block_height, block_hash,
            block_time, confidence, metadata, version, digest, created_at, first_seen_at, retracted_at,
            canonical_key, outcome, correlation_id, updated_at)
    SELECT signal_id, provider, symbol, ts, name, value, score, signal_type, block_height, block_hash,
           block_time, confidence, metadata::jsonb, version, digest, coalesce(created_at, now()),
           first_seen_at, retracted_at, canonical_key, outcome, correlation_id, statement_timestamp()
    FROM incoming
    ON CONFLICT (provider, symbol, ts, name) DO UPDATE
    -- The digest covers these: where it is equal, so are they.
    SET version = excluded.version,
        digest = excluded.digest,
        signal_id = excluded.signal_id,
        value = excluded.value,
        score = excluded.score,
        signal_type = excluded.signal_type,
        block_height = excluded.block_height,
        block_hash = excluded.block_hash,
        block_time = excluded.block_time,
        confidence = excluded.confidence,
        metadata = excluded.metadata,
    -- These it does not: a newer version of the same content leaves them.
        created_at = CASE WHEN stored.digest = excluded.digest THEN stored.created_at
                          ELSE excluded.created_at END,
        retracted_at = CASE WHEN stored.digest = excluded.digest THEN stored.retracted_at
                            ELSE excluded.retracted_at END,
        canonical_key = CASE WHEN stored.digest = excluded.digest THEN stored.canonical_key
                             ELSE excluded.canonical_key END,
        outcome = CASE WHEN stored.digest = excluded.digest THEN stored.outcome
                       ELSE excluded.outcome END,
        correlation_id = CASE WHEN stored.digest = excluded.digest THEN stored.correlation_id
                              ELSE excluded.correlation_id END,
        updated_at = CASE WHEN stored.digest = excluded.digest THEN stored.updated_at
                          ELSE excluded.updated_at END,
        first_seen_at = least(stored.first_seen_at, excluded.first_seen_at)
    WHERE (excluded.version, excluded.digest) > (stored.version, stored.digest)
    -- xmax is 0 for a row that was inserted; rows that the WHERE passed over are not returned. Not now():
    -- one transaction may write a key in several statements.
    RETURNING stored.signal_id, stored.xmax = 0 AS inserted, stored.updated_at = statement_timestamp() AS changed
)
-- Usually all are new, and counting them says it all.
SELECT count(*) FILTER (WHERE inserted) AS inserted_count,
       CASE WHEN count(*) FILTER (WHERE inserted) < (SELECT count(*) FROM incoming)
            THEN array_agg(signal_id::text) FILTER (WHERE inserted) END AS inserted,
       array_agg(signal_id::text) FILTER (WHERE changed AND NOT inserted) AS updated
FROM written

-- name: known
-- What is stored of keys that come several times in one write.
SELECT signal_id::text, version, digest
FROM signals JOIN unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
     AS wanted (provider, symbol, ts, name) USING (provider, symbol, ts, name);

-- name: set_session
-- Once a connection, where the extension is. An upsert into a compressed chunk unpacks the segments it
-- meets, by default at most 100,000 tuples a statement; a backfill of a dense chunk needs more (0: no
-- limit). Rows that COPY compresses at once would not be compared with those that are there.
SELECT set_config(name, value, false)
FROM (VALUES ('timescaledb.max_tuples_decompressed_per_dml_transaction', '0'),
             ('timescaledb.enable_direct_compress_copy', 'off')) AS wanted (name, value)
WHERE name IN (SELECT name FROM pg_settings);
