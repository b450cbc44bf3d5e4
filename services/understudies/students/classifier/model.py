"""Fit and apply a classifier: two heads, their pool and the confidence in its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from understudies.datasets.errors import ArtifactError
from understudies.students.classifier import archive
from understudies.students.classifier.confidence import (
    CHUNK,
    HeadPool,
    Prediction,
    concatenate_predictions,
    predict_labels,
    predict_training_texts,
)
from understudies.students.classifier.features import Features, Featurizer, NGrams
from understudies.students.classifier.heads import (
    KernelHead,
    Labels,
    LinearHead,
    fit_kernel,
    fit_linear,
    fit_temperature,
)
from understudies.students.confidence_model import ConfidenceModel, OutOfSample
from understudies.students.encoder.runtime import ENCODER_NAME
from understudies.students.vectors import Floats

MAX_TRAINING_EXAMPLES = 12_000
"""Most examples that a fit uses: of more, the last ones (time grows with the cube, memory with the square)."""

_FORMAT = 1


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ClassifierModel:
    """Predict one of the training labels, and the probability that the teacher agrees.

    Nobody changes a model, so that all who read the same files in a process share one: it takes tens of megabytes, and
    a platform in one process has it once to try a student and once to serve it.
    """

    labels: tuple[str, ...]
    featurizer: Featurizer
    kernel: KernelHead
    linear: LinearHead
    training_labels: Labels
    pool: HeadPool
    confidence: ConfidenceModel
    out_of_sample: OutOfSample | None = None
    """How the training texts were classified by heads fitted without them; None in a model read from files."""

    def predict(self, texts: Sequence[str]) -> tuple[list[str], NDArray[np.float64]]:
        """Return labels and confidences in [0, 1], one for each text."""
        prediction = self._predict(texts)
        return [self.labels[label] for label in prediction.labels], self.confidence(prediction.features)

    def is_prepared(self, texts: Sequence[str]) -> bool:
        """Return whether a prediction for these texts takes no more than a millisecond each."""
        return self.featurizer.is_prepared(texts)

    def _predict(self, texts: Sequence[str]) -> Prediction:
        # Of each text, the similarity to every training text is in memory four times meanwhile.
        starts = range(0, max(1, len(texts)), CHUNK)
        return concatenate_predictions(
            [self._predict_features(self.featurizer(texts[start : start + CHUNK])) for start in starts]
        )

    def _predict_features(self, features: Features) -> Prediction:
        cosines = self.kernel.cosines(features)
        kernel = self.kernel.scores(cosines)
        return predict_labels(self.pool(kernel, self.linear.scores(features)), kernel, cosines, self.training_labels)

    def to_files(self) -> dict[str, bytes]:
        """Serialise the model as files that contain no code; equal models give equal bytes."""
        return archive.pack(_to_json(self), _to_arrays(self))

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "ClassifierModel":
        """Read the model that `to_files` wrote; raises ArtifactError if a file is missing, damaged or foreign."""
        digest = archive.digest(content)
        model = _in_use.get(digest)
        if model is None:
            words, numbers = archive.unpack(content)
            try:
                model = _from_archive(words, numbers)
                model.predict([""])
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise ArtifactError(f"the files do not contain a classifier of this version: {error!r}") from error
            # Of two threads that read the same files at once, one model is kept.
            model = _in_use.setdefault(digest, model)
        return model

    def save(self, folder: Path) -> None:
        """Write the files into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.to_files().items():
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, folder: Path) -> "ClassifierModel":
        """Read the files that `save` wrote; raises ArtifactError if it cannot."""
        try:
            return cls.from_files({name: (folder / name).read_bytes() for name in archive.FILE_NAMES})
        except OSError as error:
            raise ArtifactError(f"cannot read a classifier in {str(folder)!r}: {error}") from error


_in_use: Final = WeakValueDictionary[bytes, ClassifierModel]()
"""The models that were read from files, by the digest of these, for as long as anybody uses them."""


