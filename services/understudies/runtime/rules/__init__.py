"""Read `understudies.toml`: the rules of tasks, teachers, tenants and the router."""
