"""The betting gate: a sequential test that a student's agreement with its teacher is at least `p0`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from understudies.persistence.arrays import LogWealth
from understudies.persistence.saved_state import SavedState

PROMOTE_BETS: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
REJECT_BETS: tuple[float, ...] = (0.015, 0.03, 0.06, 0.12, 0.25, 0.5)

# Evidence is stored as logs; its exponential is capped at this many nats, well below float overflow.
MAX_NATS = 700.0

GateState = Literal["continue", "promote", "reject", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Gate(SavedState):
    """A sequential test of one mean that stays valid however often its decision is read.

    Two mixtures of bets are maintained. The promote side bets against "the mean score is at most `p0`", the reject side
    against "the mean score is at least `p0`". Each mixture is a non-negative supermartingale that starts at 1 under the
    hypothesis it bets against, so by Ville's inequality it ever reaches `1 / alpha` with probability at most `alpha`. A
    gate is a value: `update` returns the next one, and the caller acts on the first decision other than "continue".

    Scores are exchangeable verdicts, not calls: one verdict per distinct input; the calls of one session count once,
    with their mean as the score. Where agreement varies with the hour, read `decision` at whole-day marks only.

    Parameters
    ----------
    p0
        The agreement to prove, a probability in (0, 1).
    alpha
        Bound on the probability of ever promoting when the agreement is at most `p0`.
    beta
        Bound on the probability of ever rejecting when the agreement is at least `p0`.
    n_max
        Verdicts after which an undecided gate is inconclusive.
    n
        The number of verdicts so far.
    total
        The sum of scores so far; with binary scores, the number of agreements.
    promote_logs, reject_logs
        Log-wealth of each bet of `PROMOTE_BETS` and `REJECT_BETS`.

    Raises
    ------
    ValueError
        When a parameter is outside its range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1).
    Ville (1939), "Étude critique de la notion de collectif".

    Examples
    --------
    >>> gate = Gate()
    >>> for _ in range(79):
    ...     gate = gate.update(1.0)
    >>> gate.decision, round(gate.promote_e, 3)
    ('promote', 20.531)
    """

    p0: float = 0.95
    alpha: float = 0.05
    beta: float = 0.05
    n_max: int = 2000
    n: int = 0
    total: float = 0.0
    promote_logs: tuple[LogWealth, ...] = (0.0,) * len(PROMOTE_BETS)
    reject_logs: tuple[LogWealth, ...] = (0.0,) * len(REJECT_BETS)

    def __post_init__(self) -> None:
        check_parameters(self.p0, self.alpha, self.beta, self.n_max)

    @classmethod
    def from_counts(
        cls,
        agree: int,
        n: int,
        *,
        p0: float = 0.95,
        alpha: float = 0.05,
        beta: float = 0.05,
        n_max: int = 2000,
    ) -> Self:
        """Return the gate after `agree` agreements among `n` binary verdicts of weight 1, in any order.

        >>> round(Gate.from_counts(138, 139).promote_e, 3)
        20.5
        """
        if not 0 <= agree <= n:
            raise ValueError(f"agree must lie in [0, n], got {agree!r} of {n!r}")
        check_parameters(p0, alpha, beta, n_max)
        promote, reject = log_increments(1.0, p0), log_increments(0.0, p0)
        promote_fail, reject_agree = log_increments(0.0, p0), log_increments(1.0, p0)
        return cls(
            p0,
            alpha,
            beta,
            n_max,
            n,
            float(agree),
            _scaled(promote[0], agree, promote_fail[0], n - agree),
            _scaled(reject_agree[1], agree, reject[1], n - agree),
        )

    def update(self, score: float, weight: float = 1.0, w_max: float = 1.0) -> Self:
        """Return the gate after one more verdict.

        Parameters
        ----------
        score
            Agreement of this verdict in [0, 1], usually 0 or 1.
        weight
            Importance of the request in [0, `w_max`], in the same unit for every verdict of this gate.
        w_max
            A bound on all weights that was known before the verdict; bets shrink to `weight / w_max`.

        Raises
        ------
        ValueError
            When the score is not in [0, 1] or the weight not in [0, `w_max`] (so also for NaN).

        >>> gate = Gate().update(0.0)
        >>> round(gate.reject_e, 4)
        4.0875
        """
        check_verdict(score, weight, w_max)
        promote, reject = log_increments(score, self.p0, weight / w_max)
        return replace(
            self,
            n=self.n + 1,
            total=self.total + score,
            promote_logs=tuple(log + step for log, step in zip(self.promote_logs, promote, strict=True)),
            reject_logs=tuple(log + step for log, step in zip(self.reject_logs, reject, strict=True)),
        )

    @property
    def log_promote_e(self) -> float:
        """The natural log of the evidence that agreement exceeds `p0`."""
        return log_mean_exp(self.promote_logs)

    @property
    def log_reject_e(self) -> float:
        """The natural log of the evidence that agreement falls short of `p0`."""
        return log_mean_exp(self.reject_logs)

    @property
    def promote_e(self) -> float:
        """The evidence that agreement exceeds `p0`; saturates at exp(700)."""
        return saturating_exp(self.log_promote_e)

    @property
    def reject_e(self) -> float:
        """The evidence that agreement falls short of `p0`; saturates at exp(700)."""
        return saturating_exp(self.log_reject_e)

    @property
    def agreement(self) -> float | None:
        """The mean score so far, unweighted; None before the first verdict."""
        return self.total / self.n if self.n else None

    @property
    def decision(self) -> GateState:
        """The decision that the evidence supports now.

        Both sides can never hold at once: they need means on opposite sides of p0.
        """
        if self.log_promote_e >= -math.log(self.alpha):
            return "promote"
        if self.log_reject_e >= -math.log(self.beta):
            return "reject"
        return "inconclusive" if self.n >= self.n_max else "continue"


def log_increments(score: float, p0: float, scale: float = 1.0) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the log-wealth increments of the promote and reject bets for a score, bets scaled by `scale` in [0, 1].

    >>> promote, reject = log_increments(0.0, 0.95)
    >>> promote[-1], round(math.exp(reject[-1]), 9)
    (-inf, 10.5)
    """
    gain, loss = score / p0 - 1.0, (1.0 - score) / (1.0 - p0) - 1.0
    return (
        tuple(_log(1.0 + bet * scale * gain) for bet in PROMOTE_BETS),
        tuple(_log(1.0 + bet * scale * loss) for bet in REJECT_BETS),
    )


