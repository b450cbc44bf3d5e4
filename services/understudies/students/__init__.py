"""Students: one interface, one file for each kind, and the artifacts and datasets they come from."""
