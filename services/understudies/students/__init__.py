"""Define students: their common interface, one module or package per kind, and their artifacts."""
