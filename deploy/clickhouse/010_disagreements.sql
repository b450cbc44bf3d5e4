-- What a student answered where it disagreed: rows from before do not say. What people think of a disagreement: a note
-- beside the evidence, which is never changed by it; the latest of a verdict holds.

ALTER TABLE verdicts
    ADD COLUMN IF NOT EXISTS student_answer Nullable(String) CODEC(ZSTD(1)) AFTER answer_class,
    ADD COLUMN IF NOT EXISTS student_class LowCardinality(Nullable(String)) AFTER student_answer;

CREATE TABLE IF NOT EXISTS marks (
    task LowCardinality(String),
    verdict String,
    at DateTime64(6, 'UTC'),
    mark LowCardinality(String),
    by String,
    note String,
    CONSTRAINT task_is_given CHECK task != '' AND length(task) <= 800,
    CONSTRAINT verdict_is_given CHECK verdict != '' AND length(verdict) <= 64
) ENGINE = ReplacingMergeTree(at) ORDER BY (task, verdict);
