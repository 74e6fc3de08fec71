-- Packed events keep their places in the order of all events. Engine: SQLite.

-- Of a piece's first and last event; 0 in a piece that is older than this column: such a piece is not
-- in the order, and the mark of what is gone stands behind it.
ALTER TABLE event_archives ADD COLUMN first_txid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event_archives ADD COLUMN first_ordinal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event_archives ADD COLUMN last_txid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event_archives ADD COLUMN last_ordinal INTEGER NOT NULL DEFAULT 0;
-- One place a line, as many as there are events, in gzip.
ALTER TABLE event_archives ADD COLUMN places BLOB NOT NULL DEFAULT x'';

CREATE INDEX event_archives_by_first ON event_archives (first_txid, first_ordinal);
CREATE INDEX event_archives_by_last ON event_archives (last_txid, last_ordinal);

-- What is taken away without being packed raises the mark, whoever takes it.
DROP TRIGGER events_gone;

CREATE TRIGGER events_gone AFTER DELETE ON events
WHEN NOT EXISTS (
    SELECT 1
    FROM event_archives
    WHERE spec_id = OLD.spec_id
      AND last_position >= OLD.position
      AND first_position <= OLD.position
      AND last_ordinal > 0
)
BEGIN
    UPDATE event_order SET gone_ordinal = OLD.ordinal WHERE gone_ordinal < OLD.ordinal;
END;
