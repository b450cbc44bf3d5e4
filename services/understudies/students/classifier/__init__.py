"""The classifier: for tasks whose answers come from a small closed set."""

from understudies.students.classifier.model import MAX_TRAINING_EXAMPLES, ClassifierModel, fit_classifier
from understudies.students.classifier.sentences import MAX_TEXT_CHARS, is_encoder_installed

__all__ = ["MAX_TRAINING_EXAMPLES", "MAX_TEXT_CHARS", "ClassifierModel", "is_encoder_installed", "fit_classifier"]
