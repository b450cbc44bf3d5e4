"""Packed notes come out as the events that they went in as."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.chat_messages import assistant_message, user_request

from understudies.dialects.base import Api
from understudies.dialects.registry import DIALECTS
from understudies.events import Reason, Request, Response, Route, Usage, UsageDetails, usd
from understudies.redaction.patterns import default_redactor
from understudies.router.call import Call, TeacherAnswer, TeacherError
from understudies.router.recording.invocation import InvocationBuilder, PendingInvocation
from understudies.router.recording.process.serialization import deserialize, serialize
from understudies.router.routing.decision import Decision, RouteRecord

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BODIES: dict[Api, dict[str, Any]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "mail joe@example.com"}], "max_tokens": 5},
    "responses": {"model": "m", "input": "mail joe@example.com", "store": False},
    "messages": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "mail joe@example.com"}]},
}
TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


def call(request: Request, **fields: Any) -> Call:
    return Call(id="call-1", at=NOON, task="triage", request=request, sample=0.25, model="m", **fields)


def through(note: PendingInvocation) -> PendingInvocation:
    return deserialize(serialize(note), default_redactor)


@pytest.mark.parametrize("api", BODIES)
def test_the_request_goes_as_it_came_and_is_read_and_redacted_again(api: Api) -> None:
    body = BODIES[api]
    request = DIALECTS[api].decode_request(body).request
    account = InvocationBuilder(call(request, api=api, raw=orjson.dumps(body), stream=True), default_redactor)
    answer = TeacherAnswer(
        Response(message=assistant_message("to joe@example.com")),
        "m-1",
        Usage(
            prompt_tokens=3, cached_tokens=2, details=UsageDetails(cache_write_tokens=1, stated_cost_usd=usd("0.01"))
        ),
        usd("0.1"),
    )
    note = account.from_teacher(Decision("no_student").to_record(), answer, cost_usd=usd("0.1"), latency_ms=1.5)
    event = through(note).invocation()
    assert event == note.invocation()
    assert "joe@" not in event.model_dump_json()
    assert (event.api, event.streamed) == (api, True)


@given(
    text=TEXTS,
    answer=TEXTS,
    episode=st.none() | TEXTS,
    tags=st.dictionaries(TEXTS, TEXTS, max_size=2),
    reason=st.sampled_from(["no_student", "control", "promoted", "low_confidence", "withheld", "unproven"]),
    confidence=st.none() | st.floats(0, 1),
    cost=st.decimals(0, 10, places=9),
    probability=st.floats(0, 1),
    drawn=st.none() | st.booleans(),
    head=st.booleans(),
    spot_check=st.booleans(),
)
def test_whatever_a_note_holds_comes_out_again(
    text: str,
    answer: str,
    episode: str | None,
    tags: dict[str, str],
    reason: Reason,
    confidence: float | None,
    cost: Decimal,
    probability: float,
    drawn: bool | None,
    head: bool,
    spot_check: bool,
) -> None:
    account = InvocationBuilder(call(user_request(text), episode=episode, tags=tags, tenant="acme"), default_redactor)
    route = RouteRecord(
        reason=reason,
        threshold=0.5,
        share=0.25,
        audit_probability=probability,
        student_cost_usd=usd(cost),
        drawn=drawn,
        head=head,
        spot_check=spot_check,
    )
    note = account.from_student(
        route,
        Response(message=assistant_message(answer), finish_reason="stop"),
        student="triage@1",
        confidence=confidence,
        usage=Usage(completion_tokens=2),
        cost_usd=usd(cost),
        latency_ms=0.25,
    )
    assert through(note).invocation() == note.invocation()


def test_audits_repeats_and_failures_come_out_too() -> None:
    account = InvocationBuilder(call(user_request("hello")), default_redactor)
    route = Decision("audit").to_record(audit_probability=0.1)
    failure = TeacherError(503, "not now")
    for note in (
        account.for_audit().from_failure(route, failure, student="triage@1", cost_usd=usd("0.2"), latency_ms=3.0),
        account.for_successor("next").from_failure(route, failure, cost_usd=usd("0.2"), latency_ms=3.0),
        account.from_cache(Decision("cached").to_record(), Response(message=assistant_message("hi")), model="m"),
        account.from_failure(route, failure, hung_up=True, usage_estimated=True),
    ):
        assert through(note).invocation() == note.invocation()


def test_every_field_of_a_route_and_a_usage_is_written_down() -> None:
    assert RouteRecord._fields == tuple(Route.model_fields)
    assert tuple(Usage.model_fields) == ("prompt_tokens", "completion_tokens", "cached_tokens", "details")


@given(st.timedeltas(timedelta(0), timedelta(days=36_500)))
def test_the_time_comes_out_to_the_microsecond(later: timedelta) -> None:
    at = NOON + later
    account = InvocationBuilder(replace(call(user_request("hello")), at=at), default_redactor)
    note = account.from_cache(Decision("cached").to_record(), Response(message=assistant_message("hi")), model="m")
    assert through(note).invocation().at == at


class _Name(str):
    __slots__ = ()


@pytest.mark.parametrize(("episode", "first_byte"), [("run-7", b"("), (_Name("run-7"), b"\x80")])
def test_what_is_not_quite_plain_is_packed_too(episode: str, first_byte: bytes) -> None:
    body = BODIES["chat"]
    request = DIALECTS["chat"].decode_request(body).request
    account = InvocationBuilder(call(request, raw=orjson.dumps(body), episode=episode), default_redactor)
    note = account.from_failure(Decision("no_student").to_record(), TeacherError(503, "away"))
    data = serialize(note)
    assert data[:1] == first_byte
    assert deserialize(data, default_redactor).invocation() == note.invocation()
