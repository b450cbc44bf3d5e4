-- Whether an imported call counts for training alone, as its log was older than evidence may be.

ALTER TABLE invocations ADD COLUMN IF NOT EXISTS training_only Bool DEFAULT false AFTER fingerprint;
