"""Draw how far the gates of a student are, for every share of the calls that it may serve."""

import math
from collections.abc import Sequence

from understudies.backtest.report.formatting import format_percent
from understudies.backtest.report.svg import Axis, Chart
from understudies.console.reads.task_details import GatePoint

_BAR_WIDTH = 0.009


def render_evidence_chart(name: str, points: Sequence[GatePoint]) -> str | None:
    """Return the evidence on distinct inputs and on calls, as parts of what passes; None without a gate.

    Evidence multiplies, so the axis is logarithmic: half the way is the square root of the e-value that passes.
    """
    needed = max((point.needed for point in points if point.needed), default=None)
    if needed is None or needed <= 1:
        return None
    ticks = [(0.0, "1"), (0.5, f"{math.sqrt(needed):,.3g}"), (1.0, f"{needed:,.3g}")]
    chart = Chart(Axis(0.0, 1.0, [(k / 4, f"{k * 25}%") for k in range(5)]), Axis(0.0, 1.05, ticks))
    for point in points:
        inputs, calls = _way(point.inputs, needed), _way(point.calls, needed)
        state = "proven" if point.passed else "not proven yet"
        title = (
            f"The surest {format_percent(point.coverage, 0)} of the calls: evidence {point.inputs:,.3g} on distinct "
            f"inputs and {point.calls:,.3g} on calls, of {needed:,.3g}; {state}"
        )
        chart.add_bar(point.coverage - 2 * _BAR_WIDTH, point.coverage, inputs, "evidence", title)
        chart.add_bar(point.coverage, point.coverage + 2 * _BAR_WIDTH, calls, "calls", title)
    proven = [point.coverage for point in points if point.passed]
    summary = f"Proven on the surest {format_percent(max(proven), 0)} of the calls." if proven else _describe(points)
    return chart.render(name, "Evidence of the gates by share of calls, as e-values", summary)


def _describe(points: Sequence[GatePoint]) -> str:
    best = max(points, key=lambda point: min(point.inputs, point.calls))
    return (
        f"Nothing is proven yet; the most evidence is {best.inputs:,.3g} on distinct inputs and {best.calls:,.3g} on "
        f"calls, at the surest {format_percent(best.coverage, 0)}."
    )


def _way(evidence: float, needed: float) -> float:
    return min(max(math.log(max(evidence, 1.0)) / math.log(needed), 0.0), 1.05)
