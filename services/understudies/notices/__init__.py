"""Notify people of what changed: students promoted, rejected, demoted and drifting, and budgets nearly spent."""
