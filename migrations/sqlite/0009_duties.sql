-- Duties that run once, whichever control API does them; since when one was there to listen; verdicts
-- about sandboxes and what was done about them; starting again. Engine: SQLite.

CREATE TABLE duties (
    name TEXT NOT NULL,
    -- The machine whose processes it looks at; empty where it needs none.
    place TEXT NOT NULL,
    -- The control API that does it until the lease ends; null: given back.
    holder BLOB,
    -- Which process that is.
    holder_place TEXT,
    lease_until TEXT NOT NULL,
    last_run_at TEXT,
    took_ms INTEGER NOT NULL,
    -- Of the last round that did anything, and of all.
    did INTEGER NOT NULL,
    did_total INTEGER NOT NULL,
    rounds_total INTEGER NOT NULL,
    failures_total INTEGER NOT NULL,
    -- What the last round failed with; null: it did not.
    failed TEXT,
    PRIMARY KEY (name, place)
) STRICT;

-- One row: which deployment this is, and since when, without a gap, a control API has been there.
CREATE TABLE presence (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    deployment BLOB NOT NULL,
    since TEXT NOT NULL,
    seen_at TEXT NOT NULL
) STRICT;

-- A project's settings of the idle monitor, over those of the control API.
CREATE TABLE project_liveness (
    project_id BLOB PRIMARY KEY REFERENCES projects (id) ON DELETE CASCADE,
    settings TEXT NOT NULL
) STRICT;

-- Each change of a sandbox's verdict, and each step that was taken.
CREATE TABLE verdicts (
    sandbox_id BLOB NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    action TEXT CHECK (action IN ('nudge', 'interrupt', 'save_work', 'end')),
    at TEXT NOT NULL,
    PRIMARY KEY (sandbox_id, position)
) STRICT;

-- The newest verdict's name, and since when all were alarming.
ALTER TABLE sandboxes ADD COLUMN verdict TEXT;
ALTER TABLE sandboxes ADD COLUMN alarm_since TEXT;
-- A person holds it from being ended.
ALTER TABLE sandboxes ADD COLUMN held_until TEXT;
ALTER TABLE sandboxes ADD COLUMN held_reason TEXT;
ALTER TABLE sandboxes ADD COLUMN held_by TEXT;
-- How the run ends if its end was asked for by a duty; null: by nobody, or by a person.
ALTER TABLE sandboxes ADD COLUMN stop_outcome TEXT;
-- Which restart of its run it is.
ALTER TABLE sandboxes ADD COLUMN restart INTEGER NOT NULL DEFAULT 0;
-- Until when somebody is at making its place.
ALTER TABLE sandboxes ADD COLUMN starting_until TEXT;

-- From when on the sandboxes of a spec, and what it has cost, count against the caps.
ALTER TABLE specs ADD COLUMN counted_since TEXT;
ALTER TABLE specs ADD COLUMN counted_from_micro_usd INTEGER NOT NULL DEFAULT 0;
