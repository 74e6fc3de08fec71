-- Access: users, who belongs to a project, tokens, sealed credentials, and who did what. Engine:
-- SQLite.

CREATE TABLE users (
    id BLOB PRIMARY KEY,
    -- Never changed: specs, projects and tickets name their owner by it.
    name TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    disabled_at TEXT
) STRICT;

-- The user whose admin token is in a file: there from the beginning, so that a laptop needs no users.
INSERT INTO users (id, name, created_at) VALUES (X'00000000000070008000000000000001', 'owner', '1970-01-01T00:00:00+00:00');

CREATE TABLE project_members (
    project_id BLOB NOT NULL REFERENCES projects (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    added_at TEXT NOT NULL,
    PRIMARY KEY (project_id, user_id)
) STRICT;

CREATE INDEX project_members_by_user ON project_members (user_id, project_id);

INSERT INTO project_members (project_id, user_id, role, added_at)
SELECT projects.id, users.id, 'owner', projects.created_at
FROM projects
JOIN users ON users.name = projects.owner;

CREATE TABLE tokens (
    id BLOB PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('admin', 'user', 'guardian', 'readonly')),
    -- Null: all projects of the user.
    project_id BLOB REFERENCES projects (id),
    name TEXT NOT NULL,
    -- SHA-256 of the token; the token itself is never stored.
    hash BLOB NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    last_used_at TEXT,
    revoked_at TEXT
) STRICT;

CREATE INDEX tokens_by_user ON tokens (user_id, id);

CREATE TABLE credentials (
    id BLOB PRIMARY KEY,
    -- Whose it is: one of the two.
    project_id BLOB REFERENCES projects (id),
    user_id BLOB REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('github_token', 'model_api_key', 'model_oauth_token')),
    -- Nonce and ciphertext, bound to this row's id and kind.
    sealed BLOB NOT NULL,
    -- Which key seals it; never the key.
    key_id TEXT NOT NULL,
    last_four TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at TEXT NOT NULL,
    CHECK ((project_id IS NULL) <> (user_id IS NULL))
) STRICT;

CREATE UNIQUE INDEX credentials_of_project ON credentials (project_id, kind)
WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX credentials_of_user ON credentials (user_id, kind)
WHERE user_id IS NOT NULL;

-- Who did what to which thing. Nothing changes or deletes a row.
CREATE TABLE audit (
    id BLOB PRIMARY KEY,
    at TEXT NOT NULL,
    user_name TEXT NOT NULL,
    -- Null: the owner's token, which is in a file.
    token_id BLOB,
    -- Method and path as in the table of routes.
    route TEXT NOT NULL,
    thing_id BLOB,
    -- A second name in the path, e.g. a member's.
    thing_name TEXT,
    project_id BLOB,
    status INTEGER NOT NULL,
    request_id TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_project ON audit (project_id, id);
