"""Conversations as one bet: what the bet is, and that its promise is agreement per call."""

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.stats.coverage import ScoredCall, Threshold
from understudies.stats.gate import Gate
from understudies.stats.selective import SelectiveGate

Floats = npt.NDArray[np.float64]

P0, ALPHA, BETS = 0.95, 0.05, (0.2, 0.4, 0.6, 0.8, 1.0)
CANDIDATES = [Threshold(0.8, 0.2), Threshold(0.5, 0.5), Threshold(0.1, 0.9)]
calls = st.builds(ScoredCall, st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))
conversations = st.lists(st.lists(calls, min_size=1, max_size=5), max_size=40)


def noted(gate: SelectiveGate) -> list[tuple[int, int, float]]:
    return [(one.n, one.calls, one.max_e) for one in gate.evidence()]


@settings(deadline=None)
@given(conversations)
def test_a_bet_is_the_weighted_one_on_the_mean_at_each_threshold(said: list[list[ScoredCall]]) -> None:
    gate, plain = SelectiveGate(CANDIDATES, at_marks=True), [Gate() for _ in CANDIDATES]
    for conversation in said:
        gate.bet(conversation, w_max=5)
        for index, threshold in enumerate(CANDIDATES):
            scores = [call.score for call in conversation if call.confidence >= threshold.confidence]
            if scores:
                mean = min(1.0, math.fsum(scores) / len(scores))
                plain[index] = plain[index].update(mean, weight=len(scores), w_max=5)
    gate.mark()
    assert gate.n == len(said)
    assert gate.calls == sum(map(len, said))
    for (n, _, e), one in zip(noted(gate), plain, strict=True):
        assert n == one.n
        assert e == pytest.approx(max(1.0, one.promote_e), rel=1e-9)
    assert gate.reject_e == pytest.approx(max(1.0, plain[0].reject_e), rel=1e-9)


@settings(deadline=None)
@given(st.lists(calls, max_size=60))
def test_lone_calls_are_verdicts_as_ever(said: list[ScoredCall]) -> None:
    bets, verdicts = SelectiveGate(CANDIDATES), SelectiveGate(CANDIDATES)
    for call in said:
        bets.bet([call], w_max=1)
        verdicts.update(*call)
    assert bets.state() == verdicts.state()


def test_conversations_that_agree_prove_as_fast_as_calls_and_a_longer_bound_takes_longer() -> None:
    def needed(size: int, w_max: int) -> int:
        gate = SelectiveGate([Threshold(0.0, 1.0)])
        while gate.decision == "continue":
            gate.bet([ScoredCall(1.0, 0.5)] * size, w_max=w_max)
        return gate.n

    assert [needed(1, 1), needed(3, 3), needed(20, 20)] == [79, 79, 79]
    assert needed(1, 3) > 2 * 79


def test_what_is_counted_is_bets_and_what_is_shown_is_agreement_per_call() -> None:
    gate = SelectiveGate([Threshold(0.5, 1.0)])
    for _ in range(10):
        gate.bet([ScoredCall(1.0, 0.9), ScoredCall(1.0, 0.9), ScoredCall(0.0, 0.9)], w_max=3)
    gate.bet([ScoredCall(1.0, 0.1), ScoredCall(1.0, 0.2)], w_max=3)
    [evidence] = gate.evidence()
    assert (gate.n, gate.calls, evidence.n, evidence.calls) == (11, 32, 10, 30)
    assert evidence.agreement == pytest.approx(2 / 3)
    assert gate.agreement_counts(0) == (7, 10)


@settings(deadline=None)
@given(conversations, conversations)
def test_state_round_trips_and_the_fold_continues(
    before: list[list[ScoredCall]], later: list[list[ScoredCall]]
) -> None:
    gate = SelectiveGate(CANDIDATES, at_marks=True)
    for conversation in before:
        gate.bet(conversation, w_max=5)
    restored = SelectiveGate.from_state(json.loads(json.dumps(gate.state(), allow_nan=False)))
    for conversation in later:
        gate.bet(conversation, w_max=5)
        restored.bet(conversation, w_max=5)
    assert restored.state() == gate.state()


