"""A gate for every threshold: pinned streams, the promise over all looks, the budget, marks and state."""

import json
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.coverage import COVERAGES, PassedThreshold, Threshold
from understudies.stats.fallback import fallback_weights, sequence_weights
from understudies.stats.gate import Gate, log_increments, log_mean_exp
from understudies.stats.selective import SelectiveGate

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GOLDEN = (math.sqrt(5) - 1) / 2
CANDIDATES = [Threshold(1.0 - coverage, coverage) for coverage in COVERAGES]
verdicts = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), max_size=120)


def play(disagrees: Callable[[int, float], bool], n: int, gate: SelectiveGate | None = None) -> SelectiveGate:
    gate = SelectiveGate(CANDIDATES) if gate is None else gate
    for i in range(gate.n + 1, n + 1):
        q = math.modf(i * GOLDEN)[0]
        gate.update(float(not disagrees(i, q)), 1.0 - q)
    return gate


def said(gate: SelectiveGate) -> str:
    """The decision, read afresh: type checkers narrow the property for good at the first assertion."""
    return gate.decision


def never(i: int, q: float) -> bool:
    return False


def unsure_fails(i: int, q: float) -> bool:
    return q > 0.6 and i % 4 == 0


def fiftieth(i: int, q: float) -> bool:
    return i % 50 == 0


@pytest.mark.parametrize(
    ("disagrees", "n", "coverage"),
    [
        (never, 150, None),
        (never, 200, 1.00),
        (unsure_fails, 200, None),
        (unsure_fails, 300, 0.60),
        (unsure_fails, 1000, 0.65),
        (fiftieth, 500, None),
        (fiftieth, 1000, 1.00),
    ],
)
def test_pinned_streams_reach_the_pinned_coverage(
    disagrees: Callable[[int, float], bool], n: int, coverage: float | None
) -> None:
    gate = play(disagrees, n)

    assert (gate.loosest_passed.coverage if gate.loosest_passed else None) == coverage
    assert gate.decision == ("continue" if coverage is None else "promote")


@pytest.mark.parametrize(("level", "n"), [(0.025, 94), (0.025 / 18, 156)])
def test_all_agree_reaches_a_level_at_the_pinned_number(level: float, n: int) -> None:
    assert Gate.from_counts(n, n).promote_e >= 1 / level > Gate.from_counts(n - 1, n - 1).promote_e


def test_the_strictest_threshold_passes_first_when_all_are_reached() -> None:
    gate = SelectiveGate(CANDIDATES)
    for _ in range(93):
        gate.update(1.0, 1.0)
    assert gate.loosest_passed is None

    gate.update(1.0, 1.0)
    assert gate.loosest_passed == PassedThreshold(18, 0.0, 1.0), (
        "the others inherit the whole budget of those before them"
    )


def by_definition(pairs: list[tuple[float, float]], alpha: float = 0.05) -> list[bool]:
    """Section 3 spelt out with one plain gate for each threshold."""
    gates = [Gate() for _ in CANDIDATES]
    maxima = [1.0] * len(gates)
    for score, confidence in pairs:
        for index, threshold in enumerate(CANDIDATES):
            if confidence >= threshold.confidence:
                gates[index] = gates[index].update(score)
                maxima[index] = max(maxima[index], gates[index].promote_e)
    passed: list[bool] = []
    level = 0.0
    for weight, maximum in zip(fallback_weights(len(gates)), maxima, strict=True):
        level = alpha * weight + (level if passed and passed[-1] else 0.0)
        passed.append(maximum >= 1 / level)
    return passed


@pytest.mark.parametrize("seed", range(4))
def test_matches_a_plain_gate_for_each_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.random(700)
    score = (rng.random(700) < 0.90 + 0.1 * confidence).astype(float)
    pairs = list(zip(score.tolist(), confidence.tolist(), strict=True))
    gate = SelectiveGate(CANDIDATES)
    for one in pairs:
        gate.update(*one)

    evidence = gate.evidence()
    assert [item.passed for item in evidence] == by_definition(pairs)
    for item in evidence:
        served = [s for s, c in pairs if c >= item.confidence]
        assert item.n == len(served)
        assert item.agreement == pytest.approx(np.mean(served))


def test_a_student_below_every_threshold_is_untouched_but_counted() -> None:
    gate = SelectiveGate([Threshold(0.5, 1.0)], n_max=2)
    gate.update(1.0, 0.4)
    assert (gate.n, gate.evidence()[0].n, gate.decision) == (1, 0, "continue")

    gate.update(1.0, 0.4)
    assert gate.decision == "inconclusive"


def test_the_strictest_threshold_rejects() -> None:
    gate = SelectiveGate(CANDIDATES)
    gate.update(0.0, 0.5)
    gate.update(0.0, 0.5)
    assert said(gate) == "continue", "the loose thresholds' failures do not reject"

    gate.update(0.0, 0.95)
    gate.update(0.0, 0.95)
    assert said(gate) == "reject"
    assert gate.reject_e == pytest.approx(27.13, abs=5e-3)


