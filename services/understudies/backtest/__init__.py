"""Recorded calls played through the five services on a virtual clock: what would have been saved."""
