"""Train LoRA students: adapters of an open base model, in a process of its own."""
