"""Spans of calls whose content is in log records: joined by trace and span, across lines and files."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import ParsedLog

TRACE = "0af7651916cd43dd8448eb211c80319c"
NOT_JOINED = "a span without its messages"
CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "gen_ai.conversation.id": "c",
}


def value_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes_of(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(item) for item in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def attributes_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value_of(value)} for name, value in given.items()]


def spans(*each: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(each)}]}]}


def logs(*each: dict[str, Any]) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(each)}]}]}


def span(number: int, attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "startTimeUnixNano": f"1780300800{number:09}",
        "endTimeUnixNano": f"1780300802{number:09}",
        "attributes": attributes_of(CHAT if attributes is None else attributes),
        **fields,
    }


def event(number: int, name: str, body: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "timeUnixNano": f"1780300801{at:09}",
        "eventName": name,
        "body": value_of(body),
    }


def asked(number: int, text: str, at: int = 0) -> dict[str, Any]:
    return event(number, "gen_ai.user.message", {"content": text}, at)


def answered(number: int, text: str, at: int = 1) -> dict[str, Any]:
    told = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return event(number, "gen_ai.choice", told, at)


def details(number: int, question: str, answer: str) -> dict[str, Any]:
    told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": question}]}],
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}],
    }
    written = event(number, "gen_ai.client.inference.operation.details", {})
    return {**written, "attributes": attributes_of(told)}


def read(folder: Path, **files: list[Any]) -> ParsedLog:
    for name, records in files.items():
        (folder / f"{name}.jsonl").write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    return read_calls(folder)


def said(parsed: ParsedLog) -> list[tuple[list[object], object]]:
    return [([item.content for item in call.request.messages], call.response.message.content) for call in parsed.calls]


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("is_whole", [False, True])
def test_content_in_logs_is_joined_with_the_span_of_its_call(tmp_path: Path, is_split: bool, is_whole: bool) -> None:
    if is_whole:
        told = [logs(details(2, "Is 13 free?", "no")), logs(details(1, "Is 12 free?", "yes"))]
    else:
        told = [logs(asked(1, "Is 12 free?"), asked(2, "Is 13 free?")), logs(answered(2, "no"), answered(1, "yes"))]
    traced = [spans(span(1)), spans(span(2))]
    files = {"logs": told, "traces": traced} if is_split else {"all": [told[0], traced[0], told[1], traced[1]]}
    parsed = read(tmp_path, **files)
    assert parsed.skipped == []
    assert sorted(said(parsed), key=str) == [(["Is 12 free?"], "yes"), (["Is 13 free?"], "no")]
    for call in parsed.calls:
        assert (call.model, call.usage.prompt_tokens, call.usage.completion_tokens) == ("gpt-4o-mini", 1000, 100)
        assert (call.latency_ms, call.episode, call.recorded_cost) == (2000.0, "c", None)
        assert call.at is not None
        assert call.at.second == 0


def test_content_that_is_told_in_the_span_too_counts_once(tmp_path: Path) -> None:
    content = {
        "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "Is 12 free?"}]}]',
        "gen_ai.output.messages": '[{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]',
    }
    parsed = read(tmp_path, all=[logs(details(1, "Is 12 free?", "yes")), spans(span(1, CHAT | content))])
    assert said(parsed) == [(["Is 12 free?"], "yes")]
    assert parsed.calls[0].usage.prompt_tokens == 1000
    assert [skipped.reason for skipped in parsed.skipped] == [
        "an event that tells a call of the log again, whose span has the content too"
    ]


def test_several_calls_within_the_span_of_an_agent_are_calls_of_their_own(tmp_path: Path) -> None:
    agent = span(1, {"gen_ai.operation.name": "invoke_agent"})
    told = [asked(1, "a", 1), answered(1, "A", 2), asked(1, "b", 3), answered(1, "B", 4), answered(1, "C", 5)]
    parsed = read(tmp_path, all=[logs(*reversed(told)), spans(agent), logs(told[0])])
    assert said(parsed) == [(["a"], "A"), (["b"], "B")]
    assert len(parsed.skipped) == 1
    assert "invoke_agent" in parsed.skipped[0].reason


def test_what_lacks_a_part_is_no_call(tmp_path: Path) -> None:
    failed = span(3, status={"code": 2, "message": "timeout"})
    orphan = {name: value for name, value in asked(5, "d").items() if name not in ("traceId", "spanId")}
    plain = {"timeUnixNano": "1780300801000000000", "body": {"stringValue": "started"}, "severityText": "INFO"}
    records = [
        spans(span(1), span(2), failed),
        logs(asked(2, "a"), asked(3, "b"), answered(3, "cut"), asked(4, "c"), orphan, plain),
    ]
    parsed = read(tmp_path, all=records)
    assert parsed.calls == []
    reasons = [skipped.reason for skipped in parsed.skipped]
    assert sum(reason.startswith(NOT_JOINED) for reason in reasons) == 1
    assert sum(reason.startswith("no teacher answer: the events") for reason in reasons) == 2
    assert "the call failed: 'timeout'" in reasons or "the call failed: timeout" in reasons
    assert "an event of a call that failed" in reasons
    assert "a message of a call without the ids of its span, which tell what belongs to it" in reasons
    assert "a log record that tells no call of a model" in reasons
    assert len(reasons) == 7


def test_a_joined_call_around_another_is_not_counted(tmp_path: Path) -> None:
    inner = span(2, parentSpanId=f"{1:016x}")
    told = [asked(1, "a"), answered(1, "A"), asked(2, "a"), answered(2, "A")]
    parsed = read(tmp_path, all=[logs(*told), spans(inner, span(1))])
    assert said(parsed) == [(["a"], "A")]
    assert [call.usage.prompt_tokens for call in parsed.calls] == [1000]
    assert Decimal(parsed.calls[0].latency_ms) == 2000
    assert len(parsed.skipped) == 1
