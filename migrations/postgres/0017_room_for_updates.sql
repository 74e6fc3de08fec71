-- Rows that change with every event stay on their pages. Engine: PostgreSQL.

-- A new version of a row that has no room on its page goes to another one, and into every index again;
-- on its page it costs no index anything. New rows leave half of their pages free; those that are there
-- move as they change, or all at once by VACUUM FULL.
ALTER TABLE specs SET (fillfactor = 50);
ALTER TABLE sandboxes SET (fillfactor = 50);
