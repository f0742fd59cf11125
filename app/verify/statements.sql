-- What `sigstream verify` keeps of records, and what it asks of them. One database a run.

-- name: create
-- A signal of `signals.raw`; without a digest: it can't be stored.
CREATE TABLE raw (p INTEGER, origin INTEGER, key TEXT, name TEXT, version INTEGER, digest INTEGER);
-- A signal of `signals`, repeats left out.
CREATE TABLE forward (p INTEGER, place INTEGER, origin INTEGER, key TEXT, name TEXT, version INTEGER,
                      digest INTEGER);
-- What dedupe said of a signal that it did not forward.
CREATE TABLE answer (p INTEGER, origin INTEGER, name TEXT, outcome TEXT);
-- Records of `signals.raw` that dedupe made dead letters of.
CREATE TABLE buried (p INTEGER, origin INTEGER);
-- Records on their way to the partition of their key, and those that came.
CREATE TABLE moved (p INTEGER, origin INTEGER, key TEXT);
CREATE TABLE arrived (p INTEGER, origin INTEGER);
-- Records of `signals` that a sink must answer, or has not read yet.
CREATE TABLE owed (p INTEGER, place INTEGER, sink TEXT, signals INTEGER, key TEXT);
CREATE TABLE pending (p INTEGER, place INTEGER, sink TEXT, signals INTEGER, key TEXT);
CREATE TABLE receipt (p INTEGER, place INTEGER, sink TEXT, signals INTEGER);
CREATE TABLE rejected (p INTEGER, place INTEGER, sink TEXT, name TEXT);
-- Keys that were forwarded since: stores may be further than what was compared.
CREATE TABLE later (key TEXT);
-- What a store has; `copies` of one version.
CREATE TABLE stored (sink TEXT, key TEXT, name TEXT, version INTEGER, digest INTEGER, copies INTEGER);
-- A record of `blocks`; the blocks that signals were computed from, and those that became dead letters.
CREATE TABLE block (p INTEGER, place INTEGER, chain TEXT, height INTEGER, hash TEXT, isolated INTEGER);
CREATE TABLE computed (chain TEXT, hash TEXT, processor TEXT);
-- Processors that have something to say of every block.
CREATE TABLE every_block (processor TEXT);
CREATE TABLE buried_block (p INTEGER, place INTEGER);
CREATE TABLE buried_features (hash TEXT);

-- name: index
CREATE INDEX raw_origin ON raw (p, origin, name);
CREATE INDEX raw_key ON raw (key, name);
CREATE INDEX forward_key ON forward (key, name, digest);
CREATE INDEX forward_origin ON forward (p, origin, name);
CREATE INDEX answer_origin ON answer (p, origin, name);
CREATE INDEX buried_origin ON buried (p, origin);
CREATE INDEX arrived_origin ON arrived (p, origin);
CREATE INDEX pending_key ON pending (sink, key);
CREATE INDEX receipt_place ON receipt (p, place, sink);
CREATE INDEX rejected_place ON rejected (p, place, sink, name);
CREATE INDEX computed_hash ON computed (chain, hash, processor);
CREATE INDEX block_height ON block (chain, height);
CREATE INDEX buried_block_place ON buried_block (p, place);
CREATE INDEX buried_features_hash ON buried_features (hash);
-- Blocks without signals. Another block of the same height excuses one that is of no chain; what is above
-- the highest that was computed may wait for a block below it.
CREATE TABLE idle_block AS
SELECT chain || '|' || height AS key, hash, p || '/' || place AS at,
       isolated = 0 AND height > coalesce((SELECT max(height) FROM block o JOIN computed c USING (chain, hash)
                                           WHERE o.chain = b.chain AND NOT o.isolated), -1) AS waits
FROM block b
WHERE NOT EXISTS (SELECT 1 FROM computed c WHERE (c.chain, c.hash) = (b.chain, b.hash))
  AND NOT EXISTS (SELECT 1 FROM buried_block d WHERE (d.p, d.place) = (b.p, b.place))
  AND NOT EXISTS (SELECT 1 FROM buried_features f WHERE f.hash = b.hash)
  AND (isolated OR NOT EXISTS (SELECT 1 FROM block o JOIN computed c USING (chain, hash)
                               WHERE (o.chain, o.height) = (b.chain, b.height) AND NOT o.isolated));
