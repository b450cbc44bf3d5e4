"""The gate of distinct inputs: each once, and near copies of one text no more than their share of a day."""

import json
from datetime import datetime, timedelta

from tests.support.conversations import conversation_request, request_input
from tests.support.datasets import START
from tests.support.distinct_words import distinct_words

from understudies.evaluator.evidence.conversation_shape import ConversationShape
from understudies.evaluator.evidence.distinct_input_gate import DistinctInputGate
from understudies.evaluator.evidence.near_copy_cap import NearCopyCap
from understudies.evaluator.evidence.pending_evidence import Observation
from understudies.evaluator.evidence.used_inputs import UsedInputs
from understudies.events import Request
from understudies.stats.coverage import Threshold
from understudies.stats.selective import SelectiveGate

SHAPE = ConversationShape(w_max=2, duration=timedelta(hours=1))


def new(shape: ConversationShape = SHAPE) -> DistinctInputGate:
    gate = SelectiveGate([Threshold(0.5, 1.0)], at_marks=True)
    return DistinctInputGate(gate, used=UsedInputs(), shape=shape, student="triage@1")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def add(distinct: DistinctInputGate, request: Request, hours: float = 0, score: float = 1) -> bool:
    """Take in a verdict as a trial does; whether it counts."""
    one = request_input(request)
    if not distinct.can_use(one, 5000):
        return False
    distinct.add(
        one, Observation(score, 0.9, at(hours), copies=distinct.near_copy_group(SHAPE.call_text(request), at(hours)))
    )
    return True


def incident(number: int) -> Request:
    return conversation_request(f"disk full on the host number {number}, please look at it now")


def usual(number: int) -> Request:
    return conversation_request(distinct_words(number))


def test_an_input_counts_once_whether_it_waits_or_was_bet() -> None:
    distinct = new()
    assert add(distinct, usual(1))
    assert not add(distinct, usual(1), 1)
    distinct.place_bets(at(24))
    assert not add(distinct, usual(1), 25)
    assert distinct.gate.n == 1


def test_the_calls_of_a_conversation_are_one_bet_of_so_many_at_most() -> None:
    distinct = new()
    said = [distinct_words(number) for number in range(5)]
    for turn in (1, 3, 5):
        assert add(distinct, conversation_request(*said[:turn]), turn / 10)
    [(cluster, speaks)] = distinct.place_bets(at(24))
    assert len(cluster.members) == 3
    assert speaks in [piece for _, piece in cluster.members]
    assert (distinct.gate.n, distinct.gate.calls) == (1, 2)


def test_what_may_go_on_waits() -> None:
    distinct = new()
    add(distinct, usual(1), 23.5)
    assert distinct.place_bets(at(24)) == []
    assert distinct.collected == 1
    assert len(distinct.place_bets(at(25))) == 1


def test_a_burst_of_near_copies_makes_a_twentieth_of_a_days_verdicts() -> None:
    distinct = new()
    for number in range(400):
        assert add(distinct, incident(number), 10)
    for number in range(100):
        assert add(distinct, usual(number), 11)
    counted = distinct.place_bets(at(24))
    assert (len(counted), distinct.gate.n) == (125, 125)
    assert not add(distinct, incident(399), 30), "what did not count is spent all the same"


def test_a_burst_counts_once_where_a_look_divides_its_day() -> None:
    distinct = new()
    midnight = 24 - START.hour
    for number in range(400):
        add(distinct, incident(number), midnight + (1 if number < 200 else 13))
    distinct.place_bets(at(midnight + 12))
    distinct.place_bets(at(midnight + 36))
    assert distinct.gate.n == 20


def test_what_of_a_burst_counts_has_nothing_to_do_with_the_verdict() -> None:
    def first_counted(score: float) -> list[str]:
        distinct = new()
        for number in range(60):
            add(distinct, incident(number), number / 60, score if number % 2 else 1)
        return [one.fingerprint for cluster, _ in distinct.place_bets(at(24)) for one, _ in cluster.members]

    assert first_counted(0) == first_counted(1)
    assert len(first_counted(0)) == 3


def test_copies_that_come_every_day_count_like_other_calls() -> None:
    distinct = new()
    counted = []
    for day in range(6):
        for number in range(20):
            add(distinct, incident(100 * day + number), 24 * day + 1)
        counted.append(len(distinct.place_bets(at(24 * (day + 1)))))
    assert counted == [1, 1, 1, 20, 20, 20]


def test_it_says_how_long_its_evidence_spans() -> None:
    distinct = new()
    assert not distinct.has_span(timedelta(0)), "none spans nothing"
    add(distinct, usual(1), 0)
    add(distinct, usual(2), 30)
    assert not distinct.has_span(timedelta(0)), "what waits is none yet"
    distinct.place_bets(at(48))
    assert distinct.has_span(timedelta(hours=30))
    assert not distinct.has_span(timedelta(hours=31))


def test_enough_conversations_end_the_asking_but_for_what_goes_on() -> None:
    distinct = new()
    said = [distinct_words(number) for number in range(3)]
    add(distinct, conversation_request(said[0]))
    assert not distinct.can_use(request_input(usual(9)), 1)
    assert distinct.can_use(request_input(conversation_request(*said)), 1)


def test_state_round_trips_and_the_fold_continues() -> None:
    distinct = new()
    for number in range(40):
        add(distinct, incident(number), number / 4)
        add(distinct, usual(number), number, score=number % 2)
    distinct.place_bets(at(24))
    restored = DistinctInputGate.from_state(json.loads(json.dumps(distinct.state())))
    restored.attach(SHAPE, "triage@1")
    assert restored.state() == distinct.state()
    for one in (distinct, restored):
        for number in range(30, 60):
            add(one, incident(number), 30 + number / 60)
            add(one, usual(number), 40)
    assert restored.place_bets(at(72)) == distinct.place_bets(at(72))
    assert restored.state() == distinct.state()


def test_a_snapshot_from_before_near_copies_were_told_apart_knows_none() -> None:
    distinct = new()
    add(distinct, usual(1))
    state = distinct.state()
    del state["copies"], state["waiting"]
    restored = DistinctInputGate.from_state(state)
    assert restored.collected == 0
    assert restored.near_copies.state() == NearCopyCap().state()
