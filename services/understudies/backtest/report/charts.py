"""Render the four charts of a task."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from understudies.backtest.report.formatting import format_count, format_percent, format_quantity, format_usd
from understudies.backtest.report.report import ChosenThreshold, CoveragePoint, DailyFigures, DecisionEntry
from understudies.backtest.report.svg import WIDTH, Axis, Chart, choose_ticks
from understudies.status.wording import event_words

_MOST_DAY_LABELS = 7
_DAY = 86_400.0
_EVENT_RULE_STYLES = {
    "promoted": "good",
    "demoted": "bad",
    "rejected": "bad",
    "drift_contract": "bad",
    "drift_warn": "warn",
}


def render_agreement_chart(name: str, days: Sequence[DailyFigures], decisions: Sequence[DecisionEntry]) -> str | None:
    """Render agreement with the teacher over time, with its bounds; None without evidence."""
    measured = [day for day in days if day.agreement is not None]
    if not measured:
        return None
    falls = _find_falls(days, decisions)
    floor = min(_first(day.lower, day.agreement) for day in measured)
    lowest = min(
        [floor, *(day.day_agreement for day in days if day.day_agreement is not None), *(share for _, share in falls)]
    )
    chart = Chart(_time_axis(days), _share_axis(max(0.0, min(lowest, 0.98))))
    for segment in _contiguous_segments(days):
        lower = [(_noon(day), _first(day.lower, day.agreement)) for day in segment]
        upper = [(_noon(day), _first(day.upper, day.agreement)) for day in segment]
        middle = [(_noon(day), _first(day.agreement)) for day in segment]
        chart.add_band(lower, upper, "student")
        chart.add_line(lower, "student thin")
        chart.add_line(middle, "student")
        for day, point in zip(segment, middle, strict=True):
            if day.day_agreement is not None:
                title = f"{_date(day.at)}, this day alone: {format_percent(day.day_agreement)}"
                chart.add_dot((_noon(day), day.day_agreement), "day", title, 2.2)
            chart.add_dot(
                point,
                "student",
                f"{_date(day.at)}: {format_percent(day.agreement)}, at least {format_percent(day.lower)}",
            )
    _draw_event_rules(chart, decisions)
    for alarm, share in falls:
        _draw_fall(chart, days, alarm, share)
    last = measured[-1]
    summary = f"{format_percent(last.agreement)} at the end, proven to be at least {format_percent(last.lower)}."
    fell = "".join(
        f" {alarm.student} fell to {format_percent(share)} by the alarm of {_date(alarm.at)}." for alarm, share in falls
    )
    return chart.render(name, "Agreement with the teacher, with its bounds, by day", summary + fell)


def _find_falls(days: Sequence[DailyFigures], decisions: Sequence[DecisionEntry]) -> list[tuple[DecisionEntry, float]]:
    """Return to which agreement each student had fallen when drift took it out of service."""
    begin, end = days[0].at, days[-1].at + timedelta(days=1)
    found: list[tuple[DecisionEntry, float]] = []
    for decision in decisions:
        after = decision.evidence.get("agreement_after")
        if decision.event == "drift_contract" and isinstance(after, float) and begin <= decision.at < end:
            found.append((decision, after))
    return found


def _draw_fall(chart: Chart, days: Sequence[DailyFigures], alarm: DecisionEntry, share: float) -> None:
    """Draw how agreement fell: from the last day before the alarm to the alarm itself."""
    at = alarm.at.timestamp()
    before = [
        day for day in days if day.agreement is not None and day.student in (None, alarm.student) and _noon(day) < at
    ]
    title = f"{_date(alarm.at)}: drift, {alarm.student or 'the student'} agreed on {format_percent(share)} lately"
    if before:
        chart.add_line([(_noon(before[-1]), _first(before[-1].agreement)), (at, share)], "fall")
    chart.add_dot((at, share), "fall", title, 4.5)


def render_served_chart(name: str, days: Sequence[DailyFigures], decisions: Sequence[DecisionEntry]) -> str | None:
    """Render the share of each day's calls that a student served; None without calls."""
    if not any(day.calls for day in days):
        return None
    chart = Chart(_time_axis(days), Axis(0.0, 1.0, [(k / 4, f"{k * 25}%") for k in range(5)]))
    for day in days:
        if day.calls:
            start = day.at.timestamp()
            title = f"{_date(day.at)}: {format_count(day.served)} of {format_quantity(day.calls, 'call')} served"
            chart.add_bar(start + 0.12 * _DAY, start + 0.88 * _DAY, 1.0, "teacher faint", title)
            if day.served:
                chart.add_bar(start + 0.12 * _DAY, start + 0.88 * _DAY, day.served / day.calls, "student", title)
    _draw_event_rules(chart, decisions)
    served, calls = sum(day.served for day in days), sum(day.calls for day in days)
    return chart.render(name, "Share of calls served by a student, by day", f"{format_percent(served / calls)} in all.")


