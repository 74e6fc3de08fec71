-- Old events, packed. Engine: PostgreSQL.

CREATE TABLE event_archives (
    spec_id UUID NOT NULL REFERENCES specs (id),
    -- Without a hole from one to the other.
    first_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL,
    -- The one sandbox that reported some of them; null: all are the control API's own.
    sandbox_id UUID REFERENCES sandboxes (id),
    first_seq BIGINT,
    last_seq BIGINT,
    -- One event a line, as it is given out, in gzip.
    lines BYTEA NOT NULL,
    archived_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (spec_id, last_position)
);

-- Packed already.
ALTER TABLE event_archives ALTER COLUMN lines SET STORAGE EXTERNAL;

CREATE INDEX event_archives_by_sandbox ON event_archives (sandbox_id, last_seq);
