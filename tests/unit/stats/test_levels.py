"""Agreement proven beyond p0: pinned counts, the promise over all looks, audits, withdrawal and state."""

import json
import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.bounds import promote_log_e
from understudies.stats.coverage import COVERAGES, Threshold
from understudies.stats.gate import PROMOTE_BETS, Gate
from understudies.stats.levels import AGREEMENT_LEVELS, AgreementLevels

Floats = npt.NDArray[np.float64]

CANDIDATES = [Threshold(1.0 - coverage, coverage) for coverage in COVERAGES]
HIGH, LOW = Threshold(0.9, 0.5), Threshold(0.1, 1.0)
BETS = np.array(PROMOTE_BETS)

verdicts = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.sampled_from([0.0, 0.3, 0.9])), max_size=80
)


def fed(levels: AgreementLevels, n: int, failures: int = 0, confidence: float = 0.95) -> AgreementLevels:
    for number in range(n):
        both(levels, float(number >= failures), confidence)
    levels.look()
    return levels


def both(levels: AgreementLevels, score: float, confidence: float, served_from: float = -math.inf) -> None:
    """A verdict on a distinct input, which is a call as well."""
    levels.update(score, confidence, "inputs", served_from)
    levels.update(score, confidence, "calls", served_from)


@pytest.mark.parametrize(("agreement", "n"), [(0.96, 99), (0.98, 200), (0.99, 401), (0.998, 2014)])
def test_a_lone_threshold_proves_as_early_as_a_gate_at_that_agreement(agreement: float, n: int) -> None:
    assert (
        fed(AgreementLevels([LOW]), n).proven(0.1)[0][0]
        >= agreement
        > fed(AgreementLevels([LOW]), n - 1).proven(0.1)[0][0]
    )
    assert Gate.from_counts(n, n, p0=agreement, n_max=n).decision == "promote"
    assert Gate.from_counts(n - 1, n - 1, p0=agreement, n_max=n).decision == "continue"


@pytest.mark.parametrize(("failures", "n"), [(0, 361), (5, 928)])
def test_nineteen_thresholds_share_the_alpha(failures: int, n: int) -> None:
    assert fed(AgreementLevels(CANDIDATES), n, failures, confidence=1.0).proven(0.0)[0][0] >= 0.98
    assert fed(AgreementLevels(CANDIDATES), n - 1, failures, confidence=1.0).proven(0.0)[0][0] < 0.98


def test_the_threshold_in_force_comes_first_with_what_its_gate_promises() -> None:
    assert AgreementLevels([HIGH, LOW], p0=0.9).proven(0.1) == ((0.9, 0.1),)
    assert fed(AgreementLevels([HIGH, LOW]), 500).proven(0.1) == ((0.99, 0.1),), "proven where it is loosest"


def test_a_stricter_threshold_is_named_only_for_what_it_proves_beyond() -> None:
    levels = fed(AgreementLevels([HIGH, Threshold(0.5, 0.8), LOW]), 500, 15, confidence=0.3)
    fed(levels, 700)
    assert levels.proven(0.1) == ((0.97, 0.1), (0.99, 0.5))
    assert levels.proven(0.1, withheld=[False, True, False]) == ((0.97, 0.1), (0.99, 0.9))
    assert levels.proven(0.9) == ((0.99, 0.9),), "what is looser than the threshold in force is none of its levels"


def test_a_threshold_in_force_that_is_no_candidate_keeps_the_stricter_ones() -> None:
    assert fed(AgreementLevels([HIGH, LOW]), 500).proven(0.4) == ((0.95, 0.4), (0.99, 0.9))


def test_rungs_up_to_p0_are_left_out() -> None:
    assert AgreementLevels([LOW], p0=0.95).levels == tuple(rung for rung in AGREEMENT_LEVELS if rung > 0.95)
    assert AgreementLevels([LOW], p0=0.8).levels == AGREEMENT_LEVELS


def test_evidence_counts_when_it_is_looked_at() -> None:
    levels = AgreementLevels([LOW])
    for _ in range(200):
        both(levels, 1.0, 0.5)
    assert levels.proven(0.1) == ((0.95, 0.1),)
    levels.look()
    assert levels.proven(0.1) == ((0.98, 0.1),)


def test_what_was_proven_stays_proven_when_later_verdicts_disagree() -> None:
    levels = fed(AgreementLevels([LOW]), 200)
    assert fed(levels, 5, failures=5).proven(0.1) == ((0.98, 0.1),)