def test_a_lone_threshold_has_the_whole_budget() -> None:
    gate = SelectiveGate([Threshold(0.0, 1.0)])
    for _ in range(79):
        gate.update(1.0, 0.5)

    assert gate.loosest_passed == PassedThreshold(0, 0.0, 1.0)


def test_each_threshold_says_whether_it_has_passed() -> None:
    gate = SelectiveGate([Threshold(0.8, 0.5), Threshold(0.2, 1.0)])
    for call in range(200):
        gate.update(1.0, 0.9)
        gate.update(float(call % 10 > 0), 0.5)
    assert gate.passed_flags == [True, False]
    assert gate.loosest_passed == PassedThreshold(0, 0.8, 0.5)


def test_the_budget_lies_where_the_weights_put_it() -> None:
    def needed(weights: list[float] | None, confidence: float = CANDIDATES[9].confidence) -> int:
        gate = SelectiveGate(CANDIDATES, weights=weights)
        while not gate.passed_flags[9] and gate.n < 1000:
            gate.update(1.0, confidence)
        return gate.n

    assert needed(None) == 156, "its share of the half that all but the strictest have"
    at_once = needed(sequence_weights(19, 9))
    assert at_once < 95, "nine tenths of the budget"
    assert needed(sequence_weights(19, 3)) == 1000, "where the sequence starts, nothing has passed"
    assert needed(sequence_weights(19, 3), confidence=1.0) == at_once, "what starts it hands its budget on"


@pytest.mark.parametrize("weights", [[1.0], [0.7, 0.4], [1.2, -0.2]])
def test_refuses_weights_that_are_no_shares(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="2 shares"):
        SelectiveGate([Threshold(0.8, 0.5), Threshold(0.2, 1.0)], weights=weights)


def test_what_is_rejected_and_what_is_spent_is_told_apart() -> None:
    gate = SelectiveGate(CANDIDATES, n_max=2)
    gate.update(0.0, 1.0)
    assert (gate.is_rejected, gate.is_exhausted) == (False, False)
    gate.update(0.0, 1.0)
    assert (gate.is_rejected, gate.is_exhausted) == (True, True)


def day_and_night(at_marks: bool, seed: int) -> SelectiveGate:
    rng = np.random.default_rng(seed)
    gate = SelectiveGate([Threshold(0.0, 1.0)], at_marks=at_marks)
    for _ in range(5):
        for agreement in (0.99, 0.91):
            for agreed in (rng.random(300) < agreement).tolist():
                gate.update(float(agreed), 0.5)
        gate.mark()
    return gate


def test_marks_at_whole_days_keep_the_promise_when_day_and_night_differ() -> None:
    every = sum(day_and_night(False, seed).loosest_passed is not None for seed in range(25))
    marked = sum(day_and_night(True, seed).loosest_passed is not None for seed in range(25))

    assert every >= 22, "the easy half alone promotes nearly always"
    assert marked <= 4


def test_evidence_waits_for_the_mark() -> None:
    gate = SelectiveGate([Threshold(0.0, 1.0)], at_marks=True, n_max=80)
    for _ in range(80):
        gate.update(1.0, 0.5)
    assert said(gate) == "continue"

    gate.mark()
    assert said(gate) == "promote"


@settings(deadline=None)
@given(verdicts, verdicts, st.booleans())
def test_state_round_trips_and_the_fold_continues(
    before: list[tuple[float, float]], after: list[tuple[float, float]], at_marks: bool
) -> None:
    gate = SelectiveGate(CANDIDATES, p0=0.6, weights=sequence_weights(19, 4), at_marks=at_marks)
    for verdict in before:
        gate.update(*verdict)
    gate.mark()
    restored = SelectiveGate.from_state(json.loads(json.dumps(gate.state(), allow_nan=False)))
    for verdict in after:
        gate.update(*verdict)
        restored.update(*verdict)

    assert restored.state() == gate.state()
    assert restored.loosest_passed == gate.loosest_passed
    assert restored.decision == gate.decision


@settings(deadline=None)
@given(verdicts, st.randoms(use_true_random=False))
def test_counts_do_not_depend_on_the_order(stream: list[tuple[float, float]], random: object) -> None:
    shuffled = list(stream)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    one, other = SelectiveGate(CANDIDATES, at_marks=True), SelectiveGate(CANDIDATES, at_marks=True)
    for verdict in stream:
        one.update(*verdict)
    for verdict in shuffled:
        other.update(*verdict)
    one.mark()
    other.mark()

    for left, right in zip(one.evidence(), other.evidence(), strict=True):
        assert left.n == right.n
        assert left.max_e == pytest.approx(right.max_e, rel=1e-9)


