"""Implement LoRA students: adapters of one open base model, swapped in by request."""
