-- Whether a call was drawn to be audited. Rows from before do not say, as old events do not.

ALTER TABLE invocations MODIFY COLUMN route Tuple(
    reason LowCardinality(String),
    threshold Nullable(Float64),
    share Float64,
    audit_probability Float64,
    student_cost_usd Decimal(18, 9),
    drawn Nullable(Bool)
);
