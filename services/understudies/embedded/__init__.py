"""Compose all five services into one process."""
