"""`understudies.toml`: what holds for each task, teacher, tenant and for the router."""
