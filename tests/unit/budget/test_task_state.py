import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.budget_harness import (
    TASK,
    at_hour,
    audit_verdict,
    change_event,
    drift_event,
    gate_decision,
    promotion_stage,
    self_agreement_verdict,
    shadow_verdict,
    student_name,
    teacher_call,
    teacher_calls,
    trained_promotion,
)

from understudies.budget import task_state
from understudies.budget.task_state import TaskState
from understudies.events import Event


def folded(*events: Event) -> TaskState:
    book = TaskState(TASK)
    for event in events:
        book.fold(event)
    return book


def test_what_a_model_is_paid_for_judging_is_a_cost_of_comparing() -> None:
    paid = {"judge_cost_usd": Decimal("0.002")}
    verdicts = [
        shadow_verdict().model_copy(update=paid),
        audit_verdict(True).model_copy(update=paid),
        self_agreement_verdict(True, 1).model_copy(update=paid),
    ]
    without = folded(trained_promotion(), *(one.model_copy(update={"judge_cost_usd": Decimal(0)}) for one in verdicts))
    book = folded(trained_promotion(), *verdicts)
    assert book.ledger.compared - without.ledger.compared == Decimal("0.006")
    assert book.ledger.invested - without.ledger.invested == Decimal("0.006")


def test_examples_are_distinct_inputs_that_the_teacher_answered() -> None:
    book = folded(
        *teacher_calls(5),
        teacher_call(0),
        teacher_call(7, served_by="student", student=student_name()),
        teacher_call(8, response=None, error="down"),
        teacher_call(9, origin="synthetic"),
        teacher_call(10, origin="audit", audits="x"),
        teacher_call(11, origin="succession", audits="x"),
    )
    assert book.examples == 6


def test_audits_and_synthetic_calls_are_no_demand() -> None:
    book = folded(
        teacher_call(0),
        teacher_call(1, origin="audit", audits="x"),
        teacher_call(2, origin="synthetic"),
        teacher_call(4, origin="succession", audits="x"),
        teacher_call(3, served_by="none"),
    )
    assert book.volume.hourly_counts(at_hour(1)) == [2]


def test_the_teacher_is_asked_again_once_for_each_input() -> None:
    book = folded(self_agreement_verdict(True, 1), self_agreement_verdict(False, 2), self_agreement_verdict(False, 1))
    assert (book.self_compared, book.self_agreed) == (2, 1)


def test_what_is_said_of_an_unknown_student_is_left_out() -> None:
    book = folded(audit_verdict(), gate_decision(), drift_event())
    assert book.students == {}


def test_only_a_broken_contract_is_kept_as_drift() -> None:
    book = folded(promotion_stage("promoted"), drift_event(tier="warn"), drift_event(drifted=False))
    assert book.students[student_name()].drift is None
    book.fold(drift_event())
    assert book.students[student_name()].drift is not None


def test_the_same_story_twice_changes_nothing() -> None:
    stories = [promotion_stage("authorised"), trained_promotion(cost="0.25"), promotion_stage("promoted", share=0.05)]
    book = folded(*stories)
    state = book.state()
    for event in stories:
        book.fold(event)
    assert book.state() == state
    assert book.ledger.training == Decimal("0.25")


def test_a_student_that_was_trained_twice_stays_the_one_that_is_judged() -> None:
    first = trained_promotion(cost="0.25").model_copy(update={"artifact": "artifacts/first"})
    again = first.model_copy(update={"id": "again", "artifact": "artifacts/second"})
    collected = promotion_stage("collected", hour=1)
    for later in ([again], [collected], [collected, again]):
        book = folded(promotion_stage("authorised"), promotion_stage("collected"), first, *later)
        assert book.students[student_name(1)].promotion == first
        assert book.ledger.training == Decimal("0.25") * (1 + later.count(again))


def test_after_a_drift_examples_are_collected_anew() -> None:
    book = folded(
        *teacher_calls(5), promotion_stage("promoted"), promotion_stage("demoted", hour=3), teacher_call(2, 4)
    )
    assert (book.examples, book.valid_since) == (1, at_hour(3))


def test_students_are_found_by_where_they_stand() -> None:
    book = folded(promotion_stage("retired", 1), promotion_stage("promoted", 2), promotion_stage("trained", 3))
    assert (book.serving, book.candidate, book.latest_student) == tuple(
        book.students[student_name(v)] for v in (2, 3, 3)
    )
    assert book.next_student_name == student_name(4)
    empty = TaskState(TASK)
    assert (empty.serving, empty.candidate, empty.latest_student, empty.next_student_name) == (
        None,
        None,
        None,
        student_name(1),
    )


def test_a_version_is_never_used_again_whatever_became_of_it() -> None:
    assert folded(promotion_stage("rejected", 10), promotion_stage("rejected", 9)).next_student_name == student_name(11)


