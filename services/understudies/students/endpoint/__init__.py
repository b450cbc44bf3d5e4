"""Ask OpenAI-compatible endpoints: settings, connection pool, streamed and complete chat completions."""
