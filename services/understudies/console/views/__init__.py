"""Render the console's pages from what was read."""
