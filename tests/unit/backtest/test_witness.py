"""The witness of a backtest."""

from decimal import Decimal

from tests.support.outcomes import (
    PRICE,
    TASK,
    audit,
    by_student,
    by_teacher,
    every_hour,
    hours,
    story,
    verdict,
    witness_of,
)
from tests.support.recorder import records

from understudies.backtest.witness import Seen, Witness
from understudies.events import TOPICS, Drift, GateDecision
from understudies.runtime import Record


def test_it_listens_to_all_topics() -> None:
    assert set(Witness.topics) == set(TOPICS)
    assert len(Witness.topics) == 4


async def test_calls_are_kept_apart_from_their_audits() -> None:
    first, second = every_hour(2)
    witness = await witness_of(by_student(first), by_teacher(second), audit(first), audit(first))
    assert set(witness.served) == {first.id, second.id}
    assert witness.audits == {first.id: 2 * PRICE}


async def test_evidence_and_audits_are_kept_by_student() -> None:
    first, second, third, fourth = every_hour(4)
    witness = await witness_of(
        verdict(first),
        verdict(second, False, version=2, confidence=0.4),
        verdict(third, phase="audit", counts=False),
        verdict(fourth, counts=False),
        verdict(fourth, confidence=None),
        verdict(fourth, student="teacher", phase="self_agreement", counts=False),
    )
    assert witness.verdicts == {
        f"{TASK}@1": [Seen(hours(0), 0.9, True, False), Seen(hours(2), 0.9, True, True)],
        f"{TASK}@2": [Seen(hours(1), 0.4, False, False)],
    }


async def test_every_answer_in_shadow_is_counted_whether_it_is_evidence_or_not() -> None:
    first, second, third = every_hour(3)
    witness = await witness_of(
        verdict(first),
        verdict(first, version=2, counts=False),
        verdict(second, phase="validation"),
        verdict(third, phase="audit"),
        verdict(third, phase="self_agreement", student="teacher"),
    )
    assert witness.compared == {first.id: [f"{TASK}@1", f"{TASK}@2"], second.id: [f"{TASK}@1"]}


async def test_what_a_students_answers_cost_is_kept_where_validation_tells() -> None:
    priced = story("trained", 1, evidence={"validation": {"cost_per_call_usd": "0.004"}})
    flat = story("trained", 2, version=2, evidence={"validation": {"n": 40}})
    witness = await witness_of(priced, flat, story("promoted", 3, evidence={"coverage": 0.6}))
    assert witness.prices == {f"{TASK}@1": Decimal("0.004")}


async def test_the_story_is_in_the_order_in_which_it_was_heard() -> None:
    at = hours(1)
    gate = GateDecision(id="g", at=at, task=TASK, student=f"{TASK}@1", decision="promote")
    drift = Drift(id="d", at=at, task=TASK, student=f"{TASK}@1", tier="warn", confidence=0.99, statistic=100, audited=5)
    told = [story("authorised", 0), gate, story("promoted", 1), drift]
    witness = await witness_of(*told)
    assert witness.story == told


async def test_what_cannot_be_read_is_passed_over() -> None:
    (call,) = every_hour(1)
    witness = Witness()
    await witness.start()
    broken = Record("invocations", 0, 0, None, b"{")
    await witness.handle([broken, *records(by_teacher(call))])
    await witness.tick(hours(1))
    await witness.stop()
    assert list(witness.served) == [call.id]
    assert witness.served[call.id].cost_usd == Decimal("0.03")
