"""Generate an agent's fortnight of synthetic recorded calls, for demonstrations and tests."""
