"""Describe a task's days, each with the agreement that the services knew at its end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from understudies.backtest.replay.event_collector import EventCollector
from understudies.backtest.report.leading import find_leading
from understudies.backtest.report.report import DailyFigures
from understudies.backtest.report.tally import DAY, DayTally
from understudies.events import Promotion, usd
from understudies.stats.bounds import anytime_lower_bound, clopper_pearson_upper


def describe_days(
    days: Sequence[DayTally], promotions: Sequence[Promotion], collector: EventCollector
) -> list[DailyFigures]:
    """Describe each of a task's days, which follow one another; `promotions` are its students' stages in order."""
    known: dict[tuple[str, float], _DailyVerdicts] = {}
    described = []
    for place, day in enumerate(days):
        student = find_leading(promotions, day.at, day.at + DAY)
        verdicts = None
        if student is not None:
            threshold = _threshold_at(promotions, student, day.at + DAY)
            if (student, threshold) not in known:
                known[student, threshold] = _DailyVerdicts.of(collector, student, threshold, days)
            verdicts = known[student, threshold]
        described.append(_describe_day(day, place, student, verdicts))
    return described


@dataclass(frozen=True, slots=True)
class _DailyVerdicts:
    """Verdicts on a student at or above a confidence, and how many agreed: by the end of each day, and on it."""

    judged: Sequence[int]
    agreed: Sequence[int]
    judged_that_day: Counter[int]
    agreed_that_day: Counter[int]

    @classmethod
    def of(
        cls, collector: EventCollector, student: str, threshold: float, days: Sequence[DayTally]
    ) -> "_DailyVerdicts":
        """Count them by days; those before the first day are known on it."""
        judged: Counter[int] = Counter()
        agreed: Counter[int] = Counter()
        for verdict in collector.verdicts[student]:
            if verdict.confidence >= threshold:
                place = max((verdict.at - days[0].at) // DAY, -1)
                judged[place] += 1
                agreed[place] += verdict.agreed
        places = range(-1, len(days))
        by_end = [list(accumulate(counts[place] for place in places))[1:] for counts in (judged, agreed)]
        return cls(by_end[0], by_end[1], judged, agreed)


def _describe_day(day: DayTally, place: int, student: str | None, verdicts: _DailyVerdicts | None) -> DailyFigures:
    n, agree = (0, 0) if verdicts is None else (verdicts.judged[place], verdicts.agreed[place])
    n_of_day, agree_of_day = (
        (0, 0) if verdicts is None else (verdicts.judged_that_day[place], verdicts.agreed_that_day[place])
    )
    return DailyFigures(
        at=day.at,
        calls=day.calls,
        served=day.served,
        agreed_served=day.agreed_served,
        audited=day.audited,
        agreement=agree / n if n else None,
        lower=anytime_lower_bound(agree, n) if n else None,
        upper=clopper_pearson_upper(agree, n) if n else None,
        cost_before=usd(day.cost_before),
        cost_after=usd(day.cost_after),
        day_agreement=agree_of_day / n_of_day if n_of_day else None,
        student=student if n else None,
    )


def _threshold_at(promotions: Sequence[Promotion], student: str, now: datetime) -> float:
    """Return the confidence from which a student served then; before it did, that from which it first did."""
    own = [event for event in promotions if event.student == student]
    promoted = [event for event in own if event.at <= now and event.stage == "promoted"]
    if promoted and promoted[-1].threshold is not None:
        return promoted[-1].threshold
    return next((event.threshold for event in own if event.threshold is not None), 0.0)
