"""The platform: all five services composed into one process."""
