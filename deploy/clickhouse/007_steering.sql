-- What people decided about tasks. Stages of students, and all rows from before, have no action.

ALTER TABLE promotions ADD COLUMN IF NOT EXISTS
    steering Tuple(action LowCardinality(String), by String, student Nullable(String));
