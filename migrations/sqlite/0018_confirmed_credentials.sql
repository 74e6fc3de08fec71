-- When the service that a credential is for took it. Null: it was not asked, said neither yes nor no, or
-- it was set before this was asked. Engine: SQLite.

ALTER TABLE credentials ADD COLUMN confirmed_at TEXT;
