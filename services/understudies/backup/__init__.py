"""Back up a data folder, of a running process too, and restore it."""
