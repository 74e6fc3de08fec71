-- Steering: every receipt of a message with its time, who sent it, until when and for which phase it
-- is meant, and the wish that a run pause. Engine: PostgreSQL.

ALTER TABLE messages
    -- Null: from before senders were kept.
    ADD COLUMN sender TEXT,
    ADD COLUMN phase TEXT,
    ADD COLUMN expires_at TIMESTAMPTZ,
    ADD COLUMN cancel_queued BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN seen_as TEXT,
    ADD COLUMN reason TEXT,
    ADD COLUMN delivered_at TIMESTAMPTZ,
    ADD COLUMN settled_at TIMESTAMPTZ,
    -- When it was cancelled, expired or refused.
    ADD COLUMN ended_at TIMESTAMPTZ,
    DROP CONSTRAINT messages_status_check,
    ADD CONSTRAINT messages_status_check CHECK (status IN (
        'queued', 'delivered', 'written', 'seen', 'settled', 'cancelled', 'expired', 'refused'
    ));

-- The run is to end after the phase at work.
ALTER TABLE sandboxes ADD COLUMN pause_requested BOOLEAN NOT NULL DEFAULT FALSE;

-- Messages whose time may run out, for the duty that looks for them.
CREATE INDEX messages_overdue ON messages (expires_at)
WHERE status IN ('queued', 'delivered') AND expires_at IS NOT NULL;
