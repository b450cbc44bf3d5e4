"""Students that answer in JSON with values that they find in the request."""
