"""Implement the few-shot student: another model, shown examples of the teacher's answers."""
