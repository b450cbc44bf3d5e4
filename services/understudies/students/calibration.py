"""Map the probability of a generated answer to the probability that the teacher agrees with it."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudies.datasets.errors import ArtifactError

Doubles = NDArray[np.float64]

CALIBRATION_FILE: Final = "calibration.json"
_LEAST_LOG: Final = -700.0
_MOST_LOG: Final = -1e-7
_LEAST_SLOPE: Final = 1e-3
_MOST_SLOPE: Final = 100.0
_SPREAD_OF_BIAS: Final = 3.0
_SPREAD_OF_CHECKS: Final = 2.0
_MOST_TRUSTED: Final = 0.999
_FOLDS: Final = 5


class Check(NamedTuple):
    """What a verifier says of an answer: whether its own one agrees, and its confidence in that in [0, 1]."""

    agrees: bool
    confidence: float


class Calibration(BaseModel):
    """Monotone map from the sum s of an answer's token log-probabilities to a confidence in [0, 1].

    Beta calibration: with p = exp(s), the log-odds of agreement are `slope` * log p - `lead` * log(1 - p) + `bias`.
    If a verifier answered, too, its own log-odds, times `trust`, are added if it agrees and subtracted if not, and
    `confirmation` is added if it agrees: two that err for different reasons seldom give the same wrong answer. A
    weighted logarithmic opinion pool: Genest and Zidek (1986), "Combining probability distributions: a critique and an
    annotated bibliography", Stat. Sci. 1(1).

    No weight but the bias is negative, so the confidence never rises as the sum falls: a threshold on the confidence is
    a threshold on the sum, and a partial sum that has fallen below it cannot recover. Answers with the same check keep
    their order, unlike with isotonic regression, which needs about a thousand examples and ties answers that the gate
    could have distinguished. Platt scaling is this map without `lead`: it cannot leave calibrated confidences
    unchanged, and hardly distinguishes answers that are nearly certain. By default, the map is the identity, exp(s).

    Kull, Silva Filho and Flach (2017), "Beta calibration: a well-founded and easily implemented improvement on
    logistic calibration for binary classifiers", AISTATS. Niculescu-Mizil and Caruana (2005), "Predicting good
    probabilities with supervised learning", ICML, compare Platt's and isotonic.

    >>> Calibration()(math.log(0.25))
    0.25
    >>> long_answers_are_right = Calibration(slope=0.1, lead=0.5, bias=3.0)
    >>> round(long_answers_are_right(-20.0), 3)
    0.731
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    slope: float = Field(default=1.0, ge=_LEAST_SLOPE, allow_inf_nan=False)
    lead: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    bias: float = Field(default=0.0, allow_inf_nan=False)
    confirmation: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    trust: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)

    @property
    def is_identity(self) -> bool:
        return self.slope == 1.0 and self.lead == 1.0 and self.bias == 0.0 and not self.needs_verifier

    @property
    def needs_verifier(self) -> bool:
        """Whether checks of a verifier count."""
        return self.confirmation > 0.0 or self.trust > 0.0

    def __call__(self, log_probability: float, check: Check | None = None) -> float:
        """Return the confidence, 0 for an impossible answer; raises ValueError for anything but a log-probability."""
        if not log_probability <= 0.0:
            raise ValueError(f"{log_probability!r} is not the logarithm of a probability")
        if log_probability == -math.inf:
            return 0.0
        if self.is_identity:
            return math.exp(log_probability)
        s = min(max(log_probability, _LEAST_LOG), _MOST_LOG)
        odds = self.slope * s - self.lead * math.log(-math.expm1(s)) + self.bias
        confirmed, pooled = _check_evidence(check)
        return _probability(odds + self.confirmation * confirmed + self.trust * pooled)

    def upper_bound(self, log_sum: float, verifier_confidence: float | None = None) -> float:
        """Return the most confidence that an answer can reach, by the sum of its log-probabilities so far.

        `verifier_confidence` is that of the verifier's own answer; None if it has none.
        """
        if verifier_confidence is None:
            return self(log_sum)
        return max(self(log_sum, Check(agrees, verifier_confidence)) for agrees in (True, False))

    @classmethod
    def fit(
        cls,
        log_probabilities: Sequence[float],
        agreed: Sequence[bool],
        checks: Sequence[Check | None] | None = None,
    ) -> "Calibration":
        """Fit the map by penalised maximum likelihood; a few examples hardly move it from the identity.

        The penalty also keeps the weights finite if all or none agreed. `checks` are those of a verifier, None where it
        had no answer. Raises ValueError for a value that is not a log-probability.

        >>> Calibration.fit([], []).is_identity
        True
        >>> fitted = Calibration.fit([-20.0] * 90 + [-60.0] * 90, [True] * 85 + [False] * 5 + [False] * 90)
        >>> fitted(-20.0) > 0.9 > 0.1 > fitted(-60.0)
        True
        """
        # Imported here: answering needs no optimiser.
        from scipy.optimize import minimize

        evidence = _evidence(log_probabilities)
        right = np.asarray(agreed, dtype=bool)
        if len(evidence) != len(right) or (checks is not None and len(checks) != len(right)):
            raise ValueError(f"{len(evidence)} log-probabilities and {len(right)} verdicts or checks do not match")
        if not len(right):
            return cls()
        signs = np.where(right, 1.0, -1.0)
        centre, spread = [1.0, 1.0, 0.0], [1.0, 1.0, _SPREAD_OF_BIAS]
        bounds: list[tuple[float | None, float | None]] = [
            (_LEAST_SLOPE, _MOST_SLOPE),
            (0.0, _MOST_SLOPE),
            (None, None),
        ]
        if checks is not None:
            evidence = np.hstack([evidence, np.array([_check_evidence(check) for check in checks])])
            centre, spread = [*centre, 0.0, 0.0], [*spread, _SPREAD_OF_CHECKS, _SPREAD_OF_CHECKS]
            bounds += [(0.0, _MOST_SLOPE)] * 2
        middle, width = np.array(centre), np.array(spread)

        def loss(weights: Doubles) -> tuple[float, Doubles]:
            odds = signs * (evidence @ weights)
            off = (weights - middle) / width
            wrong = np.exp(-np.logaddexp(0.0, odds))
            gradient = off / width - (signs * wrong) @ evidence
            return float(np.logaddexp(0.0, -odds).sum() + off @ off / 2), gradient

        found = minimize(loss, middle, jac=True, method="L-BFGS-B", bounds=bounds).x
        # Rounded, so that platform differences in the last bits do not change the artifact.
        slope, lead, bias, *of_checks = (round(float(weight), 4) for weight in found)
        confirmation, trust = of_checks or (0.0, 0.0)
        slope = max(_LEAST_SLOPE, slope)
        return cls(slope=slope, lead=lead, bias=bias, confirmation=confirmation, trust=trust)

    def to_files(self) -> dict[str, bytes]:
        """Return the artifact's file; none for the identity."""
        if self.is_identity:
            return {}
        # Without a verifier nothing is said of one: artifacts keep their names.
        of_checks = {"confirmation", "trust"} if not self.needs_verifier else None
        return {CALIBRATION_FILE: self.model_dump_json(exclude=of_checks).encode()}

    @classmethod
    def from_files(cls, content: Mapping[str, bytes]) -> "Calibration":
        """Read the calibration of an artifact, the identity if it has none; raises ArtifactError for a damaged one."""
        if CALIBRATION_FILE not in content:
            return cls()
        try:
            return cls.model_validate_json(content[CALIBRATION_FILE])
        except ValidationError as error:
            raise ArtifactError(f"the calibration is invalid: {error}") from error


