"""Convert between the APIs of model providers and one canonical form. Pure: no I/O."""
