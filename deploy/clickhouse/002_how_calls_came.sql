-- How a call came and how it ended. Rows from before have the defaults, as old events do when they are read.

ALTER TABLE invocations
    ADD COLUMN IF NOT EXISTS usage_estimated Bool DEFAULT false AFTER latency_ms,
    ADD COLUMN IF NOT EXISTS api LowCardinality(String) DEFAULT 'chat' AFTER usage_estimated,
    ADD COLUMN IF NOT EXISTS streamed Bool DEFAULT false AFTER api,
    ADD COLUMN IF NOT EXISTS hung_up Bool DEFAULT false AFTER streamed;
