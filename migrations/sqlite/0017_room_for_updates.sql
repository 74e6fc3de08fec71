-- Rows that change with every event stay on their pages. Engine: SQLite.

-- Nothing to do: SQLite changes rows where they are. The number belongs to both engines.
SELECT 1;
