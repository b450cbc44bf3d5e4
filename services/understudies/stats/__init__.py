"""Statistics behind every decision: gates, drift, selective routing and consistency. Pure: no I/O."""

from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_lower, clopper_pearson_upper
from understudies.stats.class_floor import ClassFloor, Confused, critical_agreements, together
from understudies.stats.consistency import RelativeGate, ceiling
from understudies.stats.coverage import (
    COVERAGES,
    RiskPoint,
    Threshold,
    aim_of,
    ideal_coverage,
    risk_coverage,
    thresholds,
)
from understudies.stats.drift import Detector, Tier, TwoTierDrift
from understudies.stats.fallback import aimed_weights, fallback_levels, fallback_weights
from understudies.stats.gate import Decision, Gate
from understudies.stats.levels import LADDER, Levels, Proven, Stream
from understudies.stats.selective import Judged, Passed, SelectiveGate, ThresholdEvidence
from understudies.stats.spending import spent_alpha
from understudies.stats.subgroups import Subgroups

__all__ = [
    "COVERAGES",
    "LADDER",
    "ClassFloor",
    "Confused",
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
    "Stream",
    "Subgroups",
    "Threshold",
    "ThresholdEvidence",
    "Tier",
    "TwoTierDrift",
    "aim_of",
    "aimed_weights",
    "anytime_lower_bound",
    "ceiling",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "critical_agreements",
    "fallback_levels",
    "fallback_weights",
    "ideal_coverage",
    "risk_coverage",
    "spent_alpha",
    "thresholds",
    "together",
]
