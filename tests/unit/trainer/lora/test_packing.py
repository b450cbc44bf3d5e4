from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.trainer.lora.packing import one_cycle_rate, plan_batches

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 4), st.integers(1, 3), st.integers(0, 99))
def test_each_example_comes_once_an_epoch_and_no_row_overflows(
    lengths: list[int], rows: int, epochs: int, seed: int
) -> None:
    batches = plan_batches(lengths, row_tokens=40, rows=rows, epochs=epochs, seed=seed)
    counts = Counter(index for batch in batches for row in batch for index in row)
    assert counts == dict.fromkeys(range(len(lengths)), epochs)
    assert all(sum(lengths[index] for index in row) <= 40 for batch in batches for row in batch)
    assert all(1 <= len(batch) <= rows for batch in batches)
    assert batches == plan_batches(lengths, row_tokens=40, rows=rows, epochs=epochs, seed=seed)


def test_half_an_epoch_and_the_most_steps_end_the_plan() -> None:
    assert len(plan_batches([1] * 10, row_tokens=1, rows=1, epochs=0.5, seed=0)) == 5
    assert len(plan_batches([1] * 10, row_tokens=1, rows=1, epochs=3, seed=0, max_steps=7)) == 7


@pytest.mark.parametrize("steps", [2, 3, 6, 51])
def test_the_rate_rises_to_its_peak_and_ends_near_nothing(steps: int) -> None:
    rates = [one_cycle_rate(step / (steps - 1), 2e-3) for step in range(steps)]
    assert all(0 < rate <= 2e-3 for rate in rates)
    assert rates.index(max(rates)) == pytest.approx(0.2 * (steps - 1), abs=1)
    assert rates[-1] == pytest.approx(2e-6)
    # A last step may end after the time limit.
    assert one_cycle_rate(1.3, 2e-3) == rates[-1]
