"""Evidence of a trial: which verdicts may count, grouped by conversation, and the gates they feed."""
