-- The first schema. Engine: PostgreSQL. `migrations/sqlite` has the same file in its own types.
--
-- Money is whole millionths of a US dollar. Owner, project and spec are never null.

CREATE TABLE projects (
    id UUID PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (owner, name)
);

CREATE TABLE specs (
    id UUID PRIMARY KEY,
    project_id UUID NOT NULL REFERENCES projects (id),
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
    rehearsal BOOLEAN NOT NULL,
    cost_micro_usd BIGINT NOT NULL,
    -- How many events there are. Raised in the transaction that stores them, so that a reader's
    -- cursor can never skip a late commit.
    events BIGINT NOT NULL,
    requirements_total BIGINT,
    requirements_covered BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX specs_by_project ON specs (project_id, id);

CREATE TABLE spec_phases (
    spec_id UUID NOT NULL REFERENCES specs (id),
    phase TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'accepted', 'failed')),
    attempts BIGINT NOT NULL,
    score DOUBLE PRECISION,
    duration_ms BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL,
    digest TEXT,
    output JSONB,
    findings JSONB NOT NULL,
    PRIMARY KEY (spec_id, phase)
);

CREATE TABLE sandboxes (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    state TEXT NOT NULL CHECK (state IN ('requested', 'active', 'ended')),
    provider TEXT NOT NULL,
    -- Where it is, in the provider's own terms; null until the place is there.
    place JSONB,
    -- SHA-256 of the sandbox's token; the token itself is never stored.
    token_hash BYTEA NOT NULL UNIQUE,
    generation BIGINT NOT NULL,
    boot_id UUID,
    acked_seq BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    lease_expires_at TIMESTAMPTZ NOT NULL,
    heartbeat JSONB,
    heartbeat_at TIMESTAMPTZ,
    stop_reason TEXT,
    cost_micro_usd BIGINT NOT NULL,
    agent TEXT NOT NULL,
    options JSONB NOT NULL,
    outcome TEXT,
    message TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ
);

-- The lock of a spec's execution: two at once cannot both insert.
CREATE UNIQUE INDEX sandboxes_one_active_per_spec ON sandboxes (spec_id) WHERE state <> 'ended';

CREATE TABLE events (
    spec_id UUID NOT NULL REFERENCES specs (id),
    position BIGINT NOT NULL,
    -- Null: recorded by the control API.
    sandbox_id UUID REFERENCES sandboxes (id),
    seq BIGINT,
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    phase TEXT,
    at TIMESTAMPTZ NOT NULL,
    received_at TIMESTAMPTZ NOT NULL,
    data JSONB NOT NULL,
    PRIMARY KEY (spec_id, position),
    UNIQUE (sandbox_id, seq)
);

CREATE TABLE documents (
    spec_id UUID NOT NULL REFERENCES specs (id),
    name TEXT NOT NULL,
    phase TEXT NOT NULL,
    media_type TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    content TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (spec_id, name)
);

CREATE TABLE messages (
    id UUID PRIMARY KEY,
    sandbox_id UUID NOT NULL REFERENCES sandboxes (id),
    position BIGINT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    deliver TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('queued', 'written', 'seen', 'expired')),
    created_at TIMESTAMPTZ NOT NULL,
    written_at TIMESTAMPTZ,
    seen_at TIMESTAMPTZ,
    UNIQUE (sandbox_id, position)
);

-- The planning domain.

CREATE TABLE requirements (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    project_id UUID NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    priority TEXT NOT NULL,
    depends_on JSONB NOT NULL,
    UNIQUE (spec_id, local_id)
);

CREATE TABLE acceptance_criteria (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    project_id UUID NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    requirement_id UUID NOT NULL REFERENCES requirements (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    UNIQUE (spec_id, local_id)
);

CREATE TABLE spec_tasks (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    project_id UUID NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    ticket_local_id TEXT NOT NULL,
    -- The spec task as planned, whole.
    plan JSONB NOT NULL,
    UNIQUE (spec_id, local_id)
);

-- The execution domain.

CREATE TABLE tickets (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    project_id UUID NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    priority TEXT NOT NULL,
    estimate TEXT NOT NULL,
    phase TEXT NOT NULL,
    requirements JSONB NOT NULL,
    acceptance_criteria JSONB NOT NULL,
    rehearsal BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (spec_id, local_id)
);

CREATE INDEX tickets_by_project ON tickets (project_id, id);

CREATE TABLE tasks (
    id UUID PRIMARY KEY,
    spec_id UUID NOT NULL REFERENCES specs (id),
    project_id UUID NOT NULL REFERENCES projects (id),
    owner TEXT NOT NULL,
    local_id TEXT NOT NULL,
    ticket_id UUID NOT NULL REFERENCES tickets (id),
    spec_task_id UUID NOT NULL REFERENCES spec_tasks (id),
    position BIGINT NOT NULL,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL,
    priority TEXT NOT NULL,
    estimated_hours DOUBLE PRECISION NOT NULL,
    status TEXT NOT NULL,
    requirements JSONB NOT NULL,
    files_to_create JSONB NOT NULL,
    files_to_modify JSONB NOT NULL,
    acceptance_criteria JSONB NOT NULL,
    UNIQUE (spec_id, local_id)
);

CREATE INDEX tasks_by_ticket ON tasks (ticket_id);

CREATE TABLE ticket_dependencies (
    ticket_id UUID NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    depends_on UUID NOT NULL REFERENCES tickets (id) ON DELETE CASCADE,
    PRIMARY KEY (ticket_id, depends_on)
);

CREATE TABLE task_dependencies (
    task_id UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    depends_on UUID NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    PRIMARY KEY (task_id, depends_on)
);
