-- What asking a model to judge has cost: nothing for other judges, nor for rows from before.

ALTER TABLE verdicts ADD COLUMN IF NOT EXISTS judge_cost_usd Decimal(18, 9) DEFAULT 0;
