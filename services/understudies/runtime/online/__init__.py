"""Fast state that replicas share and may lose: Redis, or the memory of one process."""
