"""The few-shot student: another model, shown how the teacher answered."""
