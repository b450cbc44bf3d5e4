"""Serve one call: cache, student, teacher, budget, audit and outcome."""
