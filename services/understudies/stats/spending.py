"""Alpha spending over the successive students of a task."""

import math


def alpha_for_trial(alpha: float, trial: int) -> float:
    """Return the level of a task's k-th trial such that all its trials together err with probability at most `alpha`.

    6 * alpha / (pi^2 * k^2); these sum to `alpha` over all k, and the union bound holds under any dependence between
    the trials, such as shared evidence.

    Parameters
    ----------
    alpha
        Bound on the probability that any of the trials ever promotes wrongly.
    trial
        The trial's number, from 1.

    Raises
    ------
    ValueError
        When the number is below 1 or alpha not in (0, 1).

    References
    ----------
    Foster and Stine (2008), "Alpha-investing", JRSS B 70(2), for spending over a stream of tests.

    Examples
    --------
    >>> round(alpha_for_trial(0.05, 1), 5), round(alpha_for_trial(0.05, 4), 5)
    (0.0304, 0.0019)
    """
    if trial < 1:
        raise ValueError(f"trials are numbered from 1, got {trial!r}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha!r}")
    return 6.0 * alpha / (math.pi * trial) ** 2
