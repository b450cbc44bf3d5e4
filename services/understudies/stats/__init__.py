"""Statistics behind every decision: gates, drift, selective routing and consistency. Pure: no I/O."""

from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_lower, clopper_pearson_upper
from understudies.stats.class_floor import ClassFloor
from understudies.stats.consistency import RelativeGate, ceiling
from understudies.stats.coverage import (
    COVERAGES,
    RiskPoint,
    Threshold,
    ideal_coverage,
    risk_coverage,
    thresholds,
)
from understudies.stats.drift import Detector, Tier, TwoTierDrift
from understudies.stats.fallback import fallback_levels, fallback_weights
from understudies.stats.gate import Decision, Gate
from understudies.stats.levels import LADDER, Levels, Proven
from understudies.stats.selective import Judged, Passed, SelectiveGate, ThresholdEvidence

__all__ = [
    "COVERAGES",
    "LADDER",
    "ClassFloor",
    "Decision",
    "Detector",
    "Gate",
    "Judged",
    "Levels",
    "Passed",
    "Proven",
    "RelativeGate",
    "RiskPoint",
    "SelectiveGate",
    "Threshold",
    "ThresholdEvidence",
    "Tier",
    "TwoTierDrift",
    "anytime_lower_bound",
    "ceiling",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "fallback_levels",
    "fallback_weights",
    "ideal_coverage",
    "risk_coverage",
    "thresholds",
]
