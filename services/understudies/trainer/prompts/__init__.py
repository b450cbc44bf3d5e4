"""Optimise a task's prompt for another model: instructions, examples and the schema of answers together."""
