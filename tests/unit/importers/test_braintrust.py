"""Logs of Braintrust: the spans of models are calls, with model, metrics and their place in the trace."""

from decimal import Decimal
from pathlib import Path

import orjson
from tests.support.one_log import read

from understudies.economics.prices import call_cost

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"
(CALL, ROOT) = (orjson.loads(line) for line in (LOGS / "braintrust.jsonl").read_bytes().splitlines())


def test_a_span_of_a_model_is_a_call_with_its_metrics(tmp_path: Path) -> None:
    parsed = read(tmp_path, CALL, ROOT)
    (call,) = parsed.calls
    assert [skipped.reason for skipped in parsed.skipped] == ["a span of type 'task', not of a model"]
    assert (call.model, call.response.message.content, call.response.finish_reason) == (
        "gpt-4o-mini",
        "cleaning",
        "stop",
    )
    assert (call.usage.prompt_tokens, call.usage.completion_tokens, call.usage.cached_tokens) == (1000, 100, 500)
    assert call_cost(call.model, call.usage, at=call.at) == Decimal("0.0001725")
    assert call.at is not None
    assert call.at.isoformat() == "2026-06-01T08:00:00.250000+00:00"
    assert (call.latency_ms, call.trace, call.task, call.episode) == (1000.0, "t1", "notes", "c1")
    assert call.request.parameters["seed"] == 1


def test_a_failed_span_and_one_around_another_call_are_none(tmp_path: Path) -> None:
    outer = {**CALL, "id": "o", "span_id": "o1", "span_parents": None}
    between = {**ROOT, "id": "b", "span_id": "b1", "span_parents": ["o1"]}
    inner = {**CALL, "span_parents": ["b1"]}
    parsed = read(tmp_path, outer, between, inner)
    assert [call.line for call in parsed.calls] == [3]
    parsed = read(tmp_path, {**CALL, "error": "Connection error."})
    assert parsed.calls == []
    assert "Connection error." in parsed.skipped[0].reason
