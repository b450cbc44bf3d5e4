"""Provide the foundations of every service: bus, store, clock, snapshots, telemetry and embedded broker."""