-- What stores must show: of each signal the largest (version, digest). A record without a key is no batch:
-- sinks make a dead letter of it.
CREATE TABLE wanted AS
SELECT p, key, name, version, digest, place
FROM (SELECT *, row_number() OVER (PARTITION BY key, name ORDER BY version DESC, digest DESC) AS rank
      FROM forward WHERE key <> '')
WHERE rank = 1;
CREATE UNIQUE INDEX wanted_key ON wanted (key, name);

-- name: index_stored
CREATE INDEX stored_key ON stored (sink, key, name);
CREATE INDEX later_key ON later (key);

-- name: unanswered
-- Neither forwarded, nor answered, nor a dead letter.
SELECT key, name, p || '/' || origin
FROM raw
WHERE digest IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM forward f
                  WHERE (f.p, f.origin, f.key, f.name) = (raw.p, raw.origin, raw.key, raw.name))
  AND NOT EXISTS (SELECT 1 FROM answer a
                  WHERE (a.p, a.origin, a.name) = (raw.p, raw.origin, raw.name)
                    -- "same" and "older" must be as some signal that was forwarded.
                    AND (a.outcome = 'rejected' OR NOT :complete
                         OR EXISTS (SELECT 1 FROM raw r JOIN forward f USING (key, name, digest)
                                    WHERE (r.key, r.name) = (raw.key, raw.name)
                                      AND (r.version, r.digest) >= (raw.version, raw.digest))
                         OR EXISTS (SELECT 1 FROM forward f
                                    WHERE (f.key, f.name, f.digest) = (raw.key, raw.name, raw.digest))))
  AND NOT EXISTS (SELECT 1 FROM buried b WHERE (b.p, b.origin) = (raw.p, raw.origin))
UNION ALL
SELECT key, '', p || '/' || origin
FROM moved
WHERE :complete
  AND NOT EXISTS (SELECT 1 FROM arrived a WHERE (a.p, a.origin) = (moved.p, moved.origin))
  AND NOT EXISTS (SELECT 1 FROM buried b WHERE (b.p, b.origin) = (moved.p, moved.origin));

-- name: refused_unanswered
SELECT key, name, p || '/' || origin
FROM raw
WHERE digest IS NULL
  AND NOT EXISTS (SELECT 1 FROM answer a WHERE (a.p, a.origin, a.name) = (raw.p, raw.origin, raw.name))
  AND NOT EXISTS (SELECT 1 FROM buried b WHERE (b.p, b.origin) = (raw.p, raw.origin));

-- name: invented
-- Forwarded, but its record holds no such signal.
SELECT key, name, p || '/' || place
FROM forward
WHERE NOT EXISTS (SELECT 1 FROM raw r
                  WHERE (r.p, r.origin, r.key, r.name)
                      = (forward.p, forward.origin, forward.key, forward.name));

-- name: altered
-- Forwarded with another content or version than its record has.
SELECT key, name, p || '/' || place
FROM forward
WHERE EXISTS (SELECT 1 FROM raw r
              WHERE (r.p, r.origin, r.key, r.name)
                  = (forward.p, forward.origin, forward.key, forward.name))
  AND NOT EXISTS (SELECT 1 FROM raw r
                  WHERE (r.p, r.origin, r.name) = (forward.p, forward.origin, forward.name)
                    AND (r.version, r.digest) = (forward.version, forward.digest));

-- name: outdated
-- The largest (version, digest) that came in was neither forwarded nor known before.
SELECT key, name, p || '/' || origin
FROM (SELECT *, row_number() OVER (PARTITION BY key, name ORDER BY version DESC, digest DESC) AS rank
      FROM raw WHERE digest IS NOT NULL) AS last
WHERE rank = 1
  AND NOT EXISTS (SELECT 1 FROM wanted w
                  WHERE (w.key, w.name, w.digest) = (last.key, last.name, last.digest))
  AND EXISTS (SELECT 1 FROM wanted w WHERE (w.key, w.name) = (last.key, last.name))
  AND NOT EXISTS (SELECT 1 FROM answer a
                  WHERE (a.p, a.origin, a.name) = (last.p, last.origin, last.name)
                    AND (a.outcome = 'rejected' OR NOT :complete))
  AND NOT EXISTS (SELECT 1 FROM buried b WHERE (b.p, b.origin) = (last.p, last.origin));

-- name: forwarded_twice
SELECT key, name, min(p) || '/' || min(place) || ' and ' || max(place)
FROM forward
GROUP BY key, name, version, digest
HAVING count(*) > 1;

