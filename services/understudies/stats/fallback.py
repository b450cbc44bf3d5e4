"""The fallback procedure: one error budget over an ordered family of tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final


def fallback_weights(count: int) -> list[float]:
    """Return shares of the error budget: one half for the first test, the rest evenly; all of it for a lone test.

    >>> fallback_weights(3), fallback_weights(1)
    ([0.5, 0.25, 0.25], [1.0])
    """
    if count < 2:
        return [1.0] * count
    return [0.5] + [0.5 / (count - 1)] * (count - 1)


_STRICTEST_SHARE: Final = 0.1


def sequence_weights(count: int, start: int) -> list[float]:
    """Return shares of the error budget for a fixed sequence of tests from test `start` on.

    Nine tenths for that test, which hands all of it on to the next as it passes; a tenth for the first of all in case
    the guess is too bold. The start must not depend on the data under test.

    Westfall and Krishen (2001), "Optimally weighted, fixed sequence and gatekeeper multiple testing procedures",
    Journal of Statistical Planning and Inference 99(1).

    >>> sequence_weights(5, start=2), sequence_weights(5, start=0)
    ([0.1, 0.0, 0.9, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0])
    """
    if not 0 <= start < count:
        raise ValueError(f"the start must be one of the {count} tests, got {start!r}")
    weights = [0.0] * count
    weights[0] = _STRICTEST_SHARE
    weights[start] = 1.0 - _STRICTEST_SHARE if start else 1.0
    return weights


def fallback_levels(
    p_values: Iterable[float], alpha: float, weights: Sequence[float] | None = None
) -> Iterator[tuple[float, bool]]:
    """Yield the level at which each test is done, and whether it passes, in the fixed order of the tests.

    Test j has the level `alpha * w_j`, plus the level of test j - 1 when that one passed. This bounds by `alpha` the
    probability that any true null hypothesis is ever rejected, under every dependence of the p-values.

    Parameters
    ----------
    p_values
        One for each test, in order; anytime-valid ones make the procedure valid at every look.
    alpha
        The familywise error to allow.
    weights
        Shares of the error budget, one for each test, at most 1 in total; `fallback_weights` by default.

    References
    ----------
    Wiens and Dmitrienko (2005), "The fallback procedure for evaluating a single family of hypotheses", Journal of
    Biopharmaceutical Statistics 15(6).

    Examples
    --------
    >>> [(round(level, 4), passed) for level, passed in fallback_levels([0.01, 0.03, 0.06], alpha=0.05)]
    [(0.025, True), (0.0375, True), (0.05, False)]
    >>> [passed for _, passed in fallback_levels([0.03, 0.01, 0.02], alpha=0.05)]
    [False, True, True]
    """
    ordered = list(p_values)
    carried = 0.0
    for weight, p_value in zip(weights or fallback_weights(len(ordered)), ordered, strict=True):
        level = alpha * weight + carried
        passed = p_value <= level
        carried = level if passed else 0.0
        yield level, passed


def check_weights(weights: Sequence[float], size: int) -> None:
    """Raise ValueError unless there is one weight for each test and they share at most 1 in total."""
    if len(weights) != size or any(weight < 0 for weight in weights) or sum(weights) > 1 + 1e-9:
        raise ValueError(f"weights must be {size} shares of at most 1 in total, got {weights!r}")
