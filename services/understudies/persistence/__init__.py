"""Snapshots of state: what an object saves, declared once by the annotations of its attributes."""
