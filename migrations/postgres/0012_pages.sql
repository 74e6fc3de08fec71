-- Indexes for lists that are read in pages, and for what else was looked for row by row.
-- Engine: PostgreSQL.

-- The newest specs, of all and of a project.
CREATE INDEX specs_by_status ON specs (status, id);
CREATE INDEX specs_by_project_and_status ON specs (project_id, status, id);

-- A column of the board, of all and of a project. The list that `tickets_by_project` was for is gone.
CREATE INDEX tickets_in_columns ON tickets (phase, spec_id DESC, position);
CREATE INDEX tickets_in_columns_of_projects ON tickets (project_id, phase, spec_id DESC, position);
DROP INDEX tickets_by_project;

-- The runs of a spec.
CREATE INDEX sandboxes_by_spec ON sandboxes (spec_id, id);

-- What goes with a requirement, a spec task, a ticket or a task that is planned no more.
CREATE INDEX acceptance_criteria_by_requirement ON acceptance_criteria (requirement_id);
CREATE INDEX tasks_by_spec_task ON tasks (spec_task_id);
CREATE INDEX ticket_dependencies_on ON ticket_dependencies (depends_on);
CREATE INDEX task_dependencies_on ON task_dependencies (depends_on);

-- Messages that wait for their worker.
CREATE INDEX messages_queued ON messages (sandbox_id, position) WHERE status = 'queued';
