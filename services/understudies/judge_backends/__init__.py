"""What some judges need beyond pure functions: a sentence encoder, tests that run code, a model that reads a rubric."""
