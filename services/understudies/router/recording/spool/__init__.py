"""Keep events on disk while the bus is unavailable."""
