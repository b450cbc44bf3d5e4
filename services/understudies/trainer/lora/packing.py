"""Pack short texts into rows, and schedule the learning rate over the steps."""

import math
import random
from collections.abc import Sequence
from typing import Final

Row = list[int]
"""Indices of the examples that lie in one row, in order."""
Batch = list[Row]
"""Rows of one optimiser step."""

_WARM_UP: Final = 0.2
_START_DIVISOR: Final = 25.0
_END_DIVISOR: Final = 1000.0


def plan_batches(
    lengths: Sequence[int], *, row_tokens: int, rows: int, epochs: float, seed: int, max_steps: int | None = None
) -> list[Batch]:
    """Return the batches of a training: each example once in an epoch, in an order that depends on the seed alone.

    An example goes to the first row with room for it; when none has, the batch is complete. No length may exceed
    `row_tokens`.

    >>> plan_batches([5, 5, 5], row_tokens=10, rows=1, epochs=1, seed=0)
    [[[1, 2]], [[0]]]
    """
    source = random.Random(seed)
    order: list[int] = []
    while len(order) < math.ceil(epochs * len(lengths)):
        order += source.sample(range(len(lengths)), len(lengths))
    batches: list[Batch] = []
    batch: Batch = []
    room: list[int] = []
    for index in order[: math.ceil(epochs * len(lengths))]:
        fitting = next((row for row, left in enumerate(room) if left >= lengths[index]), None)
        if fitting is None and len(batch) == rows:
            batches.append(batch)
            batch, room = [], []
        if fitting is None or not batch:
            batch.append([])
            room.append(row_tokens)
            fitting = len(batch) - 1
        batch[fitting].append(index)
        room[fitting] -= lengths[index]
    if batch:
        batches.append(batch)
    return batches[:max_steps]


def one_cycle_rate(progress: float, peak: float) -> float:
    """Return the learning rate at a share of the training: a cosine up to the peak in the first fifth, then one down.

    Smith and Topin (2019), "Super-convergence: very fast training of neural networks using large learning rates".

    >>> [round(one_cycle_rate(progress, 1.0), 3) for progress in (0.0, 0.2, 1.0)]
    [0.04, 1.0, 0.001]
    """
    if progress < _WARM_UP:
        return _between(peak / _START_DIVISOR, peak, progress / _WARM_UP)
    return _between(peak, peak / _END_DIVISOR, (progress - _WARM_UP) / (1 - _WARM_UP))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2
