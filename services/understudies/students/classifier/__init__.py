"""Implement the classifier, for tasks whose answers come from a small closed set."""
