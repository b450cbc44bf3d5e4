"""Handle datasets: examples, inputs, conversations, near copies, and their object store."""
