-- Salvage: how often it was tried to deliver what was left in a place that was lost, and who is at it.
-- Engine: SQLite.

ALTER TABLE sandboxes ADD COLUMN salvages INTEGER NOT NULL DEFAULT 0;

-- JSON; null: nobody.
ALTER TABLE sandboxes ADD COLUMN salvage_claim TEXT;
