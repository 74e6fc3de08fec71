-- Traces: to which request a run, a message and an event belong. Engine: SQLite.
--
-- Null: from before traces were kept, or of nobody's request.

-- The W3C trace context of the request that asked for the run, for its worker to go on from.
ALTER TABLE sandboxes ADD COLUMN traceparent TEXT;

-- Of the request that brought the message.
ALTER TABLE messages ADD COLUMN traceparent TEXT;

-- The 16 bytes of a trace id.
ALTER TABLE events ADD COLUMN trace_id BLOB;
