"""Schedule recorded calls: at their recorded times, or spread over days and nights."""

import random
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from math import ceil
from typing import Any
from uuid import UUID

from understudies.backtest.replay.call_map import CallIds
from understudies.events import SeededIds, position
from understudies.importers.call_spool import pack_calls
from understudies.importers.recorded_call import RecordedCall
from understudies.runtime.fast_dataclass import fast_dataclass
from understudies.runtime.lazy_sequence import LazySequence
from understudies.runtime.moments import Moments


@fast_dataclass
class ScheduledCall:
    """A recorded call with its time, task, price and audit draw for the replay."""

    id: str
    at: datetime
    task: str
    call: RecordedCall
    price: Decimal
    sample: float


class Schedule(LazySequence[ScheduledCall]):
    """The calls of a replay in the order of their times, each made anew when it is looked at.

    A month may have millions: what is kept of each is its time, its id in 16 bytes, its price and the recorded call.
    """

    def __init__(
        self, timeline: Sequence[tuple[datetime, RecordedCall]], price: Callable[[RecordedCall], Decimal], seed: int
    ) -> None:
        new_id = SeededIds(f"{seed}:calls")
        known: dict[str, Decimal] = {}
        self._seed = seed
        self._times = Moments(at for at, _ in timeline)
        self._calls = pack_calls([call for _, call in timeline])
        self._ids = CallIds(b"".join(UUID(new_id(at)).bytes for at in self._times))
        self._prices: list[Decimal] = []
        self._tasks: list[str] = []
        self._by_task: dict[str, array[int]] = {}
        for index, call in enumerate(self._calls):
            one = price(call)
            self._prices.append(known.setdefault(str(one), one))
            task = sys.intern(call.task or "")
            self._tasks.append(task)
            self._by_task.setdefault(task, array("Q")).append(index)

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def times(self) -> Sequence[datetime]:
        """The times of the calls, ascending."""
        return self._times

    @property
    def ids(self) -> CallIds:
        """The ids of the calls."""
        return self._ids

    @property
    def tasks(self) -> list[str]:
        """The tasks of the calls, in the order of their names."""
        return sorted(self._by_task)

    def iter_task(self, task: str) -> Iterator[ScheduledCall]:
        """Yield the calls of one task."""
        return map(self._make, self._by_task.get(task, ()))

    def recorded(self, task: str) -> Sequence[RecordedCall]:
        """The recorded calls of one task, each made anew when it is looked at."""
        return _PickedCalls(self._calls, self._by_task.get(task, array("Q")))

    def _make(self, place: int) -> ScheduledCall:
        return _PlacedCall(self, place)


class _PlacedCall(ScheduledCall):
    """A call of a schedule; its recorded call and its audit draw, which few ask for, are made when they are read."""

    __slots__ = ("_place", "_recorded", "_schedule")

    def __init__(self, schedule: Schedule, place: int) -> None:
        self._schedule, self._place = schedule, place
        self._recorded: RecordedCall | None = None
        call: Any = self  # type checkers take the fields for frozen
        call.id = schedule._ids[place]
        call.at, call.task, call.price = schedule._times[place], schedule._tasks[place], schedule._prices[place]

    @property
    def call(self) -> RecordedCall:  # pyright: ignore[reportIncompatibleVariableOverride] # nobody sets it
        if self._recorded is None:
            self._recorded = self._schedule._calls[self._place]
        return self._recorded

    @property
    def sample(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride] # nobody sets it
        return position(f"{self._schedule._seed}:{self._place}", "draw")


class _PickedCalls(LazySequence[RecordedCall]):
    """Some of the calls."""

    def __init__(self, calls: Sequence[RecordedCall], places: Sequence[int]) -> None:
        self._calls = calls
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def _make(self, place: int) -> RecordedCall:
        return self._calls[self._places[place]]


def schedule_calls(
    timeline: Sequence[tuple[datetime, RecordedCall]], price: Callable[[RecordedCall], Decimal], seed: int
) -> Schedule:
    """Give every call an id, its price and its audit draw, all determined by its index and the seed."""
    return Schedule(timeline, price, seed)


DEFAULT_DAYS = 14.0
DEFAULT_START = datetime(2026, 1, 5, tzinfo=UTC)
_MIN_RECORDED_SPAN = timedelta(hours=1)
_HOURLY_RATES = (
    1.2,
    1.0,
    1.0,
    1.0,
    1.0,
    1.3,
    1.9,
    2.8,
    3.8,
    4.6,
    5.0,
    5.0,
    4.6,
    4.7,
    5.0,
    4.9,
    4.5,
    3.9,
    3.2,
    2.7,
    2.3,
    2.0,
    1.7,
    1.4,
)
"""Call rates in each hour of a day, UTC, relative to the quietest."""

TimedCall = tuple[datetime, RecordedCall]


def assign_times(
    calls: Sequence[RecordedCall], days: float | None = None, start: datetime | None = None, seed: int = 7
) -> list[TimedCall]:
    """Assign the times at which the calls are played, and sort the calls by them.

    Recorded times are kept. If there are none, if all lie within an hour, or if `days` is given, the calls are spread
    in their recorded order over that many days (14), busy by day and quiet by night, from midnight of `start`, of the
    first recorded time, or of a fixed date. A call without a time among others that have one takes the time of the
    previous call. Raises ValueError for a number of days that is not positive.
    """
    if not calls:
        return []
    recorded = _fill_missing_times(calls)
    recorded.sort(key=lambda timed: timed[0])
    has_times = any(call.at for call in calls)
    first, last = recorded[0][0], recorded[-1][0]
    if days is None and has_times and last - first >= _MIN_RECORDED_SPAN:
        shift = timedelta(0) if start is None else start.astimezone(UTC) - first
        return [(at + shift, call) for at, call in recorded] if shift else recorded
    first_day = start or (first if has_times else DEFAULT_START)
    moments = sample_arrival_times(
        len(recorded), DEFAULT_DAYS if days is None else days, start_of_utc_day(first_day), random.Random(seed)
    )
    return [(at, call) for at, (_, call) in zip(moments, recorded, strict=True)]


def start_of_utc_day(moment: datetime) -> datetime:
    """Return the start of a moment's day in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def sample_arrival_times(count: int, days: float, start: datetime, rng: random.Random) -> list[datetime]:
    """Return ascending times over some days, about five times as dense in working hours as at night.

    One time falls into each of `count` equal shares of the total rate, so the density is the profile's and the
    generator decides only the place within a share.
    """
    if not 0 < days < 10_000:
        raise ValueError(f"cannot spread calls over {days!r} days: give a positive number of days")
    hours = ceil(days * 24)
    rates = [_HOURLY_RATES[hour % 24] * min(1.0, days * 24 - hour) for hour in range(hours)]
    edges = [0.0, *accumulate(rates)]
    return [start + timedelta(hours=_hours_at_quantile((k + rng.random()) / count, rates, edges)) for k in range(count)]


def _hours_at_quantile(share: float, rates: list[float], edges: list[float]) -> float:
    """Return the hours after which that share of the total rate has passed."""
    mass = share * edges[-1]
    hour = min(bisect_right(edges, mass) - 1, len(rates) - 1)
    within = (mass - edges[hour]) / rates[hour] if rates[hour] > 0 else 0.0
    return hour + within * min(1.0, rates[hour] / _HOURLY_RATES[hour % 24])


def _fill_missing_times(calls: Sequence[RecordedCall]) -> list[TimedCall]:
    current = next((call.at for call in calls if call.at), DEFAULT_START)
    timed = []
    for call in calls:
        current = call.at or current
        timed.append((current, call))
    return timed
