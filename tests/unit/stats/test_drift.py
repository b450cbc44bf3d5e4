"""The drift detectors: exact constants, run length under health, delay after a fall."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.bounds import clopper_pearson_lower
from understudies.stats.drift import DriftDetector, TwoTierDriftDetector
from understudies.stats.gate import REJECT_BETS

scores = st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=200)


@pytest.mark.parametrize(
    ("p_null", "threshold", "failures"),
    [(0.95, 1e3, 4), (0.95, 1e4, 5), (0.95, 1e5, 6), (0.97, 1e3, 3), (0.97, 1e4, 4), (0.97, 1e5, 5)],
)
def test_alarms_after_the_pinned_run_of_disagreements(p_null: float, threshold: float, failures: int) -> None:
    detector = DriftDetector(p_null, threshold)
    for count in range(1, failures + 1):
        detector = detector.update(0.0)
        assert detector.has_alarm == (count == failures)


def test_statistics_are_as_pinned() -> None:
    failing, agreeing = DriftDetector(), DriftDetector()
    for _ in range(4):
        failing = failing.update(0.0)
    for _ in range(3):
        agreeing = agreeing.update(1.0)

    assert failing.statistic == pytest.approx(2496.64, abs=5e-3)
    assert agreeing.statistic == pytest.approx(2.22232, abs=5e-6)


def test_starts_afresh_after_an_alarm() -> None:
    detector = DriftDetector()
    for _ in range(4):
        detector = detector.update(0.0)
    again = detector.update(1.0)

    assert not again.has_alarm
    assert again == DriftDetector().update(1.0)


@settings(deadline=None)
@given(scores)
def test_at_the_usual_pace_nothing_changes(stream: list[float]) -> None:
    drift = paced = TwoTierDriftDetector.after_gate(0.95, 970, 1000)
    for score in stream:
        drift, paced = drift.update(score), paced.update(score, 1.0)

    assert paced == drift


@settings(deadline=None)
@given(scores, st.sampled_from([1.0, 1.5, 10.0, 25.0]))
def test_a_pace_is_a_threshold_that_is_as_many_times_as_high(stream: list[float], pace: float) -> None:
    paced, higher = DriftDetector(0.9, 20.0), DriftDetector(0.9, 20.0 * pace)
    for score in stream:
        paced, higher = paced.update(score, pace), higher.update(score)
        assert (paced.statistics, paced.has_alarm) == (higher.statistics, higher.has_alarm)


@pytest.mark.parametrize(("pace", "failures"), [(1.0, 4), (2.0, 4), (10.0, 5), (100.0, 6)])
def test_the_pinned_run_of_disagreements_grows_with_the_pace(pace: float, failures: int) -> None:
    drift = TwoTierDriftDetector.after_gate(0.95, 0, 0)
    for count in range(1, failures + 1):
        drift = drift.update(0.0, pace)
        assert (drift.tier == "contract") == (count == failures)


def test_the_warn_tier_follows_the_pace_too() -> None:
    drift = paced = TwoTierDriftDetector.after_gate(0.9, 1000, 1000)
    tiers, paced_tiers = [], []
    for call in range(400):
        drift, paced = drift.update(float(call % 25 != 0)), paced.update(float(call % 25 != 0), 10.0)
        tiers.append(drift.tier)
        paced_tiers.append(paced.tier)

    assert tiers.index("warn") < paced_tiers.index("warn")


@pytest.mark.parametrize("pace", [0.99, 0.0, math.inf, math.nan])
def test_refuses_a_pace_that_is_no_factor(pace: float) -> None:
    with pytest.raises(ValueError, match="pace must be finite and at least 1"):
        DriftDetector().update(1.0, pace)


def test_dates_the_change_for_the_report() -> None:
    detector = DriftDetector(p_null=0.95, threshold=1e9)
    for _ in range(500):
        detector = detector.update(1.0)
    for _ in range(6):
        detector = detector.update(0.0)

    assert detector.agreement == pytest.approx(500 / 506)
    assert (detector.recent_n, detector.recent_agreement) == (6, 0.0)


@settings(deadline=None)
@given(scores)
def test_state_round_trips_through_json(stream: list[float]) -> None:
    drift = TwoTierDriftDetector.after_gate(0.95, 970, 1000)
    for score in stream:
        drift = drift.update(score)

    assert TwoTierDriftDetector.from_state(json.loads(json.dumps(drift.state(), allow_nan=False))) == drift


@settings(deadline=None)
@given(scores)
def test_a_stream_and_its_continuation_from_state_agree(stream: list[float]) -> None:
    half = len(stream) // 2
    whole = first = DriftDetector()
    for score in stream:
        whole = whole.update(score)
    for score in stream[:half]:
        first = first.update(score)
    rest = DriftDetector.from_state(first.state())
    for score in stream[half:]:
        rest = rest.update(score)

    assert rest == whole


@pytest.mark.parametrize(("p_null", "threshold"), [(1.0, 1e3), (-0.1, 1e3), (0.95, 1.0), (0.95, math.nan)])
def test_refuses_impossible_settings(p_null: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="got"):
        DriftDetector(p_null, threshold)


def test_refuses_a_score_outside_the_unit_interval() -> None:
    with pytest.raises(ValueError, match="nan"):
        DriftDetector().update(math.nan)


def test_the_warn_tier_watches_what_the_gate_measured() -> None:
    drift = TwoTierDriftDetector.after_gate(0.95, 990, 1000)

    assert drift.contract == DriftDetector(0.95, 1_000)
    assert drift.warn == DriftDetector(clopper_pearson_lower(990, 1000), 10_000)
    assert TwoTierDriftDetector.after_gate(0.95, 90, 100).warn.p_null == 0.95
    assert TwoTierDriftDetector.after_gate(0.95, 0, 0).baseline is None


def test_a_fall_that_keeps_the_promise_warns_without_breaking_it() -> None:
    drift = TwoTierDriftDetector.after_gate(0.9, 995, 1000)
    tiers = set()
    for call in range(400):
        drift = drift.update(float(call % 25 != 0))
        tiers.add(drift.tier)

    assert tiers == {None, "warn"}


def run_lengths(agreement: float, after: float, change: int, runs: int, cap: int, seed: int) -> npt.NDArray[np.int64]:
    """Verdicts to the first alarm of the contract tier, at most `cap`."""
    rng = np.random.default_rng(seed)
    bets = np.array(REJECT_BETS)[:, None]
    won, lost = 1 - bets, 1 - bets + bets / 0.05
    statistic = np.zeros((len(REJECT_BETS), runs))
    length = np.full(runs, cap)
    for step in range(1, cap + 1):
        agreed = rng.random(runs) < (agreement if step <= change else after)
        statistic = np.where(agreed, won, lost) * (statistic + 1)
        alarmed = (statistic.mean(axis=0) >= 1000) & (length == cap)
        length[alarmed] = step
        statistic[:, alarmed] = 0.0
    return length


def test_a_healthy_student_runs_at_least_a_thousand_audits_on_average() -> None:
    # Capping only shortens the average; .95 is the worst healthy agreement.
    lengths = run_lengths(0.95, 0.95, change=0, runs=800, cap=8_000, seed=21)

    assert lengths.mean() >= 1_000


@pytest.mark.parametrize(("after", "delay"), [(0.90, 126), (0.80, 32)])
def test_a_fall_is_found_about_as_fast_as_designed(after: float, delay: float) -> None:
    change = 300
    lengths = run_lengths(0.97, after, change, runs=1500, cap=2_500, seed=22)
    delays = lengths[lengths > change] - change

    assert delays.mean() == pytest.approx(delay, rel=0.15)
    assert np.mean(lengths <= change) <= 0.1
