-- One table per kind of event, as it came from its topic. An event delivered twice has the same task, time and id,
-- and becomes one row when parts merge; queries say FINAL where that matters before. `stored_at` tells a restart what
-- was stored after a snapshot was taken; SELECT * leaves it out.

CREATE TABLE IF NOT EXISTS invocations (
    id String,
    at DateTime64(6, 'UTC'),
    task LowCardinality(String),
    episode Nullable(String),
    tenant LowCardinality(String) DEFAULT 'default',
    origin LowCardinality(String) DEFAULT 'live',
    audits Nullable(String),
    served_by LowCardinality(String) DEFAULT 'teacher',
    model LowCardinality(String),
    student LowCardinality(Nullable(String)),
    request String CODEC(ZSTD(1)),
    response Nullable(String) CODEC(ZSTD(1)),
    error Nullable(String),
    usage Tuple(prompt_tokens UInt32, completion_tokens UInt32, cached_tokens UInt32),
    cost_usd Decimal(18, 9),
    latency_ms Float64,
    confidence Nullable(Float64),
    route Tuple(
        reason LowCardinality(String),
        threshold Nullable(Float64),
        share Float64,
        audit_probability Float64,
        student_cost_usd Decimal(18, 9)
    ),
    fingerprint String,
    tags Map(String, String),
    stored_at DateTime64(6, 'UTC') MATERIALIZED now64(6),
    CONSTRAINT id_is_given CHECK id != '' AND length(id) <= 64,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT time_is_given CHECK at > '1971-01-01 00:00:00'
) ENGINE = ReplacingMergeTree ORDER BY (task, at, id);

CREATE TABLE IF NOT EXISTS verdicts (
    id String,
    at DateTime64(6, 'UTC'),
    task LowCardinality(String),
    invocation String,
    student LowCardinality(String),
    phase LowCardinality(String),
    agreed Bool,
    score Float64,
    judge LowCardinality(String),
    why Nullable(String),
    confidence Nullable(Float64),
    weight Float64 DEFAULT 1,
    fingerprint String,
    answer_class LowCardinality(Nullable(String)),
    counts Bool DEFAULT true,
    stored_at DateTime64(6, 'UTC') MATERIALIZED now64(6),
    CONSTRAINT id_is_given CHECK id != '' AND length(id) <= 64,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT time_is_given CHECK at > '1971-01-01 00:00:00'
) ENGINE = ReplacingMergeTree ORDER BY (task, at, id);

CREATE TABLE IF NOT EXISTS gate_decisions (
    id String,
    at DateTime64(6, 'UTC'),
    task LowCardinality(String),
    student LowCardinality(String),
    decision LowCardinality(String),
    threshold Nullable(Float64),
    coverage Nullable(Float64),
    reason String,
    evidence String DEFAULT '{}',
    stored_at DateTime64(6, 'UTC') MATERIALIZED now64(6),
    CONSTRAINT id_is_given CHECK id != '' AND length(id) <= 64,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT time_is_given CHECK at > '1971-01-01 00:00:00'
) ENGINE = ReplacingMergeTree ORDER BY (task, at, id);

CREATE TABLE IF NOT EXISTS promotions (
    id String,
    at DateTime64(6, 'UTC'),
    task LowCardinality(String),
    student LowCardinality(String),
    stage LowCardinality(String),
    reason String,
    dataset Nullable(String),
    artifact Nullable(String),
    share Float64,
    threshold Nullable(Float64),
    audit_rate Float64,
    evidence String DEFAULT '{}',
    stored_at DateTime64(6, 'UTC') MATERIALIZED now64(6),
    CONSTRAINT id_is_given CHECK id != '' AND length(id) <= 64,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT time_is_given CHECK at > '1971-01-01 00:00:00'
) ENGINE = ReplacingMergeTree ORDER BY (task, at, id);

CREATE TABLE IF NOT EXISTS drift (
    id String,
    at DateTime64(6, 'UTC'),
    task LowCardinality(String),
    student LowCardinality(String),
    tier LowCardinality(String),
    drifted Bool DEFAULT true,
    confidence Float64,
    statistic Float64,
    audited UInt64,
    agreement_before Nullable(Float64),
    agreement_after Nullable(Float64),
    stored_at DateTime64(6, 'UTC') MATERIALIZED now64(6),
    CONSTRAINT id_is_given CHECK id != '' AND length(id) <= 64,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT time_is_given CHECK at > '1971-01-01 00:00:00'
) ENGINE = ReplacingMergeTree ORDER BY (task, at, id);
