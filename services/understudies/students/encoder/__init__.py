"""Encode sentences as vectors with a small transformer that needs no deep-learning framework."""
