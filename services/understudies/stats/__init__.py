"""Statistics behind every decision: gates, drift, selective routing and consistency. Pure: no I/O."""

from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_lower, clopper_pearson_upper
from understudies.stats.class_floor import ClassFloor, Confusion, critical_agreements, merge_confusion
from understudies.stats.consistency import RelativeGate, agreement_ceiling
from understudies.stats.coverage import (
    COVERAGES,
    RiskPoint,
    Threshold,
    choose_aim,
    coverage_thresholds,
    ideal_coverage,
    risk_coverage,
)
from understudies.stats.drift import DriftDetector, DriftTier, TwoTierDriftDetector
from understudies.stats.fallback import aimed_weights, fallback_levels, fallback_weights
from understudies.stats.gate import Gate, GateState
from understudies.stats.levels import AGREEMENT_LEVELS, AgreementLevels, EvidenceStream, ProvenLevels
from understudies.stats.selective import PassedThreshold, ScoredCall, SelectiveGate, ThresholdEvidence
from understudies.stats.spending import alpha_for_trial
from understudies.stats.subgroups import SubgroupMonitor

__all__ = [
    "COVERAGES",
    "AGREEMENT_LEVELS",
    "ClassFloor",
    "Confusion",
    "GateState",
    "DriftDetector",
    "Gate",
    "ScoredCall",
    "AgreementLevels",
    "PassedThreshold",
    "ProvenLevels",
    "RelativeGate",
    "RiskPoint",
    "SelectiveGate",
    "EvidenceStream",
    "SubgroupMonitor",
    "Threshold",
    "ThresholdEvidence",
    "DriftTier",
    "TwoTierDriftDetector",
    "choose_aim",
    "aimed_weights",
    "anytime_lower_bound",
    "agreement_ceiling",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "critical_agreements",
    "fallback_levels",
    "fallback_weights",
    "ideal_coverage",
    "risk_coverage",
    "alpha_for_trial",
    "coverage_thresholds",
    "merge_confusion",
]
