"""Decide whether student or teacher serves a call: routing table, decision, episode thresholds. Pure."""
