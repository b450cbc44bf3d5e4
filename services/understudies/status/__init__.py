"""Tell how every task stands and why: one model for the terminal, for JSON and for pages."""