def test_weights_scale_the_bets_and_not_the_counts() -> None:
    gate = SelectiveGate([Threshold(0.0, 1.0)])
    gate.update(1.0, 0.5, weight=1.0, w_max=4.0)

    assert gate.evidence()[0].max_e == pytest.approx(math.exp(log_mean_exp(log_increments(1.0, 0.95, 0.25)[0])))
    assert gate.evidence()[0].n == 1


@pytest.mark.parametrize(
    ("candidates", "named"),
    [([], "none"), ([Threshold(0.1, 0.5), Threshold(0.2, 1.0)], "0.2"), ([Threshold(0.1, 1.0)] * 2, "0.1")],
)
def test_refuses_candidates_that_do_not_fall(candidates: list[Threshold], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        SelectiveGate(candidates)


def test_refuses_verdicts_out_of_range() -> None:
    gate = SelectiveGate(CANDIDATES)
    with pytest.raises(ValueError, match=r"confidence .*nan"):
        gate.update(1.0, math.nan)
    with pytest.raises(ValueError, match=r"score .*2"):
        gate.update(2.0, 0.5)
    with pytest.raises(ValueError, match="weight"):
        gate.update(1.0, 0.5, weight=2.0)
    assert gate.n == 0


def maxima(agreement: Callable[[Floats], Floats], runs: int, n: int, seed: int) -> Floats:
    """Running maxima of every threshold's evidence, shape (runs, thresholds), all runs at once."""
    rng = np.random.default_rng(seed)
    won, lost = (np.array(side)[:, None, None] for side in (log_increments(1.0, 0.95)[0], log_increments(0.0, 0.95)[0]))
    wealth = np.ones((5, runs, len(CANDIDATES)))
    best = np.ones((runs, len(CANDIDATES)))
    won, lost = np.exp(won), np.exp(lost)
    edges = np.array(COVERAGES)
    for _ in range(n):
        q = rng.random(runs)
        agreed = rng.random(runs) < agreement(q)
        factor = np.where(agreed[:, None], won, lost)
        wealth = np.where(q[:, None] <= edges, wealth * factor, wealth)
        np.maximum(best, wealth.mean(axis=0), out=best)
    return best


def ever_passed(best: Floats) -> Bools:
    passed = np.zeros(best.shape, dtype=bool)
    level: Floats = np.zeros(len(best))
    for index, weight in enumerate(fallback_weights(best.shape[1])):
        level = 0.05 * weight + level * (passed[:, index - 1] if index else 0.0)
        passed[:, index] = best[:, index] >= 1 / level
    return passed


def served_agreement(agreement: Callable[[Floats], Floats]) -> Floats:
    grid = (np.arange(20_000) + 0.5) / 20_000
    return np.array([agreement(grid[grid <= coverage]).mean() for coverage in COVERAGES])


@pytest.mark.parametrize(
    ("name", "agreement"),
    [
        ("exactly p0 everywhere", lambda q: np.full_like(q, 0.95)),
        ("good on the surest, just short beyond", lambda q: np.where(q <= 0.3, 0.97, 0.92)),
        ("bad on the surest", lambda q: np.where(q <= 0.3, 0.90, 0.965)),
    ],
)
def test_no_policy_below_p0_is_ever_promoted_but_with_alpha(name: str, agreement: Callable[[Floats], Floats]) -> None:
    runs = 600
    passed = ever_passed(maxima(agreement, runs, 1200, seed=51))
    below = served_agreement(agreement) <= 0.95 + 1e-9
    false = (passed & below).any(axis=1).mean()

    assert below.any(), name
    assert false <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_the_simulation_and_the_gate_agree() -> None:
    # The simulation draws q, then the verdict; replaying its draws through the class must give its maxima.
    n, seed = 200, 52
    best = maxima(lambda q: np.full_like(q, 0.97), 1, n, seed)[0]
    rng = np.random.default_rng(seed)
    gate = SelectiveGate(CANDIDATES)
    for _ in range(n):
        q = float(rng.random(1)[0])
        gate.update(float(rng.random(1)[0] < 0.97), 1.0 - q)

    assert [item.max_e for item in gate.evidence()] == pytest.approx(best.tolist(), rel=1e-9)


def widest(passed: Bools) -> list[float]:
    return [max((c for c, ok in zip(COVERAGES, row, strict=True) if ok), default=0.0) for row in passed.tolist()]


@pytest.mark.parametrize(("n", "share"), [(300, 0.04), (600, 0.31), (1000, 0.57)])
def test_a_good_student_serves_about_the_share_of_the_design(n: int, share: float) -> None:
    # Right on .905 of all calls, on .95 of the surest .75, worse steadily.
    def agreement(q: Floats) -> Floats:
        return 1.0 - 0.307 * q**2.231

    passed = ever_passed(maxima(agreement, 300, n, seed=53))

    assert np.mean(widest(passed)) == pytest.approx(share, abs=0.08)