@given(st.integers(0, 400), st.integers(0, 40), st.floats(0.5, 0.995), st.floats(0.5, 0.995))
def test_evidence_against_a_higher_agreement_is_never_more(agree: int, failures: int, one: float, other: float) -> None:
    # The whole promise rests on this: who proves a rung too high has proven the lowest that is too high.
    low, high = sorted((one, other))
    n = agree + failures
    assert promote_log_e(agree, n, high) <= promote_log_e(agree, n, low) + 1e-12


@given(verdicts, st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_levels_rise_in_agreement_and_in_confidence(stream: list[tuple[float, float, float]], own: float) -> None:
    levels = AgreementLevels(CANDIDATES, p0=0.5, alpha=0.9, levels=(0.52, 0.55, 0.6, 0.7))
    for verdict in stream:
        both(levels, *verdict)
    levels.look()
    proven = levels.proven(own)
    assert proven[0][1] == own
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(proven))


# The promise


STAIRS = (0.10, 0.20, 0.40, 0.60, 0.80, 1.00)
"""Coverages whose agreement, in the simulations, is a hair below one rung each."""
JUST_BELOW = {
    "one rung for each threshold": (0.99499, 0.98499, 0.97499, 0.96499, 0.95499, 0.94999),
    "the same rung for all": (0.97999,) * 6,
    "less sure where it is surest": (0.95499, 0.96499, 0.96999, 0.97499, 0.97999, 0.98000),
}


