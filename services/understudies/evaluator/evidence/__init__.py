"""Evidence of a trial: the verdicts that may count, grouped by conversation, and the gates they feed."""
