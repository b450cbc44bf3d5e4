"""Traces of whole agents are no calls, and what their spans tell apart from the answer is read."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.support.one_log import only, read

from understudies.events import UsageDetails

ASKED = [{"role": "user", "content": "Is room 12 free?"}]
PARTS = [{"role": "user", "parts": [{"type": "text", "content": "Is room 12 free?"}]}]
TOLD = [{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]


def span(**attributes: Any) -> dict[str, Any]:
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return {"traceId": "t", "spanId": "s", "attributes": named}


LANGFUSE = {"id": "t", "timestamp": "2026-06-01T08:00:00Z", "name": "agent", "input": {"messages": ASKED}}


@pytest.mark.parametrize(
    "trace",
    [
        LANGFUSE | {"output": "yes", "sessionId": "s", "public": False, "htmlPath": "/t", "environment": "default"},
        LANGFUSE | {"output": "yes", "session_id": "s", "bookmarked": False, "release": None},
        LANGFUSE | {"output": "yes", "observations": ["o1", "o2"], "scores": [], "latency": 1},
        {"id": "t", "project_id": "p", "start_time": "2026-06-01T08:00:00Z", "input": {"input": "a"}}
        | {"output": {"output": "b"}, "thread_id": "th", "feedback_scores": []},
    ],
)
def test_a_trace_of_an_agent_is_no_call(tmp_path: Path, trace: dict[str, Any]) -> None:
    parsed = read(tmp_path, trace)
    assert parsed.calls == []
    assert parsed.skipped[0].reason.startswith("a whole trace of an agent, not a call")


def test_a_row_of_a_search_for_traces_in_mlflow_is_its_spans(tmp_path: Path) -> None:
    model = {
        "span_id": "a",
        "trace_id": "b",
        "attributes": {
            "mlflow.spanType": '"CHAT_MODEL"',
            "mlflow.spanInputs": orjson.dumps({"model": "gpt-4.1", "messages": ASKED}).decode(),
            "mlflow.spanOutputs": '{"choices": [{"message": {"role": "assistant", "content": "yes"}}]}',
        },
    }
    row: dict[str, Any] = {
        "trace_id": "b",
        "state": "OK",
        "request": {"messages": ASKED},
        "response": "the agent's",
        "assessments": [],
    }
    row |= {"execution_duration": 1400, "trace_metadata": {"mlflow.trace.session": "se"}, "spans": [model]}
    call = only(read(tmp_path, row))
    assert (call.response.message.content, call.episode) == ("yes", "se")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai__response__finish_reasons": ["error"]}, "the call failed: finish reason 'error'"),
        ({"gen_ai__response__finish_reasons": '["error"]'}, "the call failed: finish reason 'error'"),
        ({"langfuse__observation__level": "ERROR"}, "the call failed: level 'ERROR'"),
    ],
)
def test_what_a_span_tells_of_a_failure_apart_from_the_answer_counts(
    tmp_path: Path, attributes: dict[str, Any], reason: str
) -> None:
    ended = [{**message, "finish_reason": "stop"} for message in TOLD]
    for told in (TOLD, ended):
        parsed = read(tmp_path, span(gen_ai__input__messages=PARTS, gen_ai__output__messages=told, **attributes))
        assert [skipped.reason for skipped in parsed.skipped] == [reason]


def test_the_ai_sdk_tells_how_an_answer_ended_apart_from_it(tmp_path: Path) -> None:
    about = {
        "ai__operationId": "ai.generateText.doGenerate",
        "ai__prompt__messages": ASKED,
        "ai__response__text": "yes",
    }
    failed = read(tmp_path, span(**about, ai__response__finishReason="error"))
    assert [skipped.reason for skipped in failed.skipped] == ["the call failed: finish reason 'error'"]
    assert only(read(tmp_path, span(**about, ai__response__finishReason="length"))).response.finish_reason == "length"
    observed = {"type": "GENERATION", "input": ASKED, "output": "yes", "modelParameters": {"finishReason": "length"}}
    assert only(read(tmp_path, observed)).response.finish_reason == "length"


@pytest.mark.parametrize("operation", ["ai.embed.doEmbed", "ai.toolCall", "ai.embedMany"])
def test_other_operations_of_the_ai_sdk_are_no_calls(tmp_path: Path, operation: str) -> None:
    parsed = read(tmp_path, span(ai__operationId=operation, ai__model__id="m"))
    assert [skipped.reason for skipped in parsed.skipped] == [
        f"a span of kind {operation!r}, not a call of a chat model"
    ]


def test_the_spans_of_langfuse_are_read_whole(tmp_path: Path) -> None:
    about = {
        "langfuse__observation__type": "generation",
        "langfuse__observation__input": ASKED,
        "langfuse__observation__output": '{"role": "assistant", "content": "yes"}',
        "langfuse__observation__model__name": "gpt-4.1",
        "langfuse__observation__model__parameters": '{"temperature": 0.5}',
        "langfuse__observation__usage_details": '{"input": 40, "input_cache_read": 256, "input_cache_creation": 4}',
        "langfuse__observation__cost_details": '{"input": 0.1, "total": 0.25}',
        "langfuse__observation__metadata__task": "rooms",
        "langfuse__trace__tags": ["prod"],
    }
    call = only(read(tmp_path, span(**about)))
    assert (call.request.temperature, float(call.recorded_cost or 0), call.task) == (0.5, 0.25, "rooms")
    assert (call.tags, call.usage.prompt_tokens) == ({"task": "rooms", "prod": "true"}, 300)
    assert call.usage.details == UsageDetails(cache_write_tokens=4)


def test_the_spans_of_googles_agents_and_the_tools_of_pydantic_ai_are_read(tmp_path: Path) -> None:
    asked = {
        "config": {"system_instruction": "Be brief."},
        "contents": [{"role": "user", "parts": [{"text": "Free?"}]}],
    }
    google = span(
        gen_ai__system="gcp.vertex.agent",
        gcp__vertex__agent__session_id="se",
        gcp__vertex__agent__llm_request=orjson.dumps(asked).decode(),
        gcp__vertex__agent__llm_response='{"content": {"role": "model", "parts": [{"text": "yes"}]}}',
    )
    call = only(read(tmp_path, google))
    assert [message.content for message in call.request.messages] == ["Be brief.", "Free?"]
    assert (call.response.message.content, call.episode) == ("yes", "se")
    tools = {"function_tools": [{"name": "look_up", "description": "d", "parameters_json_schema": {"type": "object"}}]}
    written = span(
        gen_ai__input__messages=PARTS,
        gen_ai__output__messages=TOLD,
        model_request_parameters=orjson.dumps(tools).decode(),
    )
    (tool,) = only(read(tmp_path, written)).request.model_dump()["tools"]
    assert tool["function"] == {"name": "look_up", "description": "d", "parameters": {"type": "object"}}


def test_the_messages_of_a_call_that_are_logged_one_by_one_are_read_together(tmp_path: Path) -> None:
    def logged(span_id: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        values = [{"key": key, "value": {"stringValue": value}} for key, value in body.items()]
        told = {"traceId": "t", "spanId": span_id, "body": {"kvlistValue": {"values": values}}}
        named = {"attributes": [{"key": "event.name", "value": {"stringValue": name}}]} if span_id == "b" else {}
        return {**told, **(named or {"eventName": name}), "timeUnixNano": "1780300800000000000"}

    answer = {"finish_reason": "stop", "message": '{"role": "assistant", "content": "yes"}'}
    records = [
        logged("a", "gen_ai.system.message", {"content": "Be brief."}),
        logged("b", "gen_ai.user.message", {"content": "Is room 13 free?"}),
        logged("a", "gen_ai.user.message", {"content": "Is room 12 free?"}),
        logged("a", "gen_ai.choice", answer),
        logged("b", "gen_ai.choice", answer),
    ]
    parsed = read(tmp_path, {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})
    assert parsed.skipped == []
    assert [[message.content for message in call.request.messages] for call in parsed.calls] == [
        ["Be brief.", "Is room 12 free?"],
        ["Is room 13 free?"],
    ]
    assert [call.response.message.content for call in parsed.calls] == ["yes", "yes"]
