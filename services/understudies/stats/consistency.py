"""The teacher's self-agreement: an upper bound on any student's agreement, and a gate relative to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

from understudies.persistence.saved_state import SavedState
from understudies.stats.bounds import clopper_pearson_upper
from understudies.stats.gate import check_parameters, check_verdict, log_mean_exp, saturating_exp

RELATIVE_BETS: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)


def agreement_ceiling(agree: int, n: int, alpha: float = 0.01) -> float:
    """Return an upper bound on the agreement of any student that sees only the input.

    If the teacher answers an input with distribution q, two of its answers agree with probability sum q^2, and the best
    fixed answer agrees with probability max q <= sqrt(sum q^2); by Jensen the bound holds for the mean. The probability
    is therefore at most `sqrt(c)`, here at the one-sided `1 - alpha` Clopper-Pearson upper bound of c.

    Parameters
    ----------
    agree, n
        The number of times that the teacher, asked again independently, gave the same answer, and the number of
        repetitions, over deduplicated requests.
    alpha
        Probability, at most, that the bound is too low.

    Raises
    ------
    ValueError
        When the counts or alpha are out of range.

    Examples
    --------
    >>> agreement_ceiling(0, 0)
    1.0
    >>> agreement_ceiling(164, 200) < 0.95
    True
    >>> round(agreement_ceiling(820_000, 1_000_000), 3)
    0.906
    """
    return math.sqrt(clopper_pearson_upper(agree, n, alpha))


@dataclass(frozen=True, slots=True)
class RelativeGate(SavedState):
    """A gate that promotes a student agreeing at least `rho` times as often as the teacher agrees with itself.

    Each verdict pairs X = [student = first answer] with Y = [second answer = first answer] on one request. The bets
    grow with X / rho - Y, whose mean is at most 0 under "P(X) <= rho * P(Y)", so the mixture reaches `1 / alpha` with
    probability at most `alpha`, whatever the teacher's consistency is. Estimating the consistency and using the
    estimate in the absolute gate has no such bound.

    Parameters
    ----------
    rho
        The share of the teacher's own consistency to prove, in (0, 1].
    alpha
        Bound on the probability of ever promoting when the share is at most `rho`.
    n_max
        Pairs after which an undecided gate is inconclusive.

    Raises
    ------
    ValueError
        When a parameter is outside its range.

    References
    ----------
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1).

    Examples
    --------
    >>> gate = RelativeGate()
    >>> for _ in range(108):
    ...     gate = gate.update(1.0, 1.0)
    >>> gate.decision
    'promote'
    """

    rho: float = 0.95
    alpha: float = 0.05
    n_max: int = 2000
    n: int = 0
    student_total: float = 0.0
    teacher_total: float = 0.0
    logs: tuple[float, ...] = (0.0,) * len(RELATIVE_BETS)

    def __post_init__(self) -> None:
        if not 0.0 < self.rho <= 1.0:
            raise ValueError(f"rho must lie in (0, 1], got {self.rho!r}")
        check_parameters(0.5, self.alpha, 0.5, self.n_max)

    def update(self, student: float, teacher: float) -> Self:
        """Return the gate after one pair of scores in [0, 1]; raise ValueError for other scores."""
        check_verdict(student)
        check_verdict(teacher)
        edge = student / self.rho - teacher
        return replace(
            self,
            n=self.n + 1,
            student_total=self.student_total + student,
            teacher_total=self.teacher_total + teacher,
            logs=tuple(log + math.log1p(bet * edge) for log, bet in zip(self.logs, RELATIVE_BETS, strict=True)),
        )

    @property
    def promote_e(self) -> float:
        """The evidence that the student reaches the share `rho`; saturates at exp(700)."""
        return saturating_exp(log_mean_exp(self.logs))

    @property
    def decision(self) -> Literal["continue", "promote", "inconclusive"]:
        """The decision that the evidence supports now; this gate has no reject side."""
        if log_mean_exp(self.logs) >= -math.log(self.alpha):
            return "promote"
        return "inconclusive" if self.n >= self.n_max else "continue"
