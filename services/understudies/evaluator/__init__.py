"""The evaluator: judges students in shadow, gates them, audits them and watches for drift."""

from understudies.evaluator.app import EvaluatorApp, create_app
from understudies.evaluator.settings import EvaluatorSettings

__all__ = ["EvaluatorApp", "EvaluatorSettings", "create_app"]
