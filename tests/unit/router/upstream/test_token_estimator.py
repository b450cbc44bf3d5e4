"""Token counts by what complete calls have taught."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudies.events import Usage, UsageDetails
from understudies.router.upstream.metering import TokenEstimator


def test_before_anything_is_known_a_token_is_four_characters() -> None:
    assert TokenEstimator().estimate("m", 400, 80) == Usage(prompt_tokens=100, completion_tokens=20)


def test_complete_calls_teach_the_ratios_of_their_model() -> None:
    estimates = TokenEstimator()
    estimates.add("m", 1000, 300, Usage(prompt_tokens=500, completion_tokens=50))
    assert estimates.estimate("m", 400, 60) == Usage(prompt_tokens=200, completion_tokens=10)
    assert estimates.estimate("other", 400, 60) == Usage(prompt_tokens=100, completion_tokens=15)


def test_later_calls_weigh_more() -> None:
    estimates = TokenEstimator()
    for _ in range(300):
        estimates.add("m", 400, 400, Usage(prompt_tokens=100, completion_tokens=100))
    for _ in range(300):
        estimates.add("m", 200, 200, Usage(prompt_tokens=100, completion_tokens=100))
    assert estimates.estimate("m", 1000, 1000).prompt_tokens == pytest.approx(500, rel=0.01)


def test_what_is_known_already_is_kept() -> None:
    known = Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=5)
    assert TokenEstimator().estimate("m", 400, 80, known) == Usage(
        prompt_tokens=7, completion_tokens=20, cached_tokens=5
    )
    written = Usage(prompt_tokens=700, details=UsageDetails(cache_write_tokens=600, service_tier="priority"))
    assert TokenEstimator().estimate("m", 400, 80, written) == written.model_copy(update={"completion_tokens": 20})
    many = Usage(completion_tokens=90)
    assert TokenEstimator().estimate("m", 400, 80, many).completion_tokens == 90


def test_pictures_and_empty_counts_teach_nothing() -> None:
    estimates = TokenEstimator()
    estimates.add("m", 5_000_000, 0, Usage(prompt_tokens=1000))
    assert estimates.estimate("m", 400, 80) == Usage(prompt_tokens=100, completion_tokens=20)


def test_models_that_callers_make_up_do_not_pile_up() -> None:
    estimates = TokenEstimator()
    for number in range(3000):
        estimates.add(f"m{number}", 800, 8, Usage(prompt_tokens=100, completion_tokens=1))
    assert estimates.estimate("m0", 800, 0).prompt_tokens == 200
    assert estimates.estimate("m2999", 800, 0).prompt_tokens == 100


sizes = st.integers(0, 10**8)


@given(st.lists(st.tuples(sizes, sizes, sizes, sizes), max_size=20), sizes, sizes)
def test_estimates_are_counts_whatever_was_learned(
    calls: list[tuple[int, int, int, int]], request: int, answer: int
) -> None:
    estimates = TokenEstimator()
    for sent, came, prompt, completion in calls:
        estimates.add("m", sent, came, Usage(prompt_tokens=prompt, completion_tokens=completion))
    usage = estimates.estimate("m", request, answer)
    assert 0.01 * request - 1 <= usage.prompt_tokens <= 50 * request + 1
    assert 0.01 * answer - 1 <= usage.completion_tokens <= 50 * answer + 1