def fit_classifier(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
    weights: Sequence[float] | None = None,
    validation: tuple[Sequence[str], Sequence[str]] = ((), ()),
    encoder: bool = False,
) -> ClassifierModel:
    """Fit on the teacher's answers, oldest first; surrounding white space of a label is ignored.

    `weights` are relative (inverse probabilities of being recorded); `validation` calibrates the confidence, together
    with the out-of-sample scores of the training texts. Raises ValueError without texts or if the lengths differ.
    """
    if not texts or len(texts) != len(labels):
        raise ValueError(f"a classifier needs texts and the same number of labels, got {len(texts)} and {len(labels)}")
    given = np.ones(len(texts)) if weights is None else np.asarray(weights, float)
    if len(given) != len(texts) or not np.all(np.isfinite(given) & (given > 0)):
        raise ValueError("weights must be finite and above 0, one for each text")
    recent = slice(-MAX_TRAINING_EXAMPLES, None)
    names, codes = np.unique([label.strip() for label in labels[recent]], return_inverse=True)
    share = (given[recent] / given[recent].mean()).astype(np.float32)
    featurizer, features = Featurizer.fit(texts[recent], encoder=encoder)
    kernel, kernel_out = fit_kernel(features, codes, len(names), share)
    linear, linear_out = fit_linear(features, codes, len(names), share, seed)
    pool = HeadPool(fit_temperature(kernel_out, codes, share), fit_temperature(linear_out, codes, share))
    left_out = predict_training_texts(pool(kernel_out, linear_out), kernel_out, kernel.support, codes)
    model = ClassifierModel(
        labels=tuple(str(name) for name in names),
        featurizer=featurizer,
        kernel=kernel,
        linear=linear,
        training_labels=codes,
        pool=pool,
        confidence=ConfidenceModel.from_pooled_probability(left_out.features.shape[1]),
    )
    return _calibrate(model, left_out, share, validation)


def _calibrate(
    model: ClassifierModel, left_out: Prediction, share: Floats, validation: tuple[Sequence[str], Sequence[str]]
) -> ClassifierModel:
    texts, answers = validation
    if len(texts) != len(answers):
        raise ValueError(f"validation has {len(texts)} texts and {len(answers)} labels")
    training_agreed = left_out.labels == model.training_labels
    agreed, evidence = training_agreed, left_out.features
    if texts:
        predicted = model._predict(texts)
        right = [model.labels[label] == answer.strip() for label, answer in zip(predicted.labels, answers, strict=True)]
        agreed, evidence = np.concatenate([agreed, right]), np.concatenate([evidence, predicted.features])
        share = np.concatenate([share, np.ones(len(texts), np.float32)])
    confidence = ConfidenceModel.fit(evidence, agreed, share)
    out_of_sample = OutOfSample(confidence(left_out.features), training_agreed)
    return replace(model, confidence=confidence, out_of_sample=out_of_sample)


def _to_json(model: ClassifierModel) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "labels": model.labels,
        "encoder": ENCODER_NAME if model.featurizer.encoder else None,
        "grams": [
            {"analyzer": one.analyzer, "longest": one.longest, "terms": one.terms} for one in model.featurizer.grams
        ],
        "pool": [model.pool.kernel, model.pool.linear],
        "bias": model.confidence.bias,
    }


def _to_arrays(model: ClassifierModel) -> archive.Arrays:
    rarities = {f"rarity_{index}": one.rarity for index, one in enumerate(model.featurizer.grams)}
    return {
        "centre": model.featurizer.centre,
        "support": model.kernel.support,
        "coefficients": model.kernel.coefficients,
        "linear_grams": model.linear.grams,
        "linear_sentences": model.linear.sentences,
        "linear_bias": model.linear.bias,
        "known": model.training_labels.astype(np.int32),
        "evidence_centre": model.confidence.centre,
        "evidence_scale": model.confidence.scale,
        "evidence_coefficients": model.confidence.coefficients,
        **rarities,
    }


def _uses_encoder(name: object) -> bool:
    if not name:
        return False
    if name != ENCODER_NAME:
        # Until 0.1.0 another build of the encoder was recorded as `true`.
        raise ArtifactError(
            f"the student was trained with another sentence encoder than {ENCODER_NAME}; train it again"
        )
    return True


def _from_archive(words: dict[str, Any], numbers: archive.Arrays) -> ClassifierModel:
    if words["format"] != _FORMAT:
        raise ValueError(f"unsupported format {words['format']!r}, expected {_FORMAT}")
    grams = [
        NGrams(one["analyzer"], one["longest"], tuple(one["terms"]), numbers[f"rarity_{index}"])
        for index, one in enumerate(words["grams"])
    ]
    return ClassifierModel(
        labels=tuple(words["labels"]),
        featurizer=Featurizer(grams, numbers["centre"], encoder=_uses_encoder(words["encoder"])),
        kernel=KernelHead(numbers["support"], numbers["coefficients"]),
        linear=LinearHead(numbers["linear_grams"], numbers["linear_sentences"], numbers["linear_bias"]),
        training_labels=numbers["known"].astype(np.intp),
        pool=HeadPool(*words["pool"]),
        confidence=ConfidenceModel(
            numbers["evidence_centre"],
            numbers["evidence_scale"],
            numbers["evidence_coefficients"],
            float(words["bias"]),
        ),
    )