def render_cost_chart(name: str, days: Sequence[DailyFigures], width: int = WIDTH) -> str | None:
    """Render cumulative cost with and without students; None if there was no cost."""
    before = _cumulative_sums([day.cost_before for day in days])
    after = _cumulative_sums([day.cost_after for day in days])
    highest = max([*before, *after], default=0.0)
    if highest <= 0:
        return None
    marks = choose_ticks(0.0, highest)
    chart = Chart(_time_axis(days), Axis(0.0, marks[-1], [(mark, format_usd(mark)) for mark in marks]), width)
    first = days[0].at.timestamp()
    ends = [first, *(day.at.timestamp() + _DAY for day in days)]
    without, with_ = list(zip(ends, [0.0, *before], strict=True)), list(zip(ends, [0.0, *after], strict=True))
    chart.add_band(with_, without, "saved")
    chart.add_line(without, "teacher")
    chart.add_line(with_, "student")
    for day, point in zip(days, with_[1:], strict=True):
        chart.add_dot(point, "student", f"by the end of {_date(day.at)}: {format_usd(point[1])}", 2.4)
    summary = f"{format_usd(before[-1])} without students, {format_usd(after[-1])} with them."
    return chart.render(name, "Cumulative cost without and with students", summary)


def render_coverage_chart(name: str, points: Sequence[CoveragePoint], chosen: ChosenThreshold | None) -> str | None:
    """Render agreement against the share of calls served, over all thresholds; None if it was not measured."""
    curve = sorted(points, key=lambda point: point.coverage)
    if not curve:
        return None
    bounds = [(point.coverage, point.lower) for point in curve if point.lower is not None]
    low = min([*(point.agreement for point in curve), *(lower for _, lower in bounds)])
    chart = Chart(Axis(0.0, 1.0, [(k / 4, f"{k * 25}%") for k in range(5)]), _share_axis(low))
    chart.add_line(bounds, "student thin")
    chart.add_line([(point.coverage, point.agreement) for point in curve], "student")
    for point in curve:
        served = f"from confidence {point.threshold:.3f}: {format_percent(point.coverage)} served"
        title = f"{served}, {format_percent(point.agreement)} agree (n = {format_count(point.n)})"
        chart.add_dot((point.coverage, point.agreement), "student", title, 2.4)
    summary = "No threshold was chosen."
    if chosen is not None:
        summary = f"Chosen: confidence {chosen.threshold:.3f}, serving {format_percent(chosen.coverage)} of calls."
        nearest = min(curve, key=lambda point: abs(point.coverage - chosen.coverage))
        chart.add_rule(chosen.coverage, "chosen", summary)
        chart.add_dot((chosen.coverage, nearest.agreement), "chosen", summary, 5.0)
    return chart.render(name, "Agreement by share of calls served", summary)


def _draw_event_rules(chart: Chart, decisions: Sequence[DecisionEntry]) -> None:
    for decision in decisions:
        if decision.event in _EVENT_RULE_STYLES:
            title = f"{_date(decision.at)}: {event_words(decision.event)} {decision.student or ''}".strip()
            chart.add_rule(decision.at.timestamp(), _EVENT_RULE_STYLES[decision.event], title)


def _time_axis(days: Sequence[DailyFigures]) -> Axis:
    every = -(-len(days) // _MOST_DAY_LABELS)
    marks = [(_noon(day), _date(day.at)) for day in days[::every]]
    return Axis(days[0].at.timestamp(), days[-1].at.timestamp() + _DAY, marks)


def _share_axis(low: float) -> Axis:
    marks = [mark for mark in choose_ticks(max(min(low, 0.99), 0.0), 1.0) if mark <= 1.0 + 1e-9]
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    places = 0 if step >= 0.01 - 1e-9 else 1
    return Axis(marks[0], 1.0, [(mark, f"{mark * 100:.{places}f}%") for mark in marks])


def _contiguous_segments(days: Sequence[DailyFigures]) -> list[list[DailyFigures]]:
    """Return the runs of days with known agreement of one student."""
    runs: list[list[DailyFigures]] = [[]]
    for day in days:
        if runs[-1] and (day.agreement is None or day.student != runs[-1][-1].student):
            runs.append([])
        if day.agreement is not None:
            runs[-1].append(day)
    return [run for run in runs if run]


def _cumulative_sums(amounts: Sequence[Decimal]) -> list[float]:
    return [float(total) for total in accumulate(amounts)]


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), 0.0)


def _noon(day: DailyFigures) -> float:
    return day.at.timestamp() + _DAY / 2


def _date(at: datetime) -> str:
    return f"{at.astimezone(UTC):%b} {at.astimezone(UTC).day}"
