-- What a student may answer beyond a threshold: inputs that many calls have, and what is withheld. Why an alarm came.

ALTER TABLE invocations MODIFY COLUMN route Tuple(
    reason LowCardinality(String),
    threshold Nullable(Float64),
    share Float64,
    audit_probability Float64,
    student_cost_usd Decimal(18, 9),
    drawn Nullable(Bool),
    head Bool,
    spot_check Bool
);
ALTER TABLE gate_decisions ADD COLUMN IF NOT EXISTS head_threshold Nullable(Float64) AFTER coverage;
ALTER TABLE gate_decisions ADD COLUMN IF NOT EXISTS
    withheld Tuple(answers Map(String, Float64), inputs Array(String), groups Array(String));
ALTER TABLE promotions ADD COLUMN IF NOT EXISTS head_threshold Nullable(Float64) AFTER threshold;
ALTER TABLE promotions ADD COLUMN IF NOT EXISTS
    withheld Tuple(answers Map(String, Float64), inputs Array(String), groups Array(String));
ALTER TABLE gate_decisions ADD COLUMN IF NOT EXISTS judge LowCardinality(Nullable(String));
ALTER TABLE promotions ADD COLUMN IF NOT EXISTS judge LowCardinality(Nullable(String));
ALTER TABLE promotions ADD COLUMN IF NOT EXISTS spot_checks Bool DEFAULT false;
ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS spot_check Bool DEFAULT false;
ALTER TABLE drift ADD COLUMN IF NOT EXISTS cause LowCardinality(String) DEFAULT 'agreement' AFTER drifted;
