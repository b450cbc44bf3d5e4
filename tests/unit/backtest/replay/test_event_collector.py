"""The witness of a backtest."""

from decimal import Decimal

from tests.support.backtest_outcomes import (
    PRICE,
    TASK,
    audit_invocation,
    collect_events,
    hourly_calls,
    hours_after_monday,
    make_promotion,
    make_verdict,
    student_invocation,
    teacher_invocation,
)
from tests.support.capturing_bus import to_records

from understudies.backtest.replay.event_collector import EventCollector, ObservedVerdict
from understudies.events import TOPICS, Drift, GateDecision
from understudies.runtime.bus.messages import Record


def test_it_listens_to_all_topics() -> None:
    assert set(EventCollector.topics) == set(TOPICS)
    assert len(EventCollector.topics) == 4


async def test_calls_are_kept_apart_from_their_audits() -> None:
    first, second = hourly_calls(2)
    witness = await collect_events(
        student_invocation(first), teacher_invocation(second), audit_invocation(first), audit_invocation(first)
    )
    assert set(witness.invocations) == {first.id, second.id}
    assert witness.audit_costs == {first.id: 2 * PRICE}


async def test_evidence_and_audits_are_kept_by_student() -> None:
    first, second, third, fourth = hourly_calls(4)
    witness = await collect_events(
        make_verdict(first),
        make_verdict(second, False, version=2, confidence=0.4),
        make_verdict(third, phase="audit", counts=False),
        make_verdict(fourth, counts=False),
        make_verdict(fourth, confidence=None),
        make_verdict(fourth, student="teacher", phase="self_agreement", counts=False),
    )
    assert {student: list(found) for student, found in witness.verdicts.items()} == {
        f"{TASK}@1": [
            ObservedVerdict(hours_after_monday(0), 0.9, True, False),
            ObservedVerdict(hours_after_monday(2), 0.9, True, True),
        ],
        f"{TASK}@2": [ObservedVerdict(hours_after_monday(1), 0.4, False, False)],
    }


async def test_calls_alike_share_what_is_kept_of_them() -> None:
    first, second = hourly_calls(2)
    witness = await collect_events(student_invocation(first), student_invocation(second), teacher_invocation(first))
    assert witness.invocations[second.id].answer == student_invocation(second).response.message  # type: ignore[union-attr]
    witness = await collect_events(teacher_invocation(first), teacher_invocation(second))
    assert witness.invocations[first.id] is witness.invocations[second.id]


async def test_every_answer_in_shadow_is_counted_whether_it_is_evidence_or_not() -> None:
    first, second, third = hourly_calls(3)
    witness = await collect_events(
        make_verdict(first),
        make_verdict(first, version=2, counts=False),
        make_verdict(second, phase="validation"),
        make_verdict(third, phase="audit"),
        make_verdict(third, phase="self_agreement", student="teacher"),
    )
    assert witness.shadow_students == {first.id: (f"{TASK}@1", f"{TASK}@2"), second.id: (f"{TASK}@1",)}


async def test_what_a_students_answers_cost_is_kept_where_validation_tells() -> None:
    priced = make_promotion("trained", 1, evidence={"validation": {"cost_per_call_usd": "0.004"}})
    flat = make_promotion("trained", 2, version=2, evidence={"validation": {"n": 40}})
    witness = await collect_events(priced, flat, make_promotion("promoted", 3, evidence={"coverage": 0.6}))
    assert witness.student_prices == {f"{TASK}@1": Decimal("0.004")}


async def test_the_story_is_in_the_order_in_which_it_was_heard() -> None:
    at = hours_after_monday(1)
    gate = GateDecision(id="g", at=at, task=TASK, student=f"{TASK}@1", decision="promote")
    drift = Drift(id="d", at=at, task=TASK, student=f"{TASK}@1", tier="warn", confidence=0.99, statistic=100, audited=5)
    told = [make_promotion("authorised", 0), gate, make_promotion("promoted", 1), drift]
    witness = await collect_events(*told)
    assert witness.lifecycle_events == told


async def test_what_cannot_be_read_is_passed_over() -> None:
    (call,) = hourly_calls(1)
    witness = EventCollector()
    await witness.start()
    broken = Record("invocations", 0, 0, None, b"{")
    await witness.handle([broken, *to_records(teacher_invocation(call))])
    await witness.tick(hours_after_monday(1))
    await witness.stop()
    assert list(witness.invocations) == [call.id]
    assert witness.invocations[call.id].cost_usd == Decimal("0.03")
