"""Calibrate a generating student on its validation calls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import JsonValue

from understudies.students.calibration import Calibration, Check, calibration_error, cross_fit, log_loss
from understudies.trainer.validation import ValidationCall

_FEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """Calibration, the validation calls with calibrated confidences, and the calibration error before and after."""

    calibration: Calibration
    validation_calls: tuple[ValidationCall, ...]
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)


def calibrate(judged: Sequence[ValidationCall], checks: Sequence[Check | None] | None = None) -> CalibrationResult:
    """Fit a calibration on the calls of an uncalibrated student; ignore calls that it did not answer.

    The `checks` of a verifier count only where they lower the cross-validated log loss. `error_after` is
    cross-validated, so that overfitting does not count as an improvement.
    """
    answered = [i for i, one in enumerate(judged) if one.confidence > 0]
    if len(answered) < _FEWEST:
        return CalibrationResult(Calibration(), tuple(judged))
    sums = [math.log(min(judged[i].confidence, 1.0)) for i in answered]
    agreed = [judged[i].agreed for i in answered]
    held_out = cross_fit(sums, agreed)
    metrics: dict[str, JsonValue] = {}
    weighed: list[Check | None] | None = None
    if checks is not None:
        weighed = [checks[i] for i in answered]
        checked = cross_fit(sums, agreed, weighed)
        metrics["verifier"] = _verifier_metrics(weighed, agreed, before=held_out, after=checked)
        if log_loss(checked, agreed) < log_loss(held_out, agreed):
            held_out = checked
        else:
            weighed = None
    fitted = Calibration.fit(sums, agreed, weighed)
    metrics["calibration"] = {
        "n": len(answered),
        "error_before": round(calibration_error([judged[i].confidence for i in answered], agreed), 6),
        "error_after": round(calibration_error(held_out, agreed), 6),
    }
    calls = list(judged)
    for place, i in enumerate(answered):
        confidence = fitted(sums[place], None if weighed is None else weighed[place])
        calls[i] = replace(judged[i], confidence=confidence)
    return CalibrationResult(fitted, tuple(calls), metrics)


def _verifier_metrics(
    checks: Sequence[Check | None], agreed: Sequence[bool], *, before: Sequence[float], after: Sequence[float]
) -> JsonValue:
    """Return how often a verifier confirms, how often what it confirms is right, and the cross-validated log loss."""
    confirmed = [
        was_right for check, was_right in zip(checks, agreed, strict=True) if check is not None and check.agrees
    ]
    return {
        "confirmed": round(len(confirmed) / len(agreed), 6),
        "confirmed_right": round(sum(confirmed) / len(confirmed), 6) if confirmed else 0.0,
        "log_loss_before": round(log_loss(before, agreed), 6),
        "log_loss_after": round(log_loss(after, agreed), 6),
    }
