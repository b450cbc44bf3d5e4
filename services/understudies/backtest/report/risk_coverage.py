"""Read the risk-coverage curve of a student from the evidence of its gates."""

from collections.abc import Mapping
from typing import Any

from understudies.backtest.report.report import CoveragePoint
from understudies.stats.bounds import anytime_lower_bound


def coverage_curve(evidence: Mapping[str, Any]) -> list[CoveragePoint]:
    """Return the agreement on the surest calls for each share of them that was measured."""
    return [
        CoveragePoint(
            coverage=point["coverage"],
            threshold=point["threshold"],
            agreement=point["agreement"],
            n=point["n"],
            lower=_lower_bound(point),
        )
        for point in evidence.get("curve", [])
        if point["agreement"] is not None and point["n"]
    ]


def _lower_bound(point: Mapping[str, Any]) -> float:
    """Return the lesser bound of distinct inputs and calls; 0 before both have evidence."""
    n, agreement = point.get("forward_n", point["n"]), point.get("forward_agreement", point["agreement"])
    by_call = anytime_lower_bound(round(agreement * n), n) if n and agreement is not None else 0.0
    return min(by_call, anytime_lower_bound(round(point["agreement"] * point["n"]), point["n"]))
