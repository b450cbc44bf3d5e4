"""Every form of recorded call, recognised by its shape."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.events import Usage, fingerprint
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog, RecordedCall

ASKED = [{"role": "system", "content": "Classify."}, {"role": "user", "content": "My parcel is late"}]
ANSWER = {"role": "assistant", "content": "shipping"}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1767600000,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 21, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 16}},
}
MOMENT = datetime(2026, 1, 5, 8, tzinfo=UTC)

Read = Callable[..., ParsedLog]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(*records: object) -> ParsedLog:
        path = tmp_path / "calls.jsonl"
        path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
        return read_calls(path)

    return of


def only(reading: ParsedLog) -> RecordedCall:
    assert reading.skipped == []
    (call,) = reading.calls
    return call


def is_the_sample(call: RecordedCall) -> bool:
    texts = [(message.role, message.text) for message in call.request.messages]
    return texts == [("system", "Classify."), ("user", "My parcel is late")] and (
        call.response.message.role == "assistant" and call.response.message.content == "shipping"
    )


def test_native_record_gives_all_its_fields(read: Read) -> None:
    reading = read(
        {
            "messages": [*ASKED, ANSWER],
            "model": "gpt-4o",
            "usage": {
                "prompt_tokens": 21,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 16},
                "cost": 5.5e-06,
            },
            "created": 1767600000.25,
            "task": "triage",
            "tags": {"split": "test", "n": 3, "live": True, "deep": {}},
            "latency_ms": 459.5,
            "tools": [{"type": "function", "function": {"name": "look_up"}}],
            "response_format": {"type": "json_object"},
            "temperature": 0,
            "critical": True,
        }
    )
    call = only(reading)
    assert reading.format == "native"
    assert is_the_sample(call)
    assert (call.line, call.model, call.task, call.critical) == (1, "gpt-4o", "triage", True)
    assert (call.usage.prompt_tokens, call.usage.completion_tokens, call.usage.cached_tokens) == (21, 2, 16)
    assert call.recorded_cost == Decimal("0.000005500")
    assert call.at == datetime(2026, 1, 5, 8, 0, 0, 250_000, UTC)
    assert call.tags == {"split": "test", "n": "3", "live": "true"}
    assert call.latency_ms == 459.5
    assert call.request.tools == ({"type": "function", "function": {"name": "look_up"}},)
    assert call.request.response_format == {"type": "json_object"}
    assert call.request.temperature == 0
    assert call.fingerprint == fingerprint(call.request)


@pytest.mark.parametrize(
    "created",
    [1767600000, 1767600000.0, 1767600000000, 1767600000000000, "2026-01-05T08:00:00Z", "2026-01-05 10:00+02:00"],
)
def test_created_is_read_in_every_usual_unit(read: Read, created: object) -> None:
    assert only(read({"messages": [*ASKED, ANSWER], "created": created})).at == MOMENT


@pytest.mark.parametrize(
    "created", [60, 86_400 * 365, 946_684_799, 4_102_444_800, -1, 0, "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]
)
def test_a_moment_outside_this_century_is_none(read: Read, created: object) -> None:
    assert only(read({"messages": [*ASKED, ANSWER], "created": created})).at is None


@pytest.mark.parametrize("count", [1e30, 2**32, "9" * 40])
def test_a_number_of_tokens_that_cannot_be_is_no_usage(read: Read, count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 2}
    assert only(read({"messages": [*ASKED, ANSWER], "model": "gpt-4o", "usage": usage})).usage == Usage()


@pytest.mark.parametrize("key", ["cost", "cost_usd"])
def test_cost_beside_the_usage_is_the_recorded_cost(read: Read, key: str) -> None:
    assert only(read({"messages": [*ASKED, ANSWER], key: 0.02})).recorded_cost == Decimal("0.02")


def test_top_level_tool_calls_belong_to_the_answer(read: Read) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "route", "arguments": '{"to": "shipping"}'}}]
    for messages in ([*ASKED, {"role": "assistant", "content": None}], ASKED):
        answer = only(read({"messages": messages, "tool_calls": calls})).response.message
        assert answer.tool_calls is not None
        assert answer.tool_calls[0].function.arguments == '{"to": "shipping"}'


def test_an_answer_beside_the_messages_is_the_answer(read: Read) -> None:
    assert is_the_sample(only(read({"messages": ASKED, "response": "shipping"})))
    assert is_the_sample(only(read({"messages": ASKED, "response": COMPLETION})))


def test_openai_stored_completion_with_messages_or_input(read: Read) -> None:
    for record in ({**COMPLETION, "messages": ASKED}, {**COMPLETION, "input": ASKED}):
        reading = read(record)
        call = only(reading)
        assert reading.format == "openai"
        assert is_the_sample(call)
        assert (call.at, call.usage.cached_tokens, call.response.finish_reason) == (MOMENT, 16, "stop")


def test_openai_stored_response_with_function_call(read: Read) -> None:
    call = only(
        read(
            {
                "object": "response",
                "created_at": 1767600000,
                "model": "gpt-4o",
                "instructions": "Classify.",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "My parcel is late"}]}],
                "output": [
                    {"type": "reasoning", "summary": []},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "shipping"}]},
                    {"type": "function_call", "call_id": "c", "name": "route", "arguments": "{}"},
                ],
                "usage": {"input_tokens": 9, "output_tokens": 2},
            }
        )
    )
    assert is_the_sample(call)
    assert call.response.message.tool_calls is not None
    assert call.usage.prompt_tokens == 9


def test_openai_fine_tuning_rows(read: Read) -> None:
    chat = {"messages": [*ASKED, {**ANSWER, "weight": 1}], "parallel_tool_calls": False}
    assert is_the_sample(only(read(chat)))
    reading = read({"prompt": "My parcel is late ->", "completion": " shipping"})
    assert reading.format == "prompt-completion"
    assert only(reading).response.message.content == "shipping"


def test_openai_preferences_to_fine_tune_by(read: Read) -> None:
    record = {
        "input": {"messages": ASKED, "tools": [], "parallel_tool_calls": True},
        "preferred_output": [ANSWER],
        "non_preferred_output": [{"role": "assistant", "content": "billing"}],
    }
    reading = read(record)
    assert reading.format == "openai-preference"
    call = only(reading)
    assert is_the_sample(call)
    assert call.request.parameters == {"parallel_tool_calls": True}
    assert [b.reason for b in read({**record, "preferred_output": []}).skipped] == ["no teacher answer"]


def test_openai_batch_answers_are_joined_with_their_requests_in_any_order(read: Read) -> None:
    asked = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": ASKED, "seed": 1}}
    answered = {"id": "b", "custom_id": "a", "response": {"status_code": 200, "body": COMPLETION}, "error": None}
    for records in ((asked, answered), (answered, asked)):
        reading = read(*records)
        assert reading.format == "openai-batch"
        call = only(reading)
        assert is_the_sample(call)
        assert call.request.parameters == {"seed": 1}
    assert [broken.reason for broken in read(answered).skipped] == [
        "a batch answer without its request: join the batch's input file"
    ]
    assert [broken.reason for broken in read(asked).skipped] == ["no teacher answer"]


def test_litellm_spend_log_with_columns_kept_as_text(read: Read) -> None:
    reading = read(
        {
            "request_id": "r1",
            "call_type": "acompletion",
            "model": "gpt-4o",
            "spend": 0.0015,
            "startTime": "2026-01-05T08:00:00Z",
            "endTime": "2026-01-05T08:00:01.5Z",
            "prompt_tokens": 21,
            "completion_tokens": 2,
            "messages": orjson.dumps(ASKED).decode(),
            "response": orjson.dumps(COMPLETION).decode(),
            "metadata": '{"requester_metadata": {"task": "triage"}}',
            "request_tags": '["prod"]',
        }
    )
    call = only(reading)
    assert reading.format == "litellm"
    assert is_the_sample(call)
    assert (call.task, call.at, call.latency_ms) == ("triage", MOMENT, 1500.0)
    assert (call.recorded_cost, call.tags) == (Decimal("0.0015"), {"prod": "true"})


def test_litellm_spend_log_with_messages_in_the_proxied_request_alone(read: Read) -> None:
    row = {"call_type": "completion", "spend": 0.0, "model": "own", "messages": {}, "response": COMPLETION}
    call = only(read({**row, "proxy_server_request": {"messages": ASKED, "temperature": 0.2}}))
    assert is_the_sample(call)
    assert call.recorded_cost is None
    assert call.request.temperature == 0.2
    assert [broken.reason for broken in read(row).skipped] == ["a log row without its messages"]


@pytest.mark.parametrize(
    "call_type",
    ["embedding", "aembedding", "image_generation", "aimage_edit", "atranscription", "arerank", "_arealtime"],
)
def test_what_litellm_logs_of_other_models_is_skipped(read: Read, call_type: str) -> None:
    row = {"call_type": call_type, "spend": 0.1, "messages": ASKED, "response": {"data": [{"embedding": [0.1]}]}}
    assert [b.reason for b in read(row).skipped] == [f"no call of a chat model but of type {call_type!r}"]


@pytest.mark.parametrize("call_type", ["", "acompletion", "atext_completion", "aresponses", "anthropic_messages"])
def test_what_litellm_logs_of_chats_is_read(read: Read, call_type: str) -> None:
    row = {"call_type": call_type, "spend": 0.1, "messages": ASKED, "response": COMPLETION}
    assert is_the_sample(only(read(row)))


def test_litellm_standard_payload(read: Read) -> None:
    payload = {
        "id": "x",
        "call_type": "completion",
        "status": "success",
        "response_cost": 0.002,
        "startTime": 1767600000.0,
        "endTime": 1767600002.0,
        "model": "gpt-4o",
        "prompt_tokens": 21,
        "completion_tokens": 2,
        "messages": ASKED,
        "response": COMPLETION,
        "model_parameters": {"temperature": 0.0},
        "metadata": {"requester_metadata": None},
        "request_tags": [],
    }
    call = only(read(payload))
    assert is_the_sample(call)
    assert (call.recorded_cost, call.latency_ms, call.request.temperature) == (Decimal("0.002"), 2000.0, 0.0)
    assert [b.reason for b in read({**payload, "status": "failure"}).skipped] == ["the call failed: status 'failure'"]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (ASKED, ANSWER),
        ({"messages": ASKED}, "shipping"),
        (orjson.dumps(ASKED).decode(), orjson.dumps(ANSWER).decode()),
        (ASKED, COMPLETION),
    ],
)
def test_langfuse_generation(read: Read, asked: object, answered: object) -> None:
    reading = read(
        {
            "id": "o",
            "traceId": "t",
            "type": "GENERATION",
            "name": "triage",
            "model": "gpt-4o",
            "startTime": "2026-01-05T08:00:00.000Z",
            "endTime": "2026-01-05T08:00:00.800Z",
            "input": asked,
            "output": answered,
            "usageDetails": {"input": 21, "output": 2, "total": 23},
            "costDetails": {"total": 0.0003},
            "modelParameters": {"temperature": "0.5"},
            "metadata": {"team": "care"},
        }
    )
    call = only(reading)
    assert reading.format == "langfuse"
    assert is_the_sample(call)
    assert (call.task, call.at, call.latency_ms) == ("triage", MOMENT, 800.0)
    assert (call.usage.prompt_tokens, call.recorded_cost) == (21, Decimal("0.0003"))
    assert (call.request.temperature, call.tags) == (0.5, {"team": "care"})


def test_langfuse_names_of_libraries_are_no_tasks_and_spans_are_no_calls(read: Read) -> None:
    observation = {"traceId": "t", "type": "GENERATION", "input": "Hello", "output": {"label": "x"}}
    call = only(read({**observation, "name": "OpenAI-generation"}))
    assert call.task is None
    assert call.response.message.content == '{"label":"x"}'
    assert [b.reason for b in read({**observation, "type": "SPAN"}).skipped] == [
        "an observation of type SPAN, not a generation"
    ]


def test_helicone_flat_row_and_nested_row(read: Read) -> None:
    body = {"model": "gpt-4o", "messages": ASKED, "temperature": 0}
    flat = {
        "request_id": "r",
        "request_created_at": "2026-01-05T08:00:00+00:00",
        "request_body": body,
        "response_body": COMPLETION,
        "request_properties": {"Task": "triage"},
        "delay_ms": 700,
        "costUSD": 0.0004,
    }
    nested = {
        "request": {"body": body, "created_at": "2026-01-05T08:00:00Z", "properties": {"task": "triage"}},
        "response": {"body": COMPLETION, "created_at": "2026-01-05T08:00:00.7Z"},
        "cost": 0.0004,
    }
    for record in (flat, nested):
        reading = read(record)
        call = only(reading)
        assert reading.format == "helicone"
        assert is_the_sample(call)
        assert (call.task, call.at, call.latency_ms, call.model) == ("triage", MOMENT, 700.0, "gpt-4o")
        assert (call.recorded_cost, call.usage.prompt_tokens) == (Decimal("0.0004"), 21)
    failed = {**flat, "response_body": {"error": {"message": "overloaded"}}}
    assert [b.reason for b in read(failed).skipped] == ["the call failed: overloaded"]


def test_own_invocations(read: Read) -> None:
    event = {
        "type": "invocation",
        "id": "1",
        "at": "2026-01-05T08:00:00Z",
        "task": "triage",
        "request": {"messages": ASKED, "parameters": {"seed": 2}},
        "response": {"message": ANSWER},
        "cost_usd": "0.01",
        "fingerprint": "f",
    }
    call = only(read(event))
    assert is_the_sample(call)
    assert (call.recorded_cost, call.request.parameters) == (Decimal("0.01"), {"seed": 2})
    assert [b.reason for b in read({**event, "served_by": "student"}).skipped] == ["not answered by the teacher"]
    assert [b.reason for b in read({**event, "hung_up": True}).skipped] == [
        "the caller hung up: the answer is what had arrived"
    ]
    assert [b.reason for b in read({**event, "route": {"reason": "fallback"}}).skipped] == [
        "another model answered in place of the teacher"
    ]


# Episodes


def native(**more: object) -> dict[str, object]:
    return {"messages": [*ASKED, ANSWER], **more}


def own(**more: object) -> dict[str, object]:
    event = {"type": "invocation", "task": "triage", "request": {"messages": ASKED}, "response": {"message": ANSWER}}
    return {**event, **more}


def langfuse(**more: object) -> dict[str, object]:
    return {"type": "GENERATION", "input": ASKED, "output": ANSWER, **more}


def litellm(**more: object) -> dict[str, object]:
    return {"call_type": "completion", "spend": 0.1, "messages": ASKED, "response": COMPLETION, **more}


def helicone(**properties: object) -> dict[str, object]:
    return {"request_body": {"messages": ASKED}, "response_body": COMPLETION, "request_properties": properties}


@pytest.mark.parametrize(
    "record",
    [
        native(episode="trip 7"),
        native(metadata={"episode": "trip 7"}),
        native(metadata='{"Episode": " trip 7 "}'),
        own(episode="trip 7"),
        langfuse(traceId="t", sessionId="trip 7"),
        langfuse(trace_id="t", session_id="trip 7"),
        langfuse(metadata={"episode": "trip 7"}, sessionId="of a user"),
        litellm(session_id="trip 7", trace_id="t"),
        litellm(metadata='{"requester_metadata": {"session_id": "trip 7"}}'),
        litellm(metadata={"episode": "trip 7"}),
        helicone(**{"Helicone-Session-Id": "trip 7", "Helicone-Session-Path": "/ask"}),
        helicone(Episode="trip 7"),
    ],
)
def test_a_call_tells_the_episode_that_it_belongs_to(read: Read, record: object) -> None:
    assert only(read(record)).episode == "trip 7"


@pytest.mark.parametrize("record", [langfuse, litellm])
def test_a_trace_is_an_episode_where_several_calls_share_it(read: Read, record: Callable[..., object]) -> None:
    shared, alone = record(trace_id="shared"), record(trace_id="alone")
    session = record(trace_id="shared", session_id="session")
    assert [call.episode for call in read(shared, alone, shared, session, record()).calls] == [
        "shared",
        None,
        "shared",
        "session",
        None,
    ]


@pytest.mark.parametrize(
    ("written", "episode"),
    [(17, "17"), ("a" * 300, "a" * 200), ("  ", None), (True, None), (None, None), ({"id": 1}, None), ([], None)],
)
def test_an_episode_that_is_no_name_is_ignored_and_a_long_one_cut(read: Read, written: object, episode: object) -> None:
    for record in (native(episode=written), own(episode=written), langfuse(sessionId=written)):
        assert only(read(record)).episode == episode


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def test_anthropic_blocks_become_text_tool_calls_and_tool_messages(read: Read) -> None:
    tool_use = {"type": "tool_use", "id": "t", "name": "look_up", "input": {"a": 1}}
    tool_result = {"type": "tool_result", "tool_use_id": "t", "content": [_text("Oslo")]}
    call = only(
        read(
            {
                "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
                "tools": [{"name": "look_up", "description": "d", "input_schema": {"type": "object"}}],
                "messages": [
                    {"role": "user", "content": [_text("Where"), _text("is it?")]},
                    {"role": "assistant", "content": [tool_use]},
                    {"role": "user", "content": [tool_result]},
                ],
                "response": {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "In Oslo."}],
                    "stop_reason": "end_turn",
                },
                "usage": {"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 4},
            }
        )
    )
    roles = [message.role for message in call.request.messages]
    assert roles == ["system", "user", "assistant", "tool"]
    assert call.request.messages[1].content == [_text("Where"), _text("is it?")]
    assert call.request.messages[1].text == "Where\nis it?"
    asked = call.request.messages[2].tool_calls
    assert asked is not None
    assert (asked[0].function.name, asked[0].function.arguments) == ("look_up", '{"a":1}')
    assert (call.request.messages[3].tool_call_id, call.request.messages[3].content) == ("t", "Oslo")
    assert call.request.tools == (
        {"type": "function", "function": {"name": "look_up", "description": "d", "parameters": {"type": "object"}}},
    )
    assert (call.response.message.content, call.response.finish_reason) == ("In Oslo.", "stop")
    assert (call.usage.prompt_tokens, call.usage.cached_tokens) == (105, 100)


def test_parts_that_are_not_text_are_kept(read: Read) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    call = only(read({"messages": [{"role": "user", "content": parts}, ANSWER]}))
    assert call.request.messages[0].content == parts
    assert call.request.messages[0].text == "What is it?"


def test_forms_may_be_mixed_line_by_line(read: Read) -> None:
    reading = read({"messages": [*ASKED, ANSWER]}, {**COMPLETION, "messages": ASKED}, {"messages": [*ASKED, ANSWER]})
    assert reading.format == "native+openai"
    assert [call.line for call in reading.calls] == [1, 2, 3]
    assert len({call.fingerprint for call in reading.calls}) == 1
