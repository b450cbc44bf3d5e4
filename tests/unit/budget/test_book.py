import json
from collections.abc import Callable
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.books import (
    TASK,
    audit,
    call,
    calls,
    changed,
    decision,
    drift,
    hours,
    name,
    self_agreement,
    shadow,
    story,
    trained,
)

from understudies.budget.book import TaskBook
from understudies.events import Event


def folded(*events: Event) -> TaskBook:
    book = TaskBook(TASK)
    for event in events:
        book.fold(event)
    return book


def test_examples_are_distinct_inputs_that_the_teacher_answered() -> None:
    book = folded(
        *calls(5),
        call(0),
        call(7, served_by="student", student=name()),
        call(8, response=None, error="down"),
        call(9, origin="synthetic"),
        call(10, origin="audit", audits="x"),
    )
    assert book.examples == 6


def test_audits_and_synthetic_calls_are_no_demand() -> None:
    book = folded(call(0), call(1, origin="audit", audits="x"), call(2, origin="synthetic"), call(3, served_by="none"))
    assert book.volume.hourly(hours(1)) == [2]


def test_the_teacher_is_asked_again_once_for_each_input() -> None:
    book = folded(self_agreement(True, 1), self_agreement(False, 2), self_agreement(False, 1))
    assert (book.self_asked, book.self_agreed) == (2, 1)


def test_what_is_said_of_an_unknown_student_is_left_out() -> None:
    book = folded(audit(), decision(), drift())
    assert book.students == {}


def test_only_a_broken_contract_is_kept_as_drift() -> None:
    book = folded(story("promoted"), drift(tier="warn"), drift(drifted=False))
    assert book.students[name()].drift is None
    book.fold(drift())
    assert book.students[name()].drift is not None


def test_the_same_story_twice_changes_nothing() -> None:
    stories = [story("authorised"), trained(cost="0.25"), story("promoted", share=0.05)]
    book = folded(*stories)
    state = book.state()
    for event in stories:
        book.fold(event)
    assert book.state() == state
    assert book.ledger.training == Decimal("0.25")


def test_after_a_drift_examples_are_collected_anew() -> None:
    book = folded(*calls(5), story("promoted"), story("demoted", hour=3), call(2, 4))
    assert (book.examples, book.fresh_since) == (1, hours(3))


def test_students_are_found_by_where_they_stand() -> None:
    book = folded(story("retired", 1), story("promoted", 2), story("trained", 3))
    assert (book.in_force, book.on_trial, book.latest) == tuple(book.students[name(v)] for v in (2, 3, 3))
    assert book.next_student == name(4)
    empty = TaskBook(TASK)
    assert (empty.in_force, empty.on_trial, empty.latest, empty.next_student) == (None, None, None, name(1))


def test_a_version_is_never_used_again_whatever_became_of_it() -> None:
    assert folded(story("rejected", 10), story("rejected", 9)).next_student == name(11)


numbers, versions, times = st.integers(0, 20), st.integers(1, 3), st.floats(0, 200, allow_nan=False)
stages = st.sampled_from(["authorised", "collected", "qualified", "promoted", "rejected", "demoted", "retired"])
outcomes = st.sampled_from(["promote", "reject", "inconclusive"])
makers: list[st.SearchStrategy[Event]] = [
    st.builds(call, numbers, times),
    st.builds(lambda n, t: call(n, t, served_by="student", student=name(), reason="promoted"), numbers, times),
    st.builds(lambda n, t: call(n, t, origin="audit", audits="x", reason="audit"), numbers, times),
    st.builds(lambda n, t: call(n, t, answer="[1]", student_cost="0.001", reason="low_confidence"), numbers, times),
    st.builds(self_agreement, st.booleans(), numbers, times),
    st.builds(lambda agreed, v, t: audit(agreed, version=v, hour=t), st.booleans(), versions, times),
    st.builds(lambda v, t: shadow(version=v, hour=t), versions, times),
    st.builds(lambda outcome, v, t: decision(outcome, version=v, hour=t), outcomes, versions, times),
    st.builds(drift, versions, times),
    st.builds(lambda v, t: trained(v, t, coverage=0.5), versions, times),
    st.builds(
        lambda stage, v, t, share: story(stage, v, t, share=share, threshold=0.8, evidence={"coverage": 0.6}),
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
    restored = TaskBook.from_state(json.loads(json.dumps(book.state())))
    for event in later:
        book.fold(event)
        restored.fold(event)
    assert restored.state() == book.state()
    views: list[Callable[[TaskBook], object]] = [
        lambda book: book.in_force and book.in_force.name,
        lambda book: book.on_trial and book.on_trial.name,
        lambda book: book.latest and book.latest.name,
        lambda book: (book.next_student, book.examples, book.profile.kind, book.ledger),
    ]
    assert [view(restored) for view in views] == [view(book) for view in views]


def test_a_change_holds_a_student_and_an_alarm_about_its_audits_does_not() -> None:
    in_force = [trained(), story("promoted", share=1.0, threshold=0.8)]

    def known(event: Event) -> tuple[bool, bool]:
        student = folded(*in_force, event).students[name()]
        return student.held is not None, student.drift is not None

    assert {cause: known(changed(cause=cause)) for cause in ("traffic", "teacher", "calendar", "agreement")} == {
        "traffic": (True, False),
        "teacher": (True, False),
        "calendar": (True, False),
        "agreement": (False, False),
    }
    assert known(drift()) == (False, True)
    assert known(changed(2)) == (False, False)
