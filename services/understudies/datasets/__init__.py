"""Datasets: examples, inputs, conversations, near copies, and the object store they lie in."""
