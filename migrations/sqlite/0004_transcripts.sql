-- Transcripts: the agent's newest conversation, which a worker saves before it ends. Compressed as it
-- came; one per sandbox. Engine: SQLite.

CREATE TABLE transcripts (
    sandbox_id BLOB PRIMARY KEY REFERENCES sandboxes (id),
    session_id BLOB NOT NULL,
    -- gzip of JSON lines.
    body BLOB NOT NULL,
    stored_at TEXT NOT NULL
) STRICT;
