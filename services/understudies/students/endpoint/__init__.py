"""Client for OpenAI-compatible endpoints: settings, connection pool, streamed and whole chat completions."""
