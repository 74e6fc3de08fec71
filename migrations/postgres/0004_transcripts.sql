-- Transcripts: the agent's newest conversation, which a worker saves before it ends. Compressed as it
-- came; one per sandbox. Engine: PostgreSQL.

CREATE TABLE transcripts (
    sandbox_id UUID PRIMARY KEY REFERENCES sandboxes (id),
    session_id UUID NOT NULL,
    -- gzip of JSON lines.
    body BYTEA NOT NULL,
    stored_at TIMESTAMPTZ NOT NULL
);
