"""An agent's fortnight of recorded calls, made up for demonstrations and tests."""
