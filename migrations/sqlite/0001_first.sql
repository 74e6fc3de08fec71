-- The first schema. Engine: SQLite. `migrations/postgres` has the same file in its own types.
--
-- Times are RFC 3339 text in UTC, ids are 16-byte blobs, JSON is text, money is whole millionths of a
-- US dollar. Owner, project and spec are never null.

CREATE TABLE projects (
    id BLOB PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (owner, name)
) STRICT;

CREATE TABLE specs (
    id BLOB PRIMARY KEY,
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    repository TEXT,
    status TEXT NOT NULL CHECK (status IN ('draft', 'executing', 'completed', 'failed')),
    reason TEXT,
    message TEXT,
    current_phase TEXT NOT NULL,
    -- The agent of the newest run, and whether it works without a model.
    agent TEXT,
    rehearsal INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    -- How many events there are. Raised in the transaction that stores them, so that a reader's
    -- cursor can never skip a late commit.
    events INTEGER NOT NULL,
    requirements_total INTEGER,
    requirements_covered INTEGER,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX specs_by_project ON specs (project_id, id);

CREATE TABLE spec_phases (
    spec_id BLOB NOT NULL REFERENCES specs (id),
    phase TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'accepted', 'failed')),
    attempts INTEGER NOT NULL,
    score REAL,
    duration_ms INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    digest TEXT,
    output TEXT,
    findings TEXT NOT NULL,
    PRIMARY KEY (spec_id, phase)
) STRICT;

CREATE TABLE sandboxes (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    state TEXT NOT NULL CHECK (state IN ('requested', 'active', 'ended')),
    provider TEXT NOT NULL,
    -- Where it is, in the provider's own terms; null until the place is there.
    place TEXT,
    -- SHA-256 of the sandbox's token; the token itself is never stored.
    token_hash BLOB NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    boot_id BLOB,
    acked_seq INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    lease_expires_at TEXT NOT NULL,
    heartbeat TEXT,
    heartbeat_at TEXT,
    stop_reason TEXT,
    cost_micro_usd INTEGER NOT NULL,
    agent TEXT NOT NULL,
    options TEXT NOT NULL,
    outcome TEXT,
    message TEXT,
    created_at TEXT NOT NULL,
    ended_at TEXT
) STRICT;

-- The lock of a spec's execution: two at once cannot both insert.
CREATE UNIQUE INDEX sandboxes_one_active_per_spec ON sandboxes (spec_id) WHERE state <> 'ended';

CREATE TABLE events (
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
    PRIMARY KEY (spec_id, position),
    UNIQUE (sandbox_id, seq)
) STRICT;

CREATE TABLE documents (
    spec_id BLOB NOT NULL REFERENCES specs (id),
    name TEXT NOT NULL,
    phase TEXT NOT NULL,
    media_type TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    content TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (spec_id, name)
) STRICT;

CREATE TABLE messages (
    id BLOB PRIMARY KEY,
    sandbox_id BLOB NOT NULL REFERENCES sandboxes (id),
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    deliver TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'written', 'seen', 'expired')),
    created_at TEXT NOT NULL,
    written_at TEXT,
    seen_at TEXT,
    UNIQUE (sandbox_id, position)
) STRICT;

-- The planning domain.

CREATE TABLE requirements (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    priority TEXT NOT NULL,
    depends_on TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
) STRICT;

CREATE TABLE acceptance_criteria (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    requirement_id BLOB NOT NULL REFERENCES requirements (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
) STRICT;

CREATE TABLE spec_tasks (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    ticket_local_id TEXT NOT NULL,
    -- The spec task as planned, whole.
    plan TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
) STRICT;

-- The execution domain.

CREATE TABLE tickets (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    priority TEXT NOT NULL,
    estimate TEXT NOT NULL,
    phase TEXT NOT NULL,
    requirements TEXT NOT NULL,
    acceptance_criteria TEXT NOT NULL,
    rehearsal INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
) STRICT;

CREATE INDEX tickets_by_project ON tickets (project_id, id);

CREATE TABLE tasks (
    id BLOB PRIMARY KEY,
    spec_id BLOB NOT NULL REFERENCES specs (id),
    project_id BLOB NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    ticket_id BLOB NOT NULL REFERENCES tickets (id),
    spec_task_id BLOB NOT NULL REFERENCES spec_tasks (id),
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority TEXT NOT NULL,
    estimated_hours REAL NOT NULL,
    status TEXT NOT NULL,
    requirements TEXT NOT NULL,
    files_to_create TEXT NOT NULL,
    files_to_modify TEXT NOT NULL,
    acceptance_criteria TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
) STRICT;

CREATE INDEX tasks_by_ticket ON tasks (ticket_id);

CREATE TABLE ticket_dependencies (
    ticket_id BLOB NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    depends_on BLOB NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    PRIMARY KEY (ticket_id, depends_on)
) STRICT;

CREATE TABLE task_dependencies (
    task_id BLOB NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    depends_on BLOB NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    PRIMARY KEY (task_id, depends_on)
) STRICT;
