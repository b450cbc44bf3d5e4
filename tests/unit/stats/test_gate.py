"""The betting gate: exact constants, value semantics and the promise under peeking."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.gate import MAX_NATS, Gate, log_increments

verdicts = st.lists(st.sampled_from([0.0, 1.0]), max_size=300)


def fold(scores: list[float], gate: Gate | None = None) -> Gate:
    current = Gate() if gate is None else gate
    for score in scores:
        current = current.update(score)
    return current


def verdicts_to_promote(failures: int, p0: float = 0.95, alpha: float = 0.05) -> int:
    n = failures
    while Gate.from_counts(n - failures, n, p0=p0, alpha=alpha).decision != "promote":
        n += 1
    return n


@pytest.mark.parametrize(("failures", "n"), [(0, 79), (1, 139), (2, 175), (3, 210), (5, 277), (10, 431)])
def test_promotes_at_the_pinned_number_of_verdicts(failures: int, n: int) -> None:
    assert verdicts_to_promote(failures) == n


@pytest.mark.parametrize(
    ("p0", "alpha", "n"), [(0.8, 0.05, 18), (0.9, 0.05, 39), (0.98, 0.05, 200), (0.99, 0.05, 401), (0.95, 0.01, 114)]
)
def test_all_agree_promotes_at_the_pinned_number_for_other_levels(p0: float, alpha: float, n: int) -> None:
    assert verdicts_to_promote(0, p0, alpha) == n


@pytest.mark.parametrize(("agree", "n", "e"), [(78, 78, 19.649), (79, 79, 20.531), (138, 139, 20.500)])
def test_promote_evidence_is_as_pinned(agree: int, n: int, e: float) -> None:
    assert Gate.from_counts(agree, n).promote_e == pytest.approx(e, abs=5e-4)


@pytest.mark.parametrize(("failures", "v"), [(1, 4.0875), (2, 27.13)])
def test_reject_evidence_is_as_pinned(failures: int, v: float) -> None:
    assert Gate.from_counts(0, failures).reject_e == pytest.approx(v, abs=5e-3)


@pytest.mark.parametrize(("n", "failures"), [(10, 4), (20, 5), (50, 9), (100, 13), (200, 21)])
def test_rejects_at_the_pinned_number_of_failures(n: int, failures: int) -> None:
    assert Gate.from_counts(n - failures, n).decision == "reject"
    assert Gate.from_counts(n - failures + 1, n).decision == "continue"


def test_is_inconclusive_after_n_max() -> None:
    gate = fold([1.0] * 9 + [0.0], Gate(n_max=11))

    assert gate.decision == "continue"
    assert gate.update(1.0).decision == "inconclusive"


def test_update_leaves_the_gate_as_it_was() -> None:
    gate = Gate()

    assert gate.update(1.0) != gate
    assert gate == Gate()


@settings(deadline=None)
@given(verdicts)
def test_binary_fold_is_a_function_of_the_counts(scores: list[float]) -> None:
    folded = fold(scores)
    counted = Gate.from_counts(int(sum(scores)), len(scores))

    assert folded.log_promote_e == pytest.approx(counted.log_promote_e, abs=1e-9)
    assert folded.log_reject_e == pytest.approx(counted.log_reject_e, abs=1e-9)
    assert (folded.n, folded.total, folded.decision) == (counted.n, counted.total, counted.decision)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=60), st.randoms(use_true_random=False))
def test_order_of_verdicts_does_not_matter(scores: list[float], random: object) -> None:
    shuffled = list(scores)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    assert fold(shuffled).log_promote_e == pytest.approx(fold(scores).log_promote_e, abs=1e-9)
    assert fold(shuffled).log_reject_e == pytest.approx(fold(scores).log_reject_e, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3)), max_size=60))
def test_state_round_trips_through_json(pairs: list[tuple[float, float]]) -> None:
    gate = Gate(p0=0.9, alpha=0.01)
    for score, weight in pairs:
        gate = gate.update(score, weight, w_max=3.0)

    assert Gate.from_state(json.loads(json.dumps(gate.state(), allow_nan=False))) == gate


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_weight_scales_the_bets(score: float, share: float) -> None:
    gate = Gate().update(score, weight=7 * share, w_max=7.0)

    assert gate.promote_logs[1] == pytest.approx(math.log(1 + 0.4 * share * (score / 0.95 - 1)), abs=1e-12)
    assert gate.reject_logs[5] == pytest.approx(math.log(1 + 0.5 * share * ((1 - score) / 0.05 - 1)), abs=1e-12)


def test_both_sides_are_fair_bets_at_p0() -> None:
    won, lost = log_increments(1.0, 0.95), log_increments(0.0, 0.95)
    for side in (0, 1):
        for up, down in zip(won[side], lost[side], strict=True):
            assert 0.95 * math.exp(up) + 0.05 * math.exp(down) == pytest.approx(1.0, abs=1e-12)


def test_a_million_verdicts_neither_overflow_nor_lose_the_decision() -> None:
    agreeing, failing = Gate.from_counts(10**6, 10**6), Gate.from_counts(0, 10**6)

    assert agreeing.decision == "promote"
    assert failing.decision == "reject"
    assert agreeing.promote_e == failing.reject_e == math.exp(MAX_NATS)
    assert agreeing.reject_e == failing.promote_e == 0.0
    assert agreeing.log_promote_e == pytest.approx(10**6 * math.log(1 / 0.95) - math.log(5), rel=1e-12)


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan, math.inf])
def test_refuses_a_score_outside_the_unit_interval(score: float) -> None:
    with pytest.raises(ValueError, match=f"score .*{score!r}"):
        Gate().update(score)


@pytest.mark.parametrize(
    ("weight", "w_max", "named"), [(2.0, 1.0, "2.0"), (-1.0, 1.0, "-1.0"), (math.nan, 1.0, "nan"), (1.0, 0.0, "0.0")]
)
def test_refuses_a_weight_above_its_bound(weight: float, w_max: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Gate().update(1.0, weight, w_max)


@pytest.mark.parametrize("levels", [{"p0": 0.0}, {"p0": 1.0}, {"alpha": 0.0}, {"beta": 1.0}, {"n_max": 0}])
def test_refuses_levels_out_of_range(levels: dict[str, float]) -> None:
    name, value = next(iter(levels.items()))
    with pytest.raises(ValueError, match=f"{name} .*{value!r}"):
        Gate(**levels)  # type: ignore[arg-type]  # n_max is an int


def test_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="4 of 3"):
        Gate.from_counts(4, 3)


def decide(p: float, runs: int, seed: int, n_max: int = 2000) -> tuple[float, float, float]:
    """Share of runs that promote, that reject, and mean verdicts to the end, looking after every verdict."""
    rng = np.random.default_rng(seed)
    n = np.arange(1, n_max + 1)
    won, lost = log_increments(1.0, 0.95), log_increments(0.0, 0.95)
    agree = np.cumsum((rng.random((runs, n.size)) < p).astype(np.int64), axis=1)
    promote = _first(_evidence(agree, n, won[0], lost[0]) >= 20)
    reject = _first(_evidence(agree, n, won[1], lost[1]) >= 20)
    return (
        float(np.mean(promote < reject)),
        float(np.mean(reject < promote)),
        float(np.mean(np.minimum(np.minimum(promote, reject) + 1, n.size))),
    )


def _evidence(
    agree: npt.NDArray[np.int64], n: npt.NDArray[np.int64], won: tuple[float, ...], lost: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    total = np.zeros(agree.shape)
    for up, down in zip(won, lost, strict=True):
        total += np.exp(agree * up + (n - agree) * max(down, -1e6))
    mean: npt.NDArray[np.float64] = total / len(won)
    return mean


def _first(hit: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    index: npt.NDArray[np.int64] = np.where(hit.any(axis=1), hit.argmax(axis=1), hit.shape[1])
    return index


def test_false_promotion_under_peeking_stays_below_alpha() -> None:
    promoted, _, _ = decide(0.95, runs=3000, seed=11)

    # Three standard errors above alpha; the design's own estimate is .0475.
    assert promoted <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)
    assert promoted >= 0.02, "the gate would be needlessly strict"


def test_false_rejection_under_peeking_stays_below_beta() -> None:
    _, rejected, _ = decide(0.95, runs=3000, seed=12)

    assert rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


@pytest.mark.parametrize(
    ("p", "promoted", "mean"), [(0.90, 0.0002, 191), (0.93, 0.004, 1052), (0.97, 0.9975, 719), (0.99, 0.9999, 142)]
)
def test_power_and_speed_are_those_of_the_design(p: float, promoted: float, mean: float) -> None:
    # The design's figures let a gate run on until it decides.
    share, _, verdicts_needed = decide(p, runs=600, seed=13, n_max=5000)

    assert share == pytest.approx(promoted, abs=0.012)
    assert verdicts_needed == pytest.approx(mean, rel=0.1)


def test_the_simulation_and_the_gate_agree() -> None:
    rng = np.random.default_rng(14)
    scores = (rng.random(300) < 0.9).astype(float)
    agree, n = np.cumsum(scores[None], axis=1).astype(np.int64), np.arange(1, 301)
    simulated = _evidence(agree, n, log_increments(1.0, 0.95)[1], log_increments(0.0, 0.95)[1])[0]

    gate = Gate()
    for score, expected in zip(scores.tolist(), simulated.tolist(), strict=True):
        gate = gate.update(score)
        assert gate.reject_e == pytest.approx(expected, rel=1e-9)
