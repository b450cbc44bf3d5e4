"""The gates of the calls to come: every call counts, whole days at a time, head and rest apart."""

import json
from datetime import datetime, timedelta

import pytest
from tests.support.conversations import conversation_request, request_input
from tests.support.datasets import START

from understudies.datasets.inputs import Input
from understudies.evaluator.evidence.call_gate import CallGate
from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.stats.coverage import Threshold
from understudies.stats.selective import SelectiveGate

DAY = timedelta(days=1)
SHAPE = ConversationShape(w_max=2, duration=timedelta(hours=1))


def new() -> CallGate:
    tail = SelectiveGate([Threshold(0.9, 0.5), Threshold(0.5, 1.0)], at_marks=True, alpha=0.025, weights=[0.3, 0.7])
    head = SelectiveGate([Threshold(0.8, 0.0)], at_marks=True, alpha=0.025)
    return CallGate(tail, head, since=START, shape=SHAPE, student="triage@1")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def called(
    forward: CallGate, n: int, hours: float, score: float = 1, head: str | None = None, name: str = "same"
) -> None:
    """So many calls of one input, some minutes apart."""
    for number in range(n):
        forward.add(Input(name), Observation(score, 0.95, at(hours + number / 100), head=head))


def test_only_calls_after_the_datasets_last_count() -> None:
    forward = new()
    assert not forward.can_use(START, 10)
    assert forward.can_use(START + timedelta.resolution, 10)
    assert not forward.can_use(at(1), 0)


def test_every_call_of_an_input_counts() -> None:
    forward = new()
    called(forward, 5, 1)
    called(forward, 5, 3)
    forward.place_bets(at(24))
    assert forward.tail_gate.calls == 10


def test_calls_of_the_head_are_none_of_the_rest() -> None:
    forward = new()
    called(forward, 3, 1)
    called(forward, 4, 1, head="often", name="often")
    forward.place_bets(at(24))
    assert forward.head_gate is not None
    assert (forward.tail_gate.calls, forward.head_gate.calls) == (3, 4)


def test_the_calls_of_a_conversation_are_one_bet_of_so_many_at_most() -> None:
    forward = new()
    said = [f"turn {number}" for number in range(5)]
    for turn in (1, 3, 5):
        forward.add(request_input(conversation_request(*said[:turn])), Observation(1, 0.95, at(turn / 10)))
    [cluster] = forward.place_bets(at(24))
    assert len(cluster.members) == 3
    assert (forward.tail_gate.n, forward.tail_gate.calls) == (1, 2)


def test_its_traffic_is_counted_from_its_first_call() -> None:
    forward = new()
    assert not forward.has_span(at(100), timedelta(0))
    called(forward, 1, 7)
    called(forward, 1, 5)
    assert forward.first_at == at(5)
    assert forward.has_span(at(29), DAY)
    assert not forward.has_span(at(28.9), DAY)


def test_evidence_counts_when_whole_days_have_ended() -> None:
    forward = new()
    for number in range(300):
        called(forward, 1, number / 10, name=str(number))
        called(forward, 1, number / 10, head="often", name=f"often {number}")
    forward.place_bets(at(40))
    assert forward.tail_gate.loosest_passed is None
    forward.mark(at(48))
    assert (forward.looked_days, forward.tail_gate.passed_flags) == (2, [True, True])
    assert forward.head_gate is not None
    assert forward.head_gate.passed_flags == [True]


def test_a_restart_forgets_the_evidence_and_nothing_else() -> None:
    forward = new()
    called(forward, 100, 1)
    forward.place_bets(at(24))
    forward.mark(at(25))
    called(forward, 5, 26)
    forward.restart(at(30))
    assert (forward.collected, forward.first_at, forward.looked_days, forward.since) == (0, None, 0, at(30))
    assert (
        forward.tail_gate.thresholds,
        forward.tail_gate.alpha,
        forward.tail_gate.weights,
        forward.tail_gate.at_marks,
    ) == (
        new().tail_gate.thresholds,
        0.025,
        [0.3, 0.7],
        True,
    )
    assert not forward.can_use(at(29), 10)
    called(forward, 3, 31)
    assert len(forward.place_bets(at(48))) > 0
    assert forward.tail_gate.calls <= 3


@pytest.mark.parametrize("has_head", [False, True])
def test_state_round_trips_and_the_fold_continues(has_head: bool) -> None:
    forward = new()
    if not has_head:
        forward.head_gate = None
    called(forward, 30, 1)
    called(forward, 30, 2, score=0, head="often", name="often")
    forward.place_bets(at(24))
    forward.mark(at(25))
    called(forward, 30, 26)
    restored = CallGate.from_state(json.loads(json.dumps(forward.state())))
    restored.attach(SHAPE, "triage@1")
    assert restored.state() == forward.state()
    for one in (forward, restored):
        called(one, 10, 27)
    assert restored.place_bets(at(50)) == forward.place_bets(at(50))
    restored.mark(at(50))
    forward.mark(at(50))
    assert restored.state() == forward.state()


def burst(forward: CallGate, n: int, hours: float, score: float = 1) -> None:
    """So many near copies of one text, some minutes apart."""
    for number in range(n):
        text = f"disk full on the host number {number}, please look at it now"
        forward.add(Input(f"copy-{hours}-{number}"), Observation(score, 0.95, at(hours + number / 100)), text)


def test_near_copies_of_a_day_count_as_calls_and_not_beyond_their_share_where_they_are_capped() -> None:
    forward = new()
    burst(forward, 400, 1)
    forward.place_bets(at(24))
    assert (forward.tail_gate.n, forward.capped_gate.n) == (400, 20)
    forward.mark(at(24))
    assert forward.tail_gate.passed_flags == [True, True]
    assert forward.passed_flags == [False, False], "both have to pass"


def test_near_copies_of_a_day_are_capped_once_where_a_look_divides_the_day() -> None:
    forward = new()
    midnight = 24 - START.hour
    burst(forward, 200, midnight + 1)
    forward.place_bets(at(midnight + 12))
    restored = CallGate.from_state(json.loads(json.dumps(forward.state())))
    restored.attach(SHAPE, "triage@1")
    for gate in (forward, restored):
        burst(gate, 200, midnight + 13)
        gate.place_bets(at(midnight + 36))
        assert (gate.tail_gate.n, gate.capped_gate.n) == (400, 20)


def test_calls_of_texts_that_come_on_usual_days_are_not_capped() -> None:
    forward = new()
    for day in range(4):
        for number in range(50):
            forward.near_copies.record(
                f"disk full on the host number {number}, please look at it now", at(24 * day).date()
            )
    burst(forward, 60, 24 * 4 + 1)
    forward.place_bets(at(24 * 6))
    assert forward.capped_gate.n == 60


def test_a_restart_forgets_the_capped_evidence_too() -> None:
    forward = new()
    burst(forward, 20, 1)
    forward.place_bets(at(24))
    forward.restart(at(25))
    assert (forward.tail_gate.n, forward.capped_gate.n, forward.first_at) == (0, 0, None)


def test_the_share_of_the_calls_that_reach_a_threshold_is_known() -> None:
    forward = new()
    assert forward.share_reaching(0.9) is None
    called(forward, 3, 1)
    forward.add(Input("unsure"), Observation(1, 0.6, at(2)))
    forward.place_bets(at(24))
    assert (forward.share_reaching(0.9), forward.share_reaching(0.5), forward.share_reaching(0.7)) == (0.75, 1.0, None)
