"""Forecast next week's calls, with a lower bound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

DAY, WEEK = 24, 168

# Week-over-week noise assumed even for a perfectly regular history.
_BASE_SIGMA = 0.15
_Z_95 = 1.645
# Least hours of history for each factor, longest first.
_FACTORS = ((WEEK, 0.7), (72, 0.6), (DAY, 0.5), (0, 0.25))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Projected calls of the next 168 hours, their lower bound, and the length of the history in hours."""

    calls: int
    lower: int
    factor: float
    low_confidence: bool
    hours: int


def forecast(hourly: Sequence[int]) -> Forecast:
    """Project next week's calls from hourly counts.

    The projection is the last week if there is one, else the mean of the last whole days, else the mean of
    the hours, times 168. Decisions rest on `lower`, the projection times a factor that grows with the history:
    .25 below a day, .5, .6 and .7 from 24, 72 and 168 hours, and from two weeks on exp(-1.645 sigma), where
    sigma^2 = .15^2 + the mean squared log ratio of successive weeks (aligned to the end; an empty week counts
    as one call).

    Parameters
    ----------
    hourly
        Calls in each complete hour, oldest first, hours without calls included.

    Returns
    -------
    Forecast
        `low_confidence` marks less than 24 hours of history.

    Raises
    ------
    ValueError
        When a count is negative.

    Examples
    --------
    >>> forecast([10] * 12)
    Forecast(calls=1680, lower=420, factor=0.25, low_confidence=True, hours=12)
    >>> forecast([10] * 400).lower
    1312
    """
    if hourly and min(hourly) < 0:
        raise ValueError(f"hourly counts must be at least 0, got {min(hourly)!r}")
    hours = len(hourly)
    calls, factor = _projection(hourly), _factor(hourly)
    return Forecast(round(calls), math.floor(calls * factor), factor, hours < DAY, hours)


def _projection(hourly: Sequence[int]) -> float:
    hours = len(hourly)
    if hours >= WEEK:
        return sum(hourly[-WEEK:])
    # Only whole days, so that an afternoon does not count as the average hour.
    recent = hourly[-(hours // DAY) * DAY :] if hours >= DAY else hourly
    return sum(recent) / len(recent) * WEEK if recent else 0.0


def _factor(hourly: Sequence[int]) -> float:
    weeks = len(hourly) // WEEK
    if weeks < 2:
        return next(factor for hours, factor in _FACTORS if len(hourly) >= hours)
    start = len(hourly) - weeks * WEEK
    totals = [max(1, sum(hourly[start + week * WEEK :][:WEEK])) for week in range(weeks)]
    squares = [math.log(later / earlier) ** 2 for earlier, later in pairwise(totals)]
    return math.exp(-_Z_95 * math.sqrt(_BASE_SIGMA**2 + sum(squares) / len(squares)))
