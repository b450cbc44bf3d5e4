"""Erase a tenant's or a request's calls, and what was made of them."""
