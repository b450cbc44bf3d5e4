"""Detect drift: the agreement of a serving student falls below the proven one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from understudies.persistence.saved_state import SavedState
from understudies.stats.bounds import clopper_pearson_lower
from understudies.stats.gate import REJECT_BETS, check_verdict

DriftTier = Literal["warn", "contract"]

CONTRACT_RUN_LENGTH = 1_000.0
WARN_RUN_LENGTH = 10_000.0

# The bet whose CUSUM dates the change, for reports only: the mixture raises the alarm.
_DATING_BET = 0.12


@dataclass(frozen=True, slots=True)
class DriftDetector(SavedState):
    """Mixture e-Shiryaev-Roberts detector of a mean that falls below `p_null`.

    While every conditional mean is at least `p_null`, the statistic minus the number of verdicts is a supermartingale,
    so the expected number of verdicts to a false alarm is at least `threshold`. The verdict after an alarm restarts the
    detector.

    Parameters
    ----------
    p_null
        The agreement that still counts as healthy, in [0, 1).
    threshold
        Alarm level, and lower bound on the average run length to a false alarm, in verdicts.
    statistics
        One e-SR statistic for each bet of `REJECT_BETS`.
    n, total
        Verdicts and sum of scores since the last reset.
    recent_n, recent_total
        The same since the likeliest change point: the last time that a CUSUM of the same increments was zero.
    cusum
        The value of that CUSUM, in nats.

    Raises
    ------
    ValueError
        When p_null or threshold is out of range.

    References
    ----------
    Shin, Ramdas and Rinaldo (2024), "E-detectors: a nonparametric framework for sequential change detection",
    New England Journal of Statistics in Data Science 2(2). Page (1954), "Continuous inspection schemes".

    Examples
    --------
    >>> detector = DriftDetector(p_null=0.95, threshold=1000)
    >>> for _ in range(4):
    ...     detector = detector.update(0.0)
    >>> detector.has_alarm, round(detector.statistic, 2)
    (True, 2496.64)
    """

    p_null: float = 0.95
    threshold: float = CONTRACT_RUN_LENGTH
    statistics: tuple[float, ...] = (0.0,) * len(REJECT_BETS)
    n: int = 0
    total: float = 0.0
    recent_n: int = 0
    recent_total: float = 0.0
    cusum: float = 0.0
    pace: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.p_null < 1.0:
            raise ValueError(f"p_null must lie in [0, 1), got {self.p_null!r}")
        if not 1.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be finite and above 1, got {self.threshold!r}")

    def update(self, score: float, pace: float = 1.0) -> Self:
        """Return the detector after one more audited verdict with `score` in [0, 1]; else raise ValueError.

        `pace` says how many times as often as usual verdicts come now, at least 1: the threshold rises by that factor,
        so that false alarms are as rare by time, while a change is found in fewer days.
        """
        check_verdict(score)
        if not 1.0 <= pace < math.inf:
            raise ValueError(f"pace must be finite and at least 1, got {pace!r}")
        start = self.reset() if self.has_alarm else self
        loss = (1.0 - score) / (1.0 - self.p_null) - 1.0
        # At zero, the verdicts so far favour no change, so the change, if any, comes later.
        recent_n, recent_total = (start.recent_n, start.recent_total) if start.cusum > 0.0 else (0, 0.0)
        return replace(
            start,
            statistics=tuple(
                (1.0 + bet * loss) * (m + 1.0) for bet, m in zip(REJECT_BETS, start.statistics, strict=True)
            ),
            n=start.n + 1,
            total=start.total + score,
            recent_n=recent_n + 1,
            recent_total=recent_total + score,
            cusum=max(0.0, start.cusum + math.log1p(_DATING_BET * loss)),
            pace=pace,
        )

    def reset(self) -> Self:
        """Return the same detector without any verdicts."""
        return type(self)(self.p_null, self.threshold)

    @property
    def statistic(self) -> float:
        """The mixture statistic, compared with `threshold`."""
        return math.fsum(self.statistics) / len(self.statistics)

    @property
    def has_alarm(self) -> bool:
        """Return whether the last verdict raised the alarm."""
        return self.statistic >= self.threshold * self.pace

    @property
    def agreement(self) -> float | None:
        """The mean score since the last reset; None before the first verdict."""
        return self.total / self.n if self.n else None

    @property
    def recent_agreement(self) -> float | None:
        """The mean score since the likeliest change point; descriptive, without any guarantee."""
        return self.recent_total / self.recent_n if self.recent_n else None


@dataclass(frozen=True, slots=True)
class TwoTierDriftDetector(SavedState):
    """Two detectors over the same audited verdicts: `contract` demotes, `warn` raises a warning.

    The contract tier monitors the required agreement, p0. The warn tier monitors the agreement that the gate measured,
    so it detects a fall that has not yet broken the contract, and is allowed fewer false alarms.

    Examples
    --------
    >>> drift = TwoTierDriftDetector.after_gate(p0=0.95, agree=970, n=1000)
    >>> round(drift.warn.p_null, 4)
    0.9595
    >>> for _ in range(4):
    ...     drift = drift.update(0.0)
    >>> drift.tier
    'contract'
    """

    contract: DriftDetector
    warn: DriftDetector
    baseline: float | None = None

    @classmethod
    def after_gate(cls, p0: float, agree: int, n: int) -> Self:
        """Create the detectors of a student that passed its gate at `p0` with `agree` agreements of `n` verdicts.

        The warn tier's null is the lower 95% Clopper-Pearson bound of that agreement, never below `p0`.
        """
        healthy = max(p0, clopper_pearson_lower(agree, n))
        return cls(
            DriftDetector(p0, CONTRACT_RUN_LENGTH),
            DriftDetector(healthy, WARN_RUN_LENGTH),
            agree / n if n else None,
        )

    def update(self, score: float, pace: float = 1.0) -> Self:
        """Return both tiers after one more audited verdict; as for `DriftDetector.update`."""
        return replace(self, contract=self.contract.update(score, pace), warn=self.warn.update(score, pace))

    @property
    def tier(self) -> DriftTier | None:
        """The most severe alarm that the last verdict raised; None without an alarm."""
        if self.contract.has_alarm:
            return "contract"
        return "warn" if self.warn.has_alarm else None