-- name: without_receipt
SELECT key, '', p || '/' || place
FROM owed
WHERE sink = :sink
  AND NOT EXISTS (SELECT 1 FROM receipt r
                  WHERE (r.p, r.place, r.sink, r.signals) = (owed.p, owed.place, owed.sink, owed.signals));

-- name: pending
SELECT key, '', p || '/' || place FROM pending WHERE sink = :sink;

-- name: not_stored
SELECT key, name, p || '/' || place
FROM wanted
WHERE NOT EXISTS (SELECT 1 FROM stored s WHERE (s.sink, s.key, s.name) = (:sink, wanted.key, wanted.name))
  AND NOT EXISTS (SELECT 1 FROM pending o WHERE (o.sink, o.key) = (:sink, wanted.key))
  AND NOT EXISTS (SELECT 1 FROM rejected r
                  WHERE (r.p, r.place, r.sink, r.name) = (wanted.p, wanted.place, :sink, wanted.name));

-- name: stored_otherwise
-- Stored, but not as it was last forwarded. Where not all was read, the store may well be further.
SELECT wanted.key, wanted.name, p || '/' || place
FROM wanted
JOIN (SELECT key, name, max(version) AS version FROM stored WHERE sink = :sink GROUP BY key, name) AS top
     ON (top.key, top.name) = (wanted.key, wanted.name)
JOIN (SELECT key, name, version, max(digest) AS digest FROM stored WHERE sink = :sink
      GROUP BY key, name, version) AS there
     ON (there.key, there.name, there.version) = (top.key, top.name, top.version)
WHERE (there.version, there.digest) <> (wanted.version, wanted.digest)
  AND ((there.version, there.digest) < (wanted.version, wanted.digest)
       OR (:complete AND NOT EXISTS (SELECT 1 FROM later l WHERE l.key = wanted.key)))
  AND NOT EXISTS (SELECT 1 FROM pending o WHERE (o.sink, o.key) = (:sink, wanted.key))
  AND NOT EXISTS (SELECT 1 FROM rejected r
                  WHERE (r.p, r.place, r.sink, r.name) = (wanted.p, wanted.place, :sink, wanted.name));

-- name: stored_only
SELECT DISTINCT key, name, ''
FROM stored
WHERE sink = :sink AND :complete
  AND NOT EXISTS (SELECT 1 FROM wanted w WHERE (w.key, w.name) = (stored.key, stored.name))
  AND NOT EXISTS (SELECT 1 FROM later l WHERE l.key = stored.key)
  AND NOT EXISTS (SELECT 1 FROM pending o WHERE (o.sink, o.key) = (:sink, stored.key));

-- name: stored_twice
SELECT key, name, copies || ' rows' FROM stored WHERE sink = :sink AND copies > 1;

-- name: slices
-- Where to cut a series so that each piece holds so many keys, in the order of `ts`; and its last key.
SELECT series, ts, last
FROM (SELECT series, ts, row_number() OVER (PARTITION BY series ORDER BY ts) AS n,
             max(ts) OVER (PARTITION BY series) AS last
      FROM (SELECT DISTINCT substr(key, 1, length(key) - 28) AS series, substr(key, -27) AS ts FROM wanted))
WHERE n % :keys = 1
ORDER BY series, ts;

-- name: times
SELECT DISTINCT substr(key, -27) AS ts FROM wanted WHERE key >= :first AND key < :end ORDER BY ts;

-- name: blocks_without_signals
SELECT key, hash, at FROM idle_block WHERE NOT waits AND :lag = 0;

-- name: blocks_in_part
-- What was computed before a processor was first enabled is not owed by it.
SELECT DISTINCT chain || '|' || height, processor, hash
FROM block b CROSS JOIN every_block e
WHERE :lag = 0
  AND EXISTS (SELECT 1 FROM computed c WHERE (c.chain, c.hash) = (b.chain, b.hash))
  AND NOT EXISTS (SELECT 1 FROM computed c
                  WHERE (c.chain, c.hash, c.processor) = (b.chain, b.hash, e.processor))
  AND height >= coalesce((SELECT min(o.height) FROM block o JOIN computed c USING (chain, hash)
                          WHERE (o.chain, c.processor) = (b.chain, e.processor) AND NOT o.isolated), 0);

-- name: blocks_waiting
SELECT key, hash, at FROM idle_block WHERE waits OR :lag > 0;

-- name: count
SELECT count(*) FROM raw WHERE digest IS NOT NULL;
