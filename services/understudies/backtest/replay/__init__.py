"""Replay recorded calls through the services in virtual time, and collect the events."""
