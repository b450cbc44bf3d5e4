"""The teachers' side of the router: which teacher has a model, and how it is asked."""