def calibration_error(confidences: Sequence[float], agreed: Sequence[bool], bins: int = 10) -> float:
    """Return the expected calibration error: the mean gap between confidence and agreement in bins of equal mass.

    Naeini, Cooper and Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning", AAAI; bins
    of equal mass as in Nixon et al. (2019), "Measuring calibration in deep learning". 0 if there are no answers.

    >>> calibration_error([0.5] * 4, [True, False, True, False], bins=1)
    0.0
    >>> calibration_error([0.9, 0.9, 0.1, 0.1], [True, False, False, False], bins=2)
    0.25
    """
    if not len(confidences):
        return 0.0
    order = np.argsort(np.asarray(confidences, dtype=float), kind="stable")
    gaps = np.asarray(confidences, dtype=float)[order] - np.asarray(agreed, dtype=float)[order]
    parts = np.array_split(gaps, min(bins, len(gaps)))
    return float(sum(abs(part.sum()) for part in parts) / len(gaps))


def cross_fit(
    log_probabilities: Sequence[float],
    agreed: Sequence[bool],
    checks: Sequence[Check | None] | None = None,
    folds: int = _FOLDS,
) -> list[float]:
    """Return each answer's confidence by a calibration fitted without it: every `folds`-th is held out in turn."""
    confidences = [0.0] * len(agreed)
    for fold in range(folds):
        fit = [i for i in range(len(agreed)) if i % folds != fold]
        fitted = Calibration.fit(
            [log_probabilities[i] for i in fit],
            [agreed[i] for i in fit],
            None if checks is None else [checks[i] for i in fit],
        )
        for i in range(fold, len(agreed), folds):
            confidences[i] = fitted(log_probabilities[i], None if checks is None else checks[i])
    return confidences


def log_loss(confidences: Sequence[float], agreed: Sequence[bool]) -> float:
    """Return the mean negative logarithm of the probability given to what came about, a proper scoring rule.

    Good (1952), "Rational decisions", J. R. Stat. Soc. B 14. Confidences of 0 and 1 count as 1e-7 and 1 - 1e-7.

    >>> round(log_loss([0.5, 0.5], [True, False]), 3)
    0.693
    """
    given = np.clip(np.asarray(confidences, dtype=float), -math.expm1(_MOST_LOG), math.exp(_MOST_LOG))
    return float(-np.log(np.where(np.asarray(agreed, dtype=bool), given, 1 - given)).mean()) if len(given) else 0.0


def _evidence(log_probabilities: Sequence[float]) -> Doubles:
    s = np.asarray(log_probabilities, dtype=float)
    if not np.all(s <= 0.0):
        raise ValueError("not all values are logarithms of a probability")
    s = np.clip(s, _LEAST_LOG, _MOST_LOG)
    return np.stack([s, -np.log(-np.expm1(s)), np.ones_like(s)], axis=1) if len(s) else np.zeros((0, 3))


def _check_evidence(check: Check | None) -> tuple[float, float]:
    """Return whether an answer is confirmed, and the verifier's log-odds for or against it."""
    if check is None:
        return 0.0, 0.0
    confidence = min(max(check.confidence, 1.0 - _MOST_TRUSTED), _MOST_TRUSTED)
    odds = math.log(confidence / (1.0 - confidence))
    return (1.0, odds) if check.agrees else (0.0, -odds)


def _probability(odds: float) -> float:
    if odds >= 0:
        return 1.0 / (1.0 + math.exp(-odds))
    return math.exp(max(odds, _LEAST_LOG)) / (1.0 + math.exp(max(odds, _LEAST_LOG)))
