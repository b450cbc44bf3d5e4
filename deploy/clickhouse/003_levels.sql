-- What a student is proven to beyond its promise: pairs of an agreement and the confidence from which it holds.

ALTER TABLE gate_decisions ADD COLUMN IF NOT EXISTS levels Array(Tuple(Float64, Float64)) DEFAULT [] AFTER coverage;
ALTER TABLE promotions ADD COLUMN IF NOT EXISTS levels Array(Tuple(Float64, Float64)) DEFAULT [] AFTER threshold;
