-- The order of all events, over all specs. Engine: SQLite, which cannot add a counting key in place.
--
-- One connection writes at a time, so the order of insertion is the order of commits.

CREATE TABLE events_in_order (
    -- Never used again, also when the newest event is gone.
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Always 0 here; PostgreSQL needs it.
    txid INTEGER NOT NULL DEFAULT 0,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    position INTEGER NOT NULL,
    -- Null: recorded by the control API.
    sandbox_id BLOB REFERENCES sandboxes (id),
    seq INTEGER,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    phase TEXT,
    at TEXT NOT NULL,
    received_at TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (spec_id, position),
    UNIQUE (sandbox_id, seq)
) STRICT;

INSERT INTO events_in_order (
    spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
)
SELECT spec_id, position, sandbox_id, seq, id, kind, phase, at, received_at, data
FROM events
ORDER BY received_at, spec_id, position;

DROP TABLE events;

ALTER TABLE events_in_order RENAME TO events;

-- One row: in which life of this database the order is, and what is gone from its beginning.
CREATE TABLE event_order (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Part of every cursor: one of another life is refused, not misread.
    epoch TEXT NOT NULL,
    -- By which a new life is known; the file says nothing of itself, so `restore` begins one.
    life TEXT NOT NULL,
    -- The newest event that was taken out of the order.
    gone_txid INTEGER NOT NULL,
    gone_ordinal INTEGER NOT NULL
) STRICT;

INSERT INTO event_order (id, epoch, life, gone_txid, gone_ordinal)
VALUES (1, lower(hex(randomblob(6))), '', 0, 0);

-- What is taken away raises the mark, whoever takes it: nobody can forget to.
CREATE TRIGGER events_gone AFTER DELETE ON events
BEGIN
    UPDATE event_order SET gone_ordinal = OLD.ordinal WHERE gone_ordinal < OLD.ordinal;
END;
