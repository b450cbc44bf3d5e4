"""Linear-chain conditional random fields on sequences of features, by CRFsuite."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from threading import Lock
from typing import Any, Final

import pycrfsuite

from understudies.datasets.errors import ArtifactError

Features = list[list[str]]
"""The features of each item of a sequence."""
WeightedFeatures = list[dict[str, float]]
"""The same with a value for each feature; without one it is 1."""

_crfsuite: Final[Any] = pycrfsuite
"""Typed as Any: its classes come from an extension module without types."""
_L1: Final = 0.1
_L2: Final = 0.05
_ITERATIONS: Final = 60
_LEAST_GAIN: Final = 1e-3
"""Training ends when the last ten iterations improved the objective by less than this share."""
_LEAST_PROBABILITY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Labelling:
    """The most probable labels of a sequence, and its probability."""

    labels: list[str]
    probability: float


class LabelModel:
    """Labels the items of a sequence; one item alone is classified by maximum entropy."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        # One sequence at a time is in the tagger, and answers are given on the event loop and in threads.
        self._lock = Lock()
        self._tagger: Any = _crfsuite.Tagger()
        try:
            self._tagger.open_inmemory(content)
        except (ValueError, RuntimeError, OSError) as error:
            raise ArtifactError(f"the extractor's model cannot be read: {error}; train it again") from error

    @classmethod
    def fit(cls, sequences: Iterable[tuple[Features | WeightedFeatures, Sequence[str]]]) -> "LabelModel":
        """Fit by L-BFGS with L1 and L2 penalties; the same sequences give the same model.

        Raises ValueError if there is nothing to fit on: a model without labels cannot be used safely.

        Lafferty, McCallum and Pereira (2001), "Conditional random fields", ICML; Okazaki (2007), CRFsuite.
        """
        trainer: Any = _crfsuite.Trainer(verbose=False)
        items = 0
        for features, labels in sequences:
            trainer.append(_crfsuite.ItemSequence(features), list(labels))
            items += len(labels)
        if not items:
            raise ValueError("a model of labels needs at least one labelled item")
        trainer.set_params({"c1": _L1, "c2": _L2, "max_iterations": _ITERATIONS, "delta": _LEAST_GAIN})
        # CRFsuite writes to a path alone.
        with tempfile.TemporaryDirectory(prefix="understudies-") as folder:
            path = FilePath(folder) / "model"
            trainer.train(str(path))
            return cls(path.read_bytes())

    def label(self, features: Features | WeightedFeatures) -> Labelling:
        """Return the most probable labels of a sequence."""
        if not features:
            return Labelling([], 1.0)
        sequence = _crfsuite.ItemSequence(features)
        with self._lock:
            self._tagger.set(sequence)
            labels: list[str] = self._tagger.tag()
            probability = float(self._tagger.probability(labels))
        return Labelling(labels, max(probability, _LEAST_PROBABILITY))