def test_a_snapshot_from_when_only_verdicts_were_counted_is_read() -> None:
    gate = SelectiveGate(CANDIDATES)
    for confidence in (0.3, 0.9, 0.6):
        gate.update(1.0, confidence)
    state = gate.state()
    del state["calls"], state["counts"][0]
    assert SelectiveGate.from_state(state).state() == gate.state()


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], "takes 1 to w_max=2 calls, got 0"),
        ([ScoredCall(1.0, 0.5)] * 3, "takes 1 to w_max=2 calls, got 3"),
        ([ScoredCall(1.0, 0.5), ScoredCall(1.5, 0.5)], "score"),
        ([ScoredCall(1.0, 0.5), ScoredCall(1.0, math.nan)], "confidence"),
    ],
)
def test_refuses_what_is_out_of_range_and_stays_as_it_was(said: list[ScoredCall], named: str) -> None:
    gate = SelectiveGate(CANDIDATES)
    before = gate.state()
    with pytest.raises(ValueError, match=named):
        gate.bet(said, w_max=2)
    assert gate.state() == before


# The promise


def ever(s: Floats, n: Floats, w_max: int, every: int = 25) -> float:
    """Share of runs (rows) whose evidence on sums of `n` calls ever proves p0, looked at every so many bets."""
    with np.errstate(divide="ignore"):
        logs = [np.cumsum(np.log(np.maximum(1 + u * (s / P0 - n) / w_max, 0)), axis=1) for u in BETS]
    wealth = np.logaddexp.reduce(np.array(logs), axis=0) - math.log(len(BETS))
    return float((wealth[:, every - 1 :: every] >= math.log(1 / ALPHA)).any(axis=1).mean())


RUNS = 1200
MOST = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def turns(agreement: tuple[float, ...], runs: int, bets: int, seed: int) -> Floats:
    """Verdicts on conversations of as many turns, by run, conversation and turn."""
    return (np.random.default_rng(seed).random((runs, bets, len(agreement))) < np.array(agreement)).astype(float)


def test_first_turns_that_are_easy_do_not_promote_a_student_that_fails_later() -> None:
    said = turns((1.0, 0.925, 0.925), RUNS, 1500, 71)
    n = np.full(said.shape[:2], 3.0)
    assert ever(said.sum(axis=2), n, 3) <= MOST
    assert ever(said[:, :, 0], n / 3, 1) == 1.0, "the first turns alone always do"


def test_answers_that_stand_and_fall_with_their_conversation_are_one_bet() -> None:
    rng = np.random.default_rng(72)
    size = rng.integers(1, 6, (RUNS, 1000)).astype(float)
    agreed = (rng.random(size.shape) < P0).astype(float)
    assert ever(agreed * size, size, 5) <= MOST
    one_by_one = np.repeat(agreed[:, :300], 3, axis=1)
    assert ever(one_by_one, np.ones_like(one_by_one), 1) > 3 * MOST, "a bet a call takes them for independent"


def test_long_conversations_weigh_as_many_calls_as_they_have() -> None:
    # Four of five are lone calls, of which 99% agree; the long ones agree so much less that all calls agree at p0.
    rng = np.random.default_rng(73)
    long = rng.random((RUNS, 1500)) < 0.2
    n = np.where(long, 10.0, 1.0)
    s = rng.binomial(n.astype(int), np.where(long, 0.934, 0.99)).astype(float)
    assert ever(s, n, 10) <= MOST
    assert ever(s / n, np.ones_like(n), 1) == 1.0, "the mean over conversations is above p0"


def test_a_student_that_is_right_at_every_turn_is_promoted_soon() -> None:
    said = turns((0.99, 0.985, 0.98), 400, 400, 74).sum(axis=2)
    n = np.full(said.shape, 3.0)
    assert ever(said[:, :200], n[:, :200], 3) > 0.9
    assert ever(said, n, 3) > 0.995


def test_no_threshold_below_p0_is_ever_passed_but_with_alpha() -> None:
    """By the class itself: three turns each, later ones less sure and less right, looked at every twenty bets."""
    runs, wrong = 150, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        gate = SelectiveGate(CANDIDATES, at_marks=True)
        for bet in range(240):
            # Above .8: .95; above .5: less; above .1: less still. All turns of a conversation agree together.
            luck, sure = rng.random(), rng.random(3)
            said = [ScoredCall(float(luck < (0.95 if one > 0.8 else 0.93)), one) for one in sure.tolist()]
            gate.bet(said, w_max=3)
            if bet % 20 == 19:
                gate.mark()
        wrong += gate.loosest_passed is not None
    assert wrong / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
