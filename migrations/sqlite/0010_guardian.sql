-- What guardians did to sandboxes, why, and what came of it. Engine: SQLite.

CREATE TABLE interventions (
    id BLOB PRIMARY KEY,
    sandbox_id BLOB NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    -- Chosen by who intervenes: sent again it is the same intervention.
    idempotency_key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('nudge', 'interrupt', 'redirect', 'park', 'stop')),
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    -- What was to be said, as it was given; null: nothing beside the reason.
    given_message TEXT,
    made_by TEXT NOT NULL,
    phase TEXT NOT NULL,
    made_at TEXT NOT NULL,
    -- The newest event of the sandbox at that time: what is behind it came after.
    seq INTEGER NOT NULL,
    -- Null: it said nothing.
    message_id BLOB REFERENCES messages (id) ON DELETE SET NULL,
    -- When its outcome is judged at the latest.
    judged_by TEXT NOT NULL,
    outcome TEXT CHECK (outcome IN ('helped', 'no_effect', 'worse')),
    assessment TEXT,
    UNIQUE (sandbox_id, idempotency_key)
) STRICT;

CREATE INDEX interventions_in_order ON interventions (sandbox_id, made_at, id);
CREATE INDEX interventions_to_judge ON interventions (judged_by) WHERE outcome IS NULL;

-- A project's settings of the guardian, over those of the control API.
CREATE TABLE project_guardian (
    project_id BLOB PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    settings TEXT NOT NULL
) STRICT;
