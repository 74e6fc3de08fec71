-- Steering: every receipt of a message with its time, who sent it, until when and for which phase it
-- is meant, and the wish that a run pause. Engine: SQLite, which cannot change a CHECK in place.

CREATE TABLE messages_with_receipts (
    id BLOB PRIMARY KEY,
    sandbox_id BLOB NOT NULL REFERENCES sandboxes (id),
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    deliver TEXT NOT NULL,
    -- Null: from before senders were kept.
    sender TEXT,
    phase TEXT,
    expires_at TEXT,
    cancel_queued INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL CHECK (status IN (
        'queued', 'delivered', 'written', 'seen', 'settled', 'cancelled', 'expired', 'refused'
    )),
    seen_as TEXT,
    reason TEXT,
    created_at TEXT NOT NULL,
    delivered_at TEXT,
    written_at TEXT,
    seen_at TEXT,
    settled_at TEXT,
    -- When it was cancelled, expired or refused.
    ended_at TEXT,
    UNIQUE (sandbox_id, position)
) STRICT;

INSERT INTO messages_with_receipts (
    id, sandbox_id, position, kind, text, deliver, status, created_at, written_at, seen_at
)
SELECT id, sandbox_id, position, kind, text, deliver, status, created_at, written_at, seen_at
FROM messages;

DROP TABLE messages;

ALTER TABLE messages_with_receipts RENAME TO messages;

-- The run is to end after the phase at work.
ALTER TABLE sandboxes ADD COLUMN pause_requested INTEGER NOT NULL DEFAULT 0;

-- Messages whose time may run out, for the duty that looks for them.
CREATE INDEX messages_overdue ON messages (expires_at)
WHERE status IN ('queued', 'delivered') AND expires_at IS NOT NULL;
