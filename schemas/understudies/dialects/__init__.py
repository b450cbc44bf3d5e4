"""Decode and encode the APIs of model providers: one canonical form for all. Pure: no I/O."""
