-- Old events, packed. Engine: SQLite.

CREATE TABLE event_archives (
    spec_id BLOB NOT NULL REFERENCES specs (id),
    -- Without a hole from one to the other.
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    -- The one sandbox that reported some of them; null: all are the control API's own.
    sandbox_id BLOB REFERENCES sandboxes (id),
    first_seq INTEGER,
    last_seq INTEGER,
    -- One event a line, as it is given out, in gzip.
    lines BLOB NOT NULL,
    archived_at TEXT NOT NULL,
    PRIMARY KEY (spec_id, last_position)
) STRICT;

CREATE INDEX event_archives_by_sandbox ON event_archives (sandbox_id, last_seq);
