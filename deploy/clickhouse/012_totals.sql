-- What the calls of each hour were and cost, and what the verdicts of each day said, so that no page reads every event.
-- The observer writes these rows anew from all events of an hour or a day, each counted once, whenever more of it were
-- stored: of two counts the one that saw more events holds. `rollup_progress` says until when storing was seen, with a
-- checksum of what was stored shortly before; the indices find what was stored since.

CREATE TABLE IF NOT EXISTS invocation_hours (
    task LowCardinality(String),
    hour DateTime('UTC'),
    tenant LowCardinality(String),
    counted UInt64,
    first_at DateTime64(6, 'UTC'),
    calls UInt64,
    served UInt64,
    audited UInt64,
    imported UInt64,
    teacher_calls UInt64,
    unpriced UInt64,
    cost_usd Decimal(38, 9),
    teacher_cost_usd Decimal(38, 9),
    student_cost_usd Decimal(38, 9)
) ENGINE = ReplacingMergeTree(counted) ORDER BY (task, hour, tenant)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS verdict_days (
    task LowCardinality(String),
    student LowCardinality(String),
    day Date,
    phase LowCardinality(String),
    spot_check Bool,
    threshold Float64,
    expected LowCardinality(String),
    said LowCardinality(String),
    counted UInt64,
    agreed UInt64,
    sure UInt64,
    sure_agreed UInt64,
    first_at DateTime64(6, 'UTC'),
    last_at DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree(counted) ORDER BY (task, student, day, phase, spot_check, threshold, expected, said)
SETTINGS index_granularity = 1024;

CREATE TABLE IF NOT EXISTS tenant_verdict_days (
    task LowCardinality(String),
    tenant LowCardinality(String),
    student LowCardinality(String),
    day Date,
    threshold Float64,
    sure UInt64,
    sure_agreed UInt64
) ENGINE = ReplacingMergeTree(sure) ORDER BY (task, tenant, student, day, threshold);

CREATE TABLE IF NOT EXISTS rollup_progress (
    name LowCardinality(String),
    stored_until DateTime64(6, 'UTC'),
    checksum UInt64
) ENGINE = ReplacingMergeTree(stored_until) ORDER BY name;

ALTER TABLE invocations ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;
ALTER TABLE invocations MATERIALIZE INDEX stored_at_range;
ALTER TABLE verdicts ADD INDEX IF NOT EXISTS stored_at_range stored_at TYPE minmax GRANULARITY 1;
ALTER TABLE verdicts MATERIALIZE INDEX stored_at_range;
