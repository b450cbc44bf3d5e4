"""Readers of recorded calls, whatever tool recorded them."""
