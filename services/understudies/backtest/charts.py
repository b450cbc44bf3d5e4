"""The four charts of a task."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import accumulate

from understudies.backtest.report import Chosen, CoveragePoint, Day, Decision
from understudies.backtest.svg import WIDTH, Axis, Chart, round_marks
from understudies.backtest.wording import count, money, percent

_MOST_DAY_LABELS = 7
_DAY = 86_400.0
_RULES = {
    "promoted": "good",
    "demoted": "bad",
    "rejected": "bad",
    "drift_contract": "bad",
    "drift_warn": "warn",
}


def agreement_chart(name: str, days: Sequence[Day], decisions: Sequence[Decision]) -> str | None:
    """Agreement with the teacher over time, between its bounds; None where no evidence was gathered."""
    known = [day for day in days if day.agreement is not None]
    if not known:
        return None
    floor = min(_first(day.lower, day.agreement) for day in known)
    low = max(0.0, min(floor, 0.98))
    chart = Chart(_time_axis(days), _share_axis(low))
    for stretch in _stretches(days):
        lower = [(_noon(day), _first(day.lower, day.agreement)) for day in stretch]
        upper = [(_noon(day), _first(day.upper, day.agreement)) for day in stretch]
        middle = [(_noon(day), _first(day.agreement)) for day in stretch]
        chart.band(lower, upper, "student")
        chart.line(lower, "student thin")
        chart.line(middle, "student")
        for day, point in zip(stretch, middle, strict=True):
            chart.dot(point, "student", f"{_date(day.at)}: {percent(day.agreement)}, at least {percent(day.lower)}")
    _rules(chart, decisions)
    last = known[-1]
    summary = f"{percent(last.agreement)} at the end, proven to be at least {percent(last.lower)}."
    return chart.svg(name, "Agreement with the teacher, with its bounds, by day", summary)


def served_chart(name: str, days: Sequence[Day], decisions: Sequence[Decision]) -> str | None:
    """Share of each day's calls that a student served; None where there were no calls."""
    if not any(day.calls for day in days):
        return None
    chart = Chart(_time_axis(days), Axis(0.0, 1.0, [(k / 4, f"{k * 25}%") for k in range(5)]))
    for day in days:
        if day.calls:
            start = day.at.timestamp()
            title = f"{_date(day.at)}: {count(day.served)} of {count(day.calls)} calls served"
            chart.bar(start + 0.12 * _DAY, start + 0.88 * _DAY, 1.0, "teacher faint", title)
            if day.served:
                chart.bar(start + 0.12 * _DAY, start + 0.88 * _DAY, day.served / day.calls, "student", title)
    _rules(chart, decisions)
    served, calls = sum(day.served for day in days), sum(day.calls for day in days)
    return chart.svg(name, "Share of calls served by a student, by day", f"{percent(served / calls)} in all.")


def cost_chart(name: str, days: Sequence[Day], width: int = WIDTH) -> str | None:
    """Cumulative cost with and without students; None where nothing cost anything."""
    before = _cumulative([day.cost_before for day in days])
    after = _cumulative([day.cost_after for day in days])
    highest = max([*before, *after], default=0.0)
    if highest <= 0:
        return None
    marks = round_marks(0.0, highest)
    chart = Chart(_time_axis(days), Axis(0.0, marks[-1], [(mark, money(mark)) for mark in marks]), width)
    first = days[0].at.timestamp()
    ends = [first, *(day.at.timestamp() + _DAY for day in days)]
    without, with_ = list(zip(ends, [0.0, *before], strict=True)), list(zip(ends, [0.0, *after], strict=True))
    chart.band(with_, without, "saved")
    chart.line(without, "teacher")
    chart.line(with_, "student")
    for day, point in zip(days, with_[1:], strict=True):
        chart.dot(point, "student", f"by the end of {_date(day.at)}: {money(point[1])}", 2.4)
    summary = f"{money(before[-1])} without students, {money(after[-1])} with them."
    return chart.svg(name, "Cumulative cost without and with students", summary)


def coverage_chart(name: str, points: Sequence[CoveragePoint], chosen: Chosen | None) -> str | None:
    """Agreement against the share of calls served, over all thresholds; None where it was not measured."""
    curve = sorted(points, key=lambda point: point.coverage)
    if not curve:
        return None
    bounds = [(point.coverage, point.lower) for point in curve if point.lower is not None]
    low = min([*(point.agreement for point in curve), *(lower for _, lower in bounds)])
    chart = Chart(Axis(0.0, 1.0, [(k / 4, f"{k * 25}%") for k in range(5)]), _share_axis(low))
    chart.line(bounds, "student thin")
    chart.line([(point.coverage, point.agreement) for point in curve], "student")
    for point in curve:
        title = f"from confidence {point.threshold:.3f}: {percent(point.coverage)} served, {percent(point.agreement)}"
        chart.dot((point.coverage, point.agreement), "student", f"{title} agree (n = {count(point.n)})", 2.4)
    summary = "No threshold was chosen."
    if chosen is not None:
        summary = f"Chosen: confidence {chosen.threshold:.3f}, serving {percent(chosen.coverage)} of calls."
        nearest = min(curve, key=lambda point: abs(point.coverage - chosen.coverage))
        chart.rule(chosen.coverage, "chosen", summary)
        chart.dot((chosen.coverage, nearest.agreement), "chosen", summary, 5.0)
    return chart.svg(name, "Agreement by share of calls served", summary)


def _rules(chart: Chart, decisions: Sequence[Decision]) -> None:
    for decision in decisions:
        if decision.event in _RULES:
            title = f"{_date(decision.at)}: {decision.event.replace('_', ' ')} {decision.student or ''}".strip()
            chart.rule(decision.at.timestamp(), _RULES[decision.event], title)


def _time_axis(days: Sequence[Day]) -> Axis:
    every = -(-len(days) // _MOST_DAY_LABELS)
    marks = [(_noon(day), _date(day.at)) for day in days[::every]]
    return Axis(days[0].at.timestamp(), days[-1].at.timestamp() + _DAY, marks)


def _share_axis(low: float) -> Axis:
    marks = [mark for mark in round_marks(max(min(low, 0.99), 0.0), 1.0) if mark <= 1.0 + 1e-9]
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    places = 0 if step >= 0.01 - 1e-9 else 1
    return Axis(marks[0], 1.0, [(mark, f"{mark * 100:.{places}f}%") for mark in marks])


def _stretches(days: Sequence[Day]) -> list[list[Day]]:
    """Runs of days on which something was known."""
    runs: list[list[Day]] = [[]]
    for day in days:
        if day.agreement is not None:
            runs[-1].append(day)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _cumulative(amounts: Sequence[Decimal]) -> list[float]:
    return [float(total) for total in accumulate(amounts)]


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), 0.0)


def _noon(day: Day) -> float:
    return day.at.timestamp() + _DAY / 2


def _date(at: datetime) -> str:
    return f"{at.astimezone(UTC):%b} {at.astimezone(UTC).day}"
