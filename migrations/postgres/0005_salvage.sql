-- Salvage: how often it was tried to deliver what was left in a place that was lost, and who is at it.
-- Engine: PostgreSQL.

ALTER TABLE sandboxes ADD COLUMN salvages BIGINT NOT NULL DEFAULT 0;

-- Null: nobody.
ALTER TABLE sandboxes ADD COLUMN salvage_claim JSONB;
