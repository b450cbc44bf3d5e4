-- Whether a teacher that cost nothing is known to: other answers without a cost came without a price.

ALTER TABLE invocations ADD COLUMN IF NOT EXISTS free Bool DEFAULT false AFTER cost_usd;
