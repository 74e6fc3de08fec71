-- Packed events keep their places in the order of all events. Engine: PostgreSQL.

ALTER TABLE event_archives
    -- Of its first and last event; 0 in a piece that is older than this column: such a piece is not
    -- in the order, and the mark of what is gone stands behind it.
    ADD COLUMN first_txid BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN first_ordinal BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN last_txid BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN last_ordinal BIGINT NOT NULL DEFAULT 0,
    -- One place a line, as many as there are events, in gzip.
    ADD COLUMN places BYTEA NOT NULL DEFAULT '';

CREATE INDEX event_archives_by_first ON event_archives (first_txid, first_ordinal);
CREATE INDEX event_archives_by_last ON event_archives (last_txid, last_ordinal);

-- What is taken away without being packed raises the mark, whoever takes it.
CREATE OR REPLACE FUNCTION events_gone() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE event_order
    SET gone_txid = newest.txid, gone_ordinal = newest.ordinal
    FROM (
        SELECT txid, ordinal
        FROM gone
        WHERE NOT EXISTS (
            SELECT 1
            FROM event_archives
            WHERE event_archives.spec_id = gone.spec_id
              AND event_archives.last_position >= gone.position
              AND event_archives.first_position <= gone.position
              AND event_archives.last_ordinal > 0
        )
        ORDER BY txid DESC, ordinal DESC
        LIMIT 1
    ) AS newest
    WHERE (gone_txid, gone_ordinal) < (newest.txid, newest.ordinal);
    RETURN NULL;
END
$$;
