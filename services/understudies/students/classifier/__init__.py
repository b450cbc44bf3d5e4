"""The classifier: for tasks whose answers come from a small closed set."""

from understudies.students.classifier.model import LARGEST, ClassifierModel, fit
from understudies.students.classifier.sentences import LONGEST, encoder_installed

__all__ = ["LARGEST", "LONGEST", "ClassifierModel", "encoder_installed", "fit"]
