"""Keep fast, losable state that replicas share: in Redis, or in the memory of one process."""
