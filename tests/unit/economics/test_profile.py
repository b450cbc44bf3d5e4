"""What kind of task it is, measured from its calls."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudies.economics.profile import TaskProfile

START = datetime(2025, 3, 3, tzinfo=UTC)
WORDS = ["river", "stone", "light", "amber", "quiet", "morning", "harbour", "engine", "letter", "window"]


def profile_of(
    answers: Iterable[str], *, valid_json: bool = False, requests: int | None = None, template: str = "t"
) -> TaskProfile:
    profile = TaskProfile()
    for call, answer in enumerate(answers):
        fingerprint = str(call if requests is None else call % requests)
        profile.update(template, answer, fingerprint, valid_json=valid_json, at=START + timedelta(minutes=call))
    return profile


def labels(calls: int, classes: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [f"label_{draw.randrange(classes)}" for _ in range(calls)]


def stories(calls: int) -> list[str]:
    draw = random.Random(2)
    return [" ".join(draw.choices(WORDS, k=80)) for _ in range(calls)]


def test_too_few_calls_say_nothing() -> None:
    profile = profile_of(labels(49, 2))

    assert (profile.kind, profile.recommendation) == ("unknown", "unknown")
    assert profile.reason == "49 calls are too few to decide; 50 are needed."


def test_an_empty_profile_is_unknown_and_has_no_shares() -> None:
    profile = TaskProfile()

    assert profile.kind == "unknown"
    assert profile.closed_set_share == profile.repeated_share == profile.json_share == 0.0
    assert profile.calls_per_hour is None


def test_a_classification_with_off_list_answers_is_a_closed_set() -> None:
    answers = labels(1000, 77)
    for call in range(0, 1000, 50):
        answers[call] = f"I am not sure, perhaps {call}"
    profile = profile_of(answers)

    assert (profile.kind, profile.recommendation) == ("closed_set", "yes")
    assert profile.closed_set_share == pytest.approx(0.98)
    assert profile.distinct_answers == 97
    assert profile.repeated_answers == 77
    assert profile.reason == "98% of 1,000 calls got one of 77 repeated answers."


def test_random_answers_from_a_closed_set_still_look_closed() -> None:
    assert profile_of(labels(300, 5)).kind == "closed_set"


def test_case_and_whitespace_do_not_make_answers_differ() -> None:
    assert profile_of(["Refund", " refund\n", "REFUND"] * 40).distinct_answers == 1


def test_a_classification_that_is_still_meeting_labels_is_not_called_open() -> None:
    profile = profile_of(labels(60, 77))

    assert profile.kind == "unknown"
    assert profile.recommendation == "unknown"
    assert profile.reason == "60 calls are too few to decide; 500 are needed."


def test_a_creative_task_is_open_and_not_worth_trying() -> None:
    profile = profile_of(stories(600))

    assert (profile.kind, profile.recommendation) == ("open", "no")
    assert profile.answer_variety == 1.0
    assert "600 calls are free text" in profile.reason


def test_short_distinct_answers_are_open_but_may_be_worth_trying() -> None:
    profile = profile_of(f"SELECT * FROM t WHERE id = {call}" for call in range(600))

    assert (profile.kind, profile.recommendation) == ("open", "maybe")


def test_json_of_many_values_is_structured() -> None:
    profile = profile_of((json.dumps({"id": call}) for call in range(600)), valid_json=True)

    assert (profile.kind, profile.recommendation) == ("structured", "yes")
    assert profile.reason == "100% of 600 calls were answered in JSON."


def test_json_that_names_a_label_is_a_closed_set() -> None:
    answers = (json.dumps({"label": label}) for label in labels(600, 10))

    assert profile_of(answers, valid_json=True).kind == "closed_set"


def test_repeated_requests_are_repetitive_and_not_a_closed_set() -> None:
    texts = stories(20)
    profile = profile_of((texts[call % 20] for call in range(400)), requests=20)

    assert (profile.kind, profile.recommendation) == ("repetitive", "yes")
    assert profile.repeated_share == pytest.approx(0.95)
    assert profile.distinct_requests == 20


def test_templates_count_from_their_second_use() -> None:
    profile = TaskProfile()
    for call in range(100):
        profile.update("same" if call < 80 else f"t{call}", "x", str(call), valid_json=False, at=START)

    assert profile.template_share == 0.8


def test_the_rate_needs_an_hour() -> None:
    assert profile_of(labels(60, 2)).calls_per_hour is None
    assert profile_of(labels(121, 2)).calls_per_hour == pytest.approx(60.5)


def test_memory_stays_bounded_and_the_answer_the_same() -> None:
    profile = TaskProfile()
    for call in range(20_000):
        text = f"story {call} of many words and no end"
        profile.update(f"template {call}", text, f"f{call}", valid_json=False, at=START)

    assert len(json.dumps(profile.state())) < 250_000
    assert profile.kind == "open"
    assert profile.distinct_requests == pytest.approx(20_000, rel=0.08)
    assert profile.repeated_share <= 0.08


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from("abc"), st.booleans()), max_size=80), st.data())
def test_state_round_trips_and_the_fold_continues(calls: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(calls)))
    whole, first = TaskProfile(), TaskProfile()
    for answer, fingerprint, valid in calls:
        whole.update("t", answer, fingerprint, valid_json=valid, at=START)
    for answer, fingerprint, valid in calls[:cut]:
        first.update("t", answer, fingerprint, valid_json=valid, at=START)
    rest = TaskProfile.from_state(json.loads(json.dumps(first.state())))
    for answer, fingerprint, valid in calls[cut:]:
        rest.update("t", answer, fingerprint, valid_json=valid, at=START)

    assert rest.state() == whole.state()
    assert (rest.kind, rest.recommendation, rest.reason) == (whole.kind, whole.recommendation, whole.reason)


def test_refuses_a_time_without_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        TaskProfile().update("t", "a", "f", valid_json=False, at=START.replace(tzinfo=None))
