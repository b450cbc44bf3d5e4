"""Read recorded calls from the log formats of many tools."""
