"""The evaluator: judges students in shadow, gates them, audits them and watches for drift."""
