import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.support.event_samples import ANSWERED, SAMPLES

from understudies.events import (
    INVOCATIONS,
    PROMOTIONS,
    TOPICS,
    VERDICTS,
    Drift,
    GateDecision,
    Invocation,
    Message,
    Request,
    Response,
    Route,
    TaskName,
    Verdict,
    cloud_headers,
    encode,
    fingerprint,
    request_of,
    topic_of,
)

TASK: TypeAdapter[str] = TypeAdapter(TaskName)


def invocation(**changes: Any) -> Invocation:
    return Invocation.model_validate({**ANSWERED.model_dump(), **changes})


@pytest.mark.parametrize("name", ["triage", "ticket triage", "a" * 200, "Übersetzung", "task-3f2a9c01d4", "a:b|c", "."])
def test_task_names_of_people(name: str) -> None:
    assert TASK.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", " a", "\ta", "a/b", "a@3", "@a", "/a", "a\nb", "a\n", "a\x00", "\x00", "\x1f", "a" * 201]
)
def test_names_that_would_break_a_key_or_a_student_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        TASK.validate_python(name)


@given(st.text(min_size=1, max_size=200))
def test_a_valid_name_has_no_separator(name: str) -> None:
    try:
        TASK.validate_python(name)
    except ValidationError:
        return
    assert not set(name) & set("/@\n\x00")


def test_times_are_kept_in_utc_and_need_a_zone() -> None:
    local = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert invocation(at=local).at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert invocation(at=local).at.tzinfo is UTC
    with pytest.raises(ValidationError):
        invocation(at=datetime(2026, 3, 1, 14))  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize("event", SAMPLES.values(), ids=list(SAMPLES))
def test_an_event_survives_its_topic(event: Any) -> None:
    assert topic_of(event).decode(encode(event)) == event


@pytest.mark.parametrize("event", SAMPLES.values(), ids=list(SAMPLES))
def test_events_cannot_be_changed(event: Any) -> None:
    with pytest.raises(ValidationError):
        event.task = "other"


@given(st.text(max_size=40))
def test_any_string_of_python_survives_as_what_utf_8_can_carry(text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}], "tools": [{text: [text]}]}
    request = Request.model_validate(body)
    event = invocation(request=request, error=text, tags={"a": text}, fingerprint=fingerprint(request))
    read = INVOCATIONS.decode(encode(event))
    assert isinstance(read, Invocation)
    assert fingerprint(read.request) == event.fingerprint
    if text.isprintable():
        assert read == event


@pytest.mark.parametrize("value", [b"", b"\xff\xfe\x00", b"null", b"[]", b'{"type":"verdict"}', b"{" * 100_000])
@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: str(topic.name))
def test_what_is_no_event_is_refused(topic: Any, value: bytes) -> None:
    with pytest.raises(ValidationError):
        topic.decode(value)


def test_a_call_without_answer_and_error_is_refused() -> None:
    with pytest.raises(ValidationError, match="a response or an error"):
        invocation(response=None, error=None)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_measures_are_finite(number: float) -> None:
    for name in ("latency_ms", "confidence"):
        with pytest.raises(ValidationError):
            invocation(**{name: number})
    with pytest.raises(ValidationError):
        Drift.model_validate({**SAMPLES["drift"].model_dump(), "statistic": number})


def test_the_discriminator_tells_the_events_of_one_topic_apart() -> None:
    verdict, decision = (VERDICTS.decode(encode(SAMPLES[name])) for name in ("verdict", "gate_decision"))
    assert isinstance(verdict, Verdict)
    assert isinstance(decision, GateDecision)


def test_keys_keep_a_students_story_in_one_place() -> None:
    assert PROMOTIONS.key(SAMPLES["promotion"]) == "weather/weather@3"
    assert PROMOTIONS.key(SAMPLES["steering"]) == "weather/weather@0/demote/weather@3"
    others = [event for event in SAMPLES.values() if topic_of(event) is not PROMOTIONS]
    assert {topic_of(event).key(event) for event in others} == {"weather"}


def test_headers_are_cloudevents() -> None:
    headers = dict(cloud_headers(ANSWERED, "/understudies/router", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"))
    assert headers["ce_type"] == b"understudies.invocation"
    assert headers["ce_time"] == b"2026-03-01T12:30:00.250000+00:00"
    assert headers["ce_id"].decode() == ANSWERED.id
    assert headers["traceparent"].startswith(b"00-")
    assert "traceparent" not in dict(cloud_headers(ANSWERED, "x"))


def test_the_request_in_a_body_leaves_out_what_is_not_the_input() -> None:
    body = {"model": "m", "stream": True, "user": "u", "messages": [{"role": "USER", "content": "x"}], "seed": 1}
    request = request_of({**body, "temperature": 0, "tools": None})
    assert request.parameters == {"seed": 1}
    assert request.messages[0].role == "user"
    assert request.tools is None
    assert json.loads(request.model_dump_json(exclude_none=True))["temperature"] == 0


def test_who_answered_and_how_the_call_was_chosen() -> None:
    assert invocation().answered_by_teacher
    assert not invocation(origin="synthetic").answered_by_teacher
    assert not invocation(origin="succession").answered_by_teacher
    assert not invocation(served_by="student").answered_by_teacher
    assert not invocation(response=None, error="x").answered_by_teacher
    nothing = Message(role="assistant", content=None)
    assert not invocation(response=Response(message=nothing, finish_reason="stop")).answered_by_teacher
    empty = Response(message=Message(role="assistant", content=""), finish_reason="stop")
    assert invocation(response=empty).answered_by_teacher
    for goes_on in ("pause_turn", "compaction"):
        half = Response(message=Message(role="assistant", content="so far"), finish_reason=goes_on)
        assert not invocation(response=half).answered_by_teacher
    assert invocation(route=None).unbiased
    assert not invocation().unbiased


@pytest.mark.parametrize(
    ("reason", "unbiased"),
    [
        *((reason, True) for reason in ("no_student", "control", "drift", "promoted")),
        *((reason, False) for reason in ("low_confidence", "student_error", "audit")),
        *((reason, False) for reason in ("critical", "over_budget", "unsuitable")),
    ],
)
def test_calls_chosen_by_confidence_or_out_of_every_students_reach_are_biased(reason: str, unbiased: bool) -> None:
    assert invocation(route=Route.model_validate({"reason": reason})).unbiased is unbiased
