"""Judges: whether a student's answer agrees with the teacher's. Pure: no I/O."""