numbers, versions, times = st.integers(0, 20), st.integers(1, 3), st.floats(0, 200, allow_nan=False)
stages = st.sampled_from(["authorised", "collected", "qualified", "promoted", "rejected", "demoted", "retired"])
outcomes = st.sampled_from(["promote", "reject", "inconclusive"])
makers: list[st.SearchStrategy[Event]] = [
    st.builds(teacher_call, numbers, times),
    st.builds(
        lambda n, t: teacher_call(n, t, served_by="student", student=student_name(), reason="promoted"), numbers, times
    ),
    st.builds(lambda n, t: teacher_call(n, t, origin="audit", audits="x", reason="audit"), numbers, times),
    st.builds(
        lambda n, t: teacher_call(n, t, answer="[1]", student_cost="0.001", reason="low_confidence"), numbers, times
    ),
    st.builds(self_agreement_verdict, st.booleans(), numbers, times),
    st.builds(lambda agreed, v, t: audit_verdict(agreed, version=v, hour=t), st.booleans(), versions, times),
    st.builds(lambda v, t: shadow_verdict(version=v, hour=t), versions, times),
    st.builds(lambda outcome, v, t: gate_decision(outcome, version=v, hour=t), outcomes, versions, times),
    st.builds(drift_event, versions, times),
    st.builds(lambda v, t: trained_promotion(v, t, coverage=0.5), versions, times),
    st.builds(
        lambda stage, v, t, share: promotion_stage(stage, v, t, share=share, threshold=0.8, evidence={"coverage": 0.6}),
        stages,
        versions,
        times,
        st.sampled_from([0.05, 0.25, 1.0]),
    ),
]
histories = st.lists(st.one_of(makers), max_size=25)


@settings(max_examples=100, deadline=None)
@given(histories, histories)
def test_a_restored_book_goes_on_as_if_nothing_had_happened(before: list[Event], later: list[Event]) -> None:
    book = folded(*before)
    restored = TaskState.from_state(json.loads(json.dumps(book.state())))
    for event in later:
        book.fold(event)
        restored.fold(event)
    assert restored.state() == book.state()
    views: list[Callable[[TaskState], object]] = [
        lambda book: book.serving and book.serving.name,
        lambda book: book.candidate and book.candidate.name,
        lambda book: book.latest_student and book.latest_student.name,
        lambda book: (book.next_student_name, book.examples, book.profile.kind, book.ledger),
    ]
    assert [view(restored) for view in views] == [view(book) for view in views]


def test_a_change_holds_a_student_and_an_alarm_about_its_audits_does_not() -> None:
    in_force = [trained_promotion(), promotion_stage("promoted", share=1.0, threshold=0.8)]

    def known(event: Event) -> tuple[bool, bool]:
        student = folded(*in_force, event).students[student_name()]
        return student.restriction is not None, student.drift is not None

    assert {cause: known(change_event(cause=cause)) for cause in ("traffic", "teacher", "calendar", "agreement")} == {
        "traffic": (True, False),
        "teacher": (True, False),
        "calendar": (True, False),
        "agreement": (False, False),
    }
    assert known(drift_event()) == (False, True)
    assert known(change_event(2)) == (False, False)


def test_imported_calls_are_examples_and_come_before_the_calls_counted_so_far() -> None:
    log = [teacher_call(number, hour, origin="imported") for number, hour in enumerate((0, 0, 2))]
    book = folded(*log, *teacher_calls(4, 1000, first=10))
    assert book.examples == 7
    assert book.volume.hourly_counts(at_hour(1002)) == [4, 0]
    assert book.hourly_counts(at_hour(1002)) == [2, 0, 1, 4, 0]
    # After a week the calls that came tell enough.
    assert book.hourly_counts(at_hour(1168)) == [4, *[0] * 167]


def test_imported_calls_from_before_a_drift_are_no_examples() -> None:
    book = folded(
        trained_promotion(),
        promotion_stage("demoted", hour=50),
        teacher_call(1, 49, origin="imported"),
        teacher_call(2, 51, origin="imported"),
    )
    assert book.examples == 1


def test_a_state_from_before_imports_is_read() -> None:
    book = folded(*teacher_calls(3))
    old = {name: value for name, value in book.state().items() if name != "imported_volume"}
    assert TaskState.from_state(old).hourly_counts(at_hour(1)) == [3]


def test_beyond_its_limit_inputs_are_counted_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "_MAX_INPUTS", 400)
    book = folded(*teacher_calls(400))
    assert book.examples == 400
    for call in teacher_calls(3600, first=400):
        book.fold(call)
    counted = book.examples
    assert abs(counted - 4000) < 4000 * 0.2
    assert len(book.state()["inputs"]) <= 400
    book = TaskState.from_state(json.loads(json.dumps(book.state())))
    for call in teacher_calls(4000):
        book.fold(call)
    assert book.examples == counted
    book.fold(trained_promotion())
    book.fold(promotion_stage("demoted"))
    assert book.examples == 0
    for call in teacher_calls(300, 9):
        book.fold(call)
    assert book.examples == 300


def test_a_snapshot_without_a_sample_is_of_all_inputs() -> None:
    state = json.loads(json.dumps(folded(*teacher_calls(7)).state()))
    del state["input_level"]
    assert TaskState.from_state(state).examples == 7


def test_inputs_asked_again_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_state, "_MAX_SELF_COMPARED", 3)
    book = folded(*[self_agreement_verdict(True, number) for number in (1, 2, 3, 3, 4)])
    assert book.self_compared == 4
    assert len(book.state()["inputs_asked_again"]) == 3
    book.fold(self_agreement_verdict(True, 4))
    assert book.self_compared == 4
    book.fold(self_agreement_verdict(True, 1))
    assert book.self_compared == 5
