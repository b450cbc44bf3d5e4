"""Calibrate a generating student on its validation calls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import JsonValue

from understudies.students.calibration import Calibration, calibration_error, cross_fit
from understudies.trainer.validation import ValidationCall

_FEWEST: Final = 10


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """Calibration, the validation calls with calibrated confidences, and the calibration error before and after."""

    calibration: Calibration
    validation_calls: tuple[ValidationCall, ...]
    metrics: Mapping[str, JsonValue] = field(default_factory=dict)


def calibrate(judged: Sequence[ValidationCall]) -> CalibrationResult:
    """Fit a calibration on the calls of an uncalibrated student; ignore calls that it did not answer.

    `error_after` is cross-validated, so that overfitting does not count as an improvement.
    """
    answered = [one for one in judged if one.confidence > 0]
    if len(answered) < _FEWEST:
        return CalibrationResult(Calibration(), tuple(judged))
    sums = [math.log(min(one.confidence, 1.0)) for one in answered]
    agreed = [one.agreed for one in answered]
    fitted = Calibration.fit(sums, agreed)
    errors: dict[str, JsonValue] = {
        "n": len(answered),
        "error_before": round(calibration_error([one.confidence for one in answered], agreed), 6),
        "error_after": round(calibration_error(cross_fit(sums, agreed), agreed), 6),
    }
    return CalibrationResult(fitted, tuple(_apply(fitted, one) for one in judged), {"calibration": errors})


def _apply(fitted: Calibration, one: ValidationCall) -> ValidationCall:
    return replace(one, confidence=fitted(math.log(min(one.confidence, 1.0)))) if one.confidence > 0 else one
