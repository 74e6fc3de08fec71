-- The order of all events, over all specs. Engine: PostgreSQL.
--
-- Many write at once here, so neither a sequence nor a clock gives an order that a late commit could
-- not slip behind. What does: the number of the writing transaction, read only below the oldest one
-- that still runs (`store/event/order.rs`).

CREATE SEQUENCE events_ordinal AS BIGINT;

ALTER TABLE events
    -- Never below that of the spec's event before it; 0: from before this column, or from another
    -- cluster.
    ADD COLUMN txid BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN ordinal BIGINT;

UPDATE events
SET ordinal = numbered.ordinal
FROM (
    SELECT spec_id, position,
           row_number() OVER (ORDER BY received_at, spec_id, position) AS ordinal
    FROM events
) AS numbered
WHERE events.spec_id = numbered.spec_id AND events.position = numbered.position;

SELECT setval('events_ordinal', (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM events), FALSE);

ALTER TABLE events
    ALTER COLUMN ordinal SET DEFAULT nextval('events_ordinal'),
    ALTER COLUMN ordinal SET NOT NULL,
    -- For a binary from before this column, while the replicas change one by one.
    ALTER COLUMN txid SET DEFAULT pg_current_xact_id()::TEXT::BIGINT;

CREATE INDEX events_in_order ON events (txid, ordinal);

-- One row: in which life of this database the order is, and what is gone from its beginning.
CREATE TABLE event_order (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    -- Part of every cursor: one of another life is refused, not misread.
    epoch TEXT NOT NULL,
    -- By which a new life is known: cluster, timeline and table.
    life TEXT NOT NULL,
    -- The newest event that was taken out of the order.
    gone_txid BIGINT NOT NULL,
    gone_ordinal BIGINT NOT NULL
);

INSERT INTO event_order (id, epoch, life, gone_txid, gone_ordinal)
VALUES (1, substr(md5(gen_random_uuid()::TEXT), 1, 12), '', 0, 0);

-- What is taken away raises the mark, whoever takes it: nobody can forget to.
CREATE FUNCTION events_gone() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE event_order
    SET gone_txid = newest.txid, gone_ordinal = newest.ordinal
    FROM (SELECT txid, ordinal FROM gone ORDER BY txid DESC, ordinal DESC LIMIT 1) AS newest
    WHERE (gone_txid, gone_ordinal) < (newest.txid, newest.ordinal);
    RETURN NULL;
END
$$;

CREATE TRIGGER events_gone AFTER DELETE ON events
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION events_gone();