def drawn(agreement: tuple[float, ...], n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Coverage quantiles and scores of `n` calls on which each threshold's agreement is as wanted."""
    edges = np.array(STAIRS)
    bands = np.diff(np.concatenate(([0.0], np.array(agreement) * edges))) / np.diff(np.concatenate(([0.0], edges)))
    assert bands.max() <= 1.0
    q = rng.random(n)
    return q, (rng.random(n) < bands[np.searchsorted(edges, q)]).astype(float)


def best_evidence(q: Floats, score: Floats, too_high: Floats) -> Floats:
    """For each threshold the largest evidence that any verdict left behind for an agreement that is not there."""
    reached = q[:, None] <= np.array(STAIRS)
    agree, n = np.cumsum(reached * score[:, None], axis=0), np.cumsum(reached, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [
            agree * np.log1p(bet * (1 / too_high - 1)) + np.where(n > agree, (n - agree) * np.log1p(-bet), 0.0)
            for bet in BETS
        ]
        wealth: Floats = np.logaddexp.reduce(np.array(logs), axis=0) - math.log(len(BETS))
    return np.array(wealth.max(axis=0))


@pytest.mark.parametrize("name", JUST_BELOW)
def test_no_level_that_is_not_there_is_ever_proven_but_with_alpha(name: str) -> None:
    # By the property above, a level is wrong at a threshold as soon as its lowest wrong rung is.
    agreement, runs = JUST_BELOW[name], 600
    too_high = np.array([min(rung for rung in AGREEMENT_LEVELS if rung > max(0.95, own)) for own in agreement])
    rng = np.random.default_rng(61)
    wrong = sum(
        bool((best_evidence(*drawn(agreement, 3000, rng), too_high) >= math.log(len(STAIRS) / 0.05)).any())
        for _ in range(runs)
    )
    assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_the_simulation_and_the_class_agree() -> None:
    agreement = JUST_BELOW["one rung for each threshold"]
    candidates = [Threshold(1.0 - coverage, coverage) for coverage in STAIRS]
    for seed in range(12):
        q, score = drawn(agreement, 600, np.random.default_rng(seed))
        levels = AgreementLevels(candidates, alpha=0.9)
        for one, agreed in zip(q.tolist(), score.tolist(), strict=True):
            both(levels, agreed, 1.0 - one)
            levels.look()
        for rung in levels.levels:
            proven = best_evidence(q, score, np.full(len(STAIRS), rung)) >= math.log(len(STAIRS) / 0.9)
            found = [levels.proven(candidate.confidence)[0][0] >= rung for candidate in candidates]
            assert found == proven.tolist()


def wrongly_proven(seed: int, *, known: bool) -> bool:
    """Whether audits of 20,000 calls prove a level that is not there; nearly all ask for more than the task does.

    Where it is not `known` what a call had to reach, its audit counts from the task's own threshold on.
    """
    candidates = [Threshold(1.0 - coverage, coverage) for coverage in STAIRS]
    agreement = JUST_BELOW["one rung for each threshold"]
    rng = np.random.default_rng(seed)
    levels = AgreementLevels(candidates)
    q, score = drawn(agreement, 20_000, rng)
    strict = rng.random(len(q)) < 0.95
    for number, (one, agreed) in enumerate(zip(q.tolist(), score.tolist(), strict=True)):
        confidence, served_from = 1.0 - one, 0.8 if strict[number] else 0.4
        if confidence >= served_from:
            both(levels, agreed, confidence, served_from if known else 0.4)
        if number % 100 == 0:
            levels.look()
    found = [levels.proven(candidate.confidence)[0][0] for candidate in candidates]
    return any(proven > max(0.95, own) for proven, own in zip(found, agreement, strict=True))


def test_audits_keep_the_promise_where_they_count_from_what_their_call_had_to_reach() -> None:
    assert sum(wrongly_proven(seed, known=True) for seed in range(20)) <= 2
    assert sum(wrongly_proven(seed, known=False) for seed in range(20)) >= 10, "the surest calls are most of them"


# Audits and withdrawal


def test_an_audit_says_nothing_of_thresholds_that_its_call_could_not_have_been_served_at() -> None:
    levels = AgreementLevels([HIGH, LOW])
    for _ in range(500):
        both(levels, 1.0, confidence=0.95, served_from=0.9)
    levels.look()
    assert levels.proven(0.1) == ((0.95, 0.1), (0.99, 0.9))


def test_a_fall_takes_more_evidence_while_audits_come_more_often() -> None:
    levels = fed(AgreementLevels([HIGH, LOW]), 500)
    said = [levels.update_detectors(0.0, 0.95, 0.1, pace=20.0) for _ in range(5)]
    assert said.index(True) > 2, "three are enough at the usual pace"


def test_a_level_that_falls_takes_all_of_them_with_it() -> None:
    levels = fed(AgreementLevels([HIGH, LOW]), 500)
    said = [levels.update_detectors(0.0, 0.95, 0.1) for _ in range(3)]
    assert said == [False, False, True]
    assert levels.proven(0.1) == ((0.95, 0.1),)
    levels.look()
    assert levels.proven(0.1) == ((0.95, 0.1),), "what came before the fall proves nothing any more"
    assert fed(levels, 500).proven(0.1) == ((0.99, 0.1),)


def test_where_nothing_is_proven_there_is_nothing_to_watch() -> None:
    levels = AgreementLevels([HIGH, LOW])
    assert not any(levels.update_detectors(0.0, 0.95, 0.1) for _ in range(50))


def test_disagreement_below_a_threshold_does_not_touch_its_level() -> None:
    levels = AgreementLevels([HIGH, LOW])
    levels.adopt(((0.95, 0.1), (0.99, 0.9)))
    assert not any(levels.update_detectors(0.0, 0.5, 0.1) for _ in range(50))
    assert levels.proven(0.1) == ((0.95, 0.1), (0.99, 0.9))


def test_a_higher_level_is_watched_afresh() -> None:
    def failed_twice(more: int) -> bool:
        """Whether a third disagreement raises the alarm, where so much more is proven before it."""
        levels = fed(AgreementLevels([LOW]), 120)
        assert not any(levels.update_detectors(float(number < 300), 0.95, 0.1) for number in range(302))
        assert fed(levels, more).proven(0.1)[0][0] == (0.99 if more else 0.965)
        return levels.update_detectors(0.0, 0.95, 0.1)

    assert failed_twice(0)
    assert not failed_twice(500)


def test_alarms_of_levels_that_just_hold_are_a_thousand_audits_apart_in_the_mean() -> None:
    rng = np.random.default_rng(63)
    candidates = [Threshold(1.0 - coverage, coverage) for coverage in STAIRS]
    proven = tuple((0.98, candidate.confidence) for candidate in candidates)
    levels = AgreementLevels(candidates)
    levels.adopt(proven)
    audits, alarms = 30_000, 0
    q, score = drawn((0.98,) * 6, audits, rng)
    for one, agreed in zip(q.tolist(), score.tolist(), strict=True):
        if levels.update_detectors(agreed, 1.0 - one, 0.0):
            alarms += 1
            levels.adopt(proven)
    assert alarms <= audits / 1000


def test_a_fall_is_found_within_some_hundred_audits() -> None:
    delays: list[int] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        levels = AgreementLevels(CANDIDATES)
        levels.adopt(((0.95, 0.0), (0.99, 0.5)))
        delays.append(next(n for n in range(1, 3000) if levels.update_detectors(float(rng.random() < 0.93), 0.95, 0.0)))
    assert np.mean(delays) == pytest.approx(140, abs=60)


def test_what_was_told_before_is_taken_over_where_its_evidence_is_lost() -> None:
    levels = AgreementLevels([HIGH, LOW])
    levels.adopt(((0.95, 0.1), (0.985, 0.9), (0.99, 0.97)))
    assert levels.proven(0.1) == ((0.95, 0.1), (0.985, 0.9))
    assert fed(levels, 100).proven(0.1) == ((0.95, 0.1), (0.985, 0.9)), "and never taken back for want of evidence"


# Two streams


def fed_apart(levels: AgreementLevels, inputs: int, calls: int) -> AgreementLevels:
    """Agreement on so many distinct inputs, and on so many calls."""
    for _ in range(inputs):
        levels.update(1.0, 0.95, "inputs")
    for _ in range(calls):
        levels.update(1.0, 0.95, "calls")
    levels.look()
    return levels


@pytest.mark.parametrize(("inputs", "calls"), [(0, 500), (500, 0), (80, 500), (500, 80)])
def test_a_level_is_proven_where_inputs_and_calls_prove_it_each_by_themselves(inputs: int, calls: int) -> None:
    assert fed_apart(AgreementLevels([LOW]), inputs, calls).proven(0.1) == ((0.95, 0.1),)


def test_the_stream_that_proves_less_says_how_much_is_told() -> None:
    assert fed_apart(AgreementLevels([LOW]), 200, 500).proven(0.1) == ((0.98, 0.1),)
    assert fed_apart(AgreementLevels([LOW]), 500, 200).proven(0.1) == ((0.98, 0.1),)
    assert fed_apart(AgreementLevels([LOW]), 500, 500).proven(0.1) == ((0.99, 0.1),)


def test_repeats_that_disagree_keep_down_what_distinct_inputs_prove() -> None:
    levels = fed_apart(AgreementLevels([LOW]), 500, 0)
    for call in range(1000):
        levels.update(float(call % 20 > 0), 0.95, "calls")
    levels.look()
    assert levels.proven(0.1) == ((0.95, 0.1),)


def test_what_its_audits_contradict_is_not_told_and_stricter_levels_are() -> None:
    levels = fed(fed(AgreementLevels([HIGH, LOW]), 500, confidence=0.5), 100)
    assert levels.proven(0.1) == ((0.99, 0.1),)
    assert not any(levels.update_detectors(float(number % 33 > 0), 0.5, 0.1) for number in range(1, 201))
    # 6 of 200 audits disagree: by the upper 95% bound, at most 98.7% agree. No alarm has to come first.
    assert levels.proven(0.1) == ((0.985, 0.1),)

    for _ in range(2000):
        levels.update_detectors(1.0, 0.5, 0.1)
    assert levels.proven(0.1) == ((0.99, 0.1),), "what was proven is told again where audits no longer speak against it"


def test_levels_from_before_calls_counted_keep_what_was_proven() -> None:
    levels = fed(AgreementLevels([HIGH, LOW]), 200)
    state = levels.state()
    old = {key: state[key] for key in ("confidences", "p0", "rungs", "needed", "watch")}
    old |= {"counts": state["counts"]["inputs"], "climbed": state["climbs"]["inputs"]}
    restored = AgreementLevels.from_state(json.loads(json.dumps(old)))
    assert restored.proven(0.1) == levels.proven(0.1)
    assert fed(restored, 100).proven(0.1) == levels.proven(0.1), "of the calls all is still to come"


# State


@settings(deadline=None)
@given(verdicts, verdicts, st.booleans())
def test_state_round_trips_and_the_fold_continues(
    before: list[tuple[float, float, float]], after: list[tuple[float, float, float]], proven: bool
) -> None:
    levels = AgreementLevels(CANDIDATES, p0=0.5, alpha=0.9, levels=(0.52, 0.55, 0.6, 0.7))
    if proven:
        levels.adopt(((0.6, 0.3), (0.7, 0.9)))
    for verdict in before:
        both(levels, *verdict)
        levels.update_detectors(*verdict)
    levels.look()
    restored = AgreementLevels.from_state(json.loads(json.dumps(levels.state(), allow_nan=False)))
    for verdict in after:
        both(levels, *verdict)
        both(restored, *verdict)
        assert restored.update_detectors(*verdict) == levels.update_detectors(*verdict)
    levels.look()
    restored.look()
    assert restored.state() == levels.state()
    assert restored.proven(0.0) == levels.proven(0.0)


def test_refuses_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="threshold"):
        AgreementLevels([])
    with pytest.raises(ValueError, match="alpha"):
        AgreementLevels([LOW], alpha=0.0)
    with pytest.raises(ValueError, match=r"score .*2"):
        AgreementLevels([LOW]).update(2.0, 0.5, "calls")