def log_mean_exp(logs: Sequence[float]) -> float:
    """Compute log(mean(exp(logs))) without overflow.

    >>> log_mean_exp([1e6, 1e6])
    1000000.0
    """
    top = max(logs)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs))


def saturating_exp(log: float) -> float:
    """Compute exp(log), capped at exp(700) so that no evidence overflows a float.

    >>> saturating_exp(0.0), saturating_exp(51_000.0) == saturating_exp(700.0)
    (1.0, True)
    """
    return math.exp(min(log, MAX_NATS))


def check_parameters(p0: float, alpha: float, beta: float, n_max: int) -> None:
    """Raise ValueError, naming the value, unless probabilities lie in (0, 1) and `n_max` is positive."""
    for name, value in (("p0", p0), ("alpha", alpha), ("beta", beta)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must lie strictly between 0 and 1, got {value!r}")
    if n_max < 1:
        raise ValueError(f"n_max must be at least 1, got {n_max!r}")


def check_verdict(score: float, weight: float = 1.0, w_max: float = 1.0) -> None:
    """Raise ValueError, naming the value, unless 0 <= score <= 1 and 0 <= weight <= w_max with w_max finite."""
    if not 0.0 <= score <= 1.0:
        raise ValueError(f"score must lie in [0, 1], got {score!r}")
    if not 0.0 < w_max < math.inf:
        raise ValueError(f"w_max must be positive and finite, got {w_max!r}")
    if not 0.0 <= weight <= w_max:
        raise ValueError(f"weight must lie in [0, w_max={w_max!r}], got {weight!r}")


def _log(factor: float) -> float:
    # A full bet on agreement loses everything at the first disagreement; rounding may leave -1e-17.
    return math.log(factor) if factor > 0.0 else -math.inf


def _scaled(agree_logs: Sequence[float], agree: int, fail_logs: Sequence[float], failures: int) -> tuple[float, ...]:
    return tuple(agree * a + (failures * f if failures else 0.0) for a, f in zip(agree_logs, fail_logs, strict=True))
