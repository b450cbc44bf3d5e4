"""Statistics behind every decision: gates, drift, selective routing and consistency. Pure: no I/O."""
