"""Decide who serves a call: routing table, decision and episode thresholds. Pure."""
