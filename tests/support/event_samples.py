"""One event of every kind, every field filled: what the golden samples hold."""

from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from understudies.events import (
    Drift,
    Event,
    FunctionCall,
    GateDecision,
    Invocation,
    LabelProbability,
    Message,
    Promotion,
    Request,
    Response,
    Route,
    Steering,
    ToolCall,
    Usage,
    UsageDetails,
    Verdict,
    Withheld,
    usd,
)

_AT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
_ID = "019ca9a3-57fa-7032-afbb-6497f8bfc6a{}"
_SOFT_LABELS: dict[str, tuple[LabelProbability, ...]] = {
    "late": (LabelProbability(value=True, probability=0.75), LabelProbability(value=False, probability=0.25))
}
_CALL = ToolCall(id="call_1", function=FunctionCall(name="weather", arguments='{"city": "Delft"}'))
_WITHHELD = Withheld(answers={"label:storm": 0.875}, inputs=("text:0c1d",), groups=("tenant=acme", "day=weekend"))
_TOOL: dict[str, JsonValue] = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

ANSWERED = Invocation(
    id=_ID.format(0),
    at=_AT,
    task="weather",
    episode="trip-17",
    tenant="acme",
    origin="audit",
    audits=_ID.format(9),
    served_by="teacher",
    model="teacher-2026-01",
    student="weather@3",
    request=Request(
        messages=(
            Message(role="system", content="Call the tool."),
            Message(role="user", name="ada", content=[{"type": "text", "text": "Weather in Delft, 21 °C?"}]),
            Message(role="assistant", tool_calls=(_CALL,)),
            Message(role="tool", tool_call_id="call_1", content="rain"),
        ),
        tools=(_TOOL,),
        tool_choice="auto",
        response_format={"type": "json_object"},
        temperature=0.5,
        parameters={"max_tokens": 100, "stop": ["\n"]},
    ),
    response=Response(
        message=Message(role="assistant", tool_calls=(_CALL,)), finish_reason="tool_calls", probabilities=_SOFT_LABELS
    ),
    usage=Usage(
        prompt_tokens=120,
        completion_tokens=8,
        cached_tokens=64,
        details=UsageDetails(
            cache_write_tokens=32,
            cache_write_1h_tokens=16,
            audio_prompt_tokens=4,
            audio_completion_tokens=2,
            web_searches=1,
            service_tier="flex",
            stated_cost_usd=usd("0.0011"),
        ),
    ),
    cost_usd=usd("0.001234567"),
    free=False,
    latency_ms=412.5,
    usage_estimated=True,
    api="messages",
    streamed=True,
    hung_up=False,
    training_only=True,
    confidence=0.875,
    route=Route(
        reason="audit",
        threshold=0.75,
        share=0.25,
        audit_probability=0.05,
        student_cost_usd=usd("0.000000001"),
        drawn=False,
        head=True,
        spot_check=True,
    ),
    fingerprint="8d31869a55c9e167140c92ba8f6fe5f4f3e7b694c9d429a3c49eea5ac2fe46c5",
    tags={"team": "field"},
)

SAMPLES: dict[str, Event] = {
    "invocation": ANSWERED,
    "invocation_failed": Invocation(
        id=_ID.format(1),
        at=_AT,
        task="weather",
        request=Request(messages=(Message(role="user", content="Weather?"),)),
        error="TimeoutError: no answer in 30 s",
        fingerprint="3dff2da0dd3be0ff1bd9a2b0a2ed2d3a04dd2d8ee6f9ff4b9d2d3d79b2e5fd6a",
    ),
    "verdict": Verdict(
        id=_ID.format(2),
        at=_AT,
        task="weather",
        invocation=_ID.format(0),
        student="weather@3",
        phase="shadow",
        agreed=False,
        score=0.5,
        judge="tool_calls",
        why="argument `city` differs",
        confidence=0.875,
        weight=20.0,
        fingerprint=ANSWERED.fingerprint,
        answer_class="weather",
        student_answer='forecast({"city": "Delft"})',
        student_class="forecast",
        judge_cost_usd=usd("0.0004"),
        spot_check=False,
        counts=False,
    ),
    "gate_decision": GateDecision(
        id=_ID.format(3),
        at=_AT,
        task="weather",
        student="weather@3",
        decision="promote",
        threshold=0.75,
        coverage=0.8125,
        head_threshold=0.625,
        levels=((0.95, 0.75), (0.98, 0.875)),
        withheld=_WITHHELD,
        judge="tool_calls",
        reason="lower bound 0.962 is above 0.95",
        evidence={"n": 400, "agreed": 391, "lower": 0.962},
    ),
    "promotion": Promotion(
        id=_ID.format(4),
        at=_AT,
        task="weather",
        student="weather@3",
        stage="promoted",
        reason="gate passed",
        dataset="file:///data/datasets/0a1b.jsonl",
        artifact="file:///data/artifacts/2c3d",
        share=0.25,
        threshold=0.75,
        head_threshold=0.625,
        levels=((0.95, 0.75), (0.98, 0.875)),
        withheld=_WITHHELD,
        audit_rate=0.125,
        judge="tool_calls",
        spot_checks=True,
        evidence={"roi": 9.1, "teachers": ["teacher-2026-01"]},
        steering=None,
    ),
    "steering": Promotion(
        id=_ID.format(6),
        at=_AT,
        task="weather",
        student="weather@0",
        stage="retired",
        reason="the forecast changed its form",
        dataset=None,
        artifact=None,
        share=0.0,
        threshold=None,
        head_threshold=None,
        levels=(),
        withheld=Withheld(answers={}, inputs=(), groups=()),
        audit_rate=0.05,
        judge=None,
        spot_checks=False,
        evidence={},
        steering=Steering(action="demote", by="ada", student="weather@3"),
    ),
    "drift": Drift(
        id=_ID.format(5),
        at=_AT,
        task="weather",
        student="weather@3",
        tier="contract",
        drifted=True,
        cause="traffic",
        confidence=0.999,
        statistic=1000.5,
        audited=212,
        agreement_before=0.97,
        agreement_after=0.81,
    ),
}
"""By the name of the file below `schemas/samples/v2/`."""

_LATER: dict[str, set[str]] = {
    "invocation": {"free", "usage_estimated", "api", "streamed", "hung_up", "training_only"},
    "verdict": {"spot_check", "student_answer", "student_class", "judge_cost_usd"},
    "gate_decision": {"head_threshold", "levels", "withheld", "judge"},
    "promotion": {"head_threshold", "levels", "withheld", "judge", "spot_checks", "steering"},
    "drift": {"cause"},
}
_LATER_OF_ROUTE = {"drawn", "head", "spot_check"}
_LATER_OF_USAGE = {"details"}


def _of_version_1(name: str, event: Event) -> Event:
    later: dict[str, Any] = dict.fromkeys(_LATER.get(name, ()), True)
    known = event.model_dump(
        exclude={**later, "route": _LATER_OF_ROUTE, "usage": _LATER_OF_USAGE, "response": {"probabilities"}}
    )
    return type(event).model_validate(known)


OF_VERSION_1: dict[str, Event] = {
    name: _of_version_1(name, event) for name, event in SAMPLES.items() if name != "steering"
}
"""What the files below `schemas/samples/v1/` hold, which know nothing of what came later."""
