"""Every format of an export, read from a fixture: its calls, and why each other record is none.

All fixtures hold one guest's note, sorted by one answer or by the call of one tool, with one usage and one time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"
NOTE = "The towels in room 12 were not changed."
SYSTEM = "Sort each guest's note: cleaning, booking or noise."
COST = Decimal("0.0003")
SPAN = "not a call of a chat model"
AROUND = "a call around other calls of the log, which count in its place"


@dataclass(frozen=True)
class Expected:
    """What a fixture gives; a field of None is one that the format does not tell."""

    lines: tuple[int, ...]
    skipped: tuple[str, ...] = ()
    task: str | None = None
    episode: str | None = None
    cost: Decimal | None = None
    latency_ms: float = 0.0
    usage: tuple[int, int, int] = (300, 5, 256)
    is_dated: bool = True
    has_tools: bool = False


EXPECTED = {
    "langfuse_api.jsonl": Expected(
        (1,),
        ("an observation of type SPAN", "the call failed: level 'ERROR'", "the log withheld the answer: '<NoneType"),
        task="sort-note",
        cost=COST,
        latency_ms=1500,
    ),
    "langfuse_blob.jsonl": Expected(
        (1,),
        ("an observation of type EMBEDDING",),
        task="guest-notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
        has_tools=True,
    ),
    "langfuse_trace.json": Expected(
        (1,), ("an observation of type AGENT",), task="sort-note", episode="stay-8", cost=COST, latency_ms=1500
    ),
    "langfuse_ui.csv": Expected((2,), task="sort-note", cost=COST, latency_ms=1500, has_tools=True),
    "langfuse_langchain.jsonl": Expected((1,), episode="th-9", cost=COST, latency_ms=1500, has_tools=True),
    "langfuse_ai_sdk.jsonl": Expected((2,), (AROUND,), task="notes", cost=COST, latency_ms=1500, has_tools=True),
    "langfuse_parts.jsonl": Expected((1,), task="sort-note", cost=COST, latency_ms=1500),
    "langfuse_gemini.jsonl": Expected((1,), task="sort-note", cost=COST, latency_ms=1500),
    "litellm_spend_logs.jsonl": Expected(
        (1, 6),
        (
            "the log withheld the answer: 'redacted-by-litellm'",
            "the log kept only a part of the answer: 'litellm_truncated'",
            "the call failed: 429",
            "no call of a chat model but of type 'aembedding'",
            "no teacher answer: the reply has none of the known forms",
        ),
        task="notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
    ),
    "litellm_spend_logs.csv": Expected((2,), task="notes", episode="stay-7", cost=COST, latency_ms=1500),
    "litellm_s3.json": Expected((1, 1), task="notes", episode="tr-5", cost=COST, latency_ms=1500),
    "litellm_datadog.jsonl": Expected((1,), task="notes", cost=COST, latency_ms=1500),
    "helicone.jsonl": Expected(
        (1, 6),
        (
            "no teacher answer: the log kept the reply without it",
            "the log withheld the answer: 'request body too large'",
            "the call failed: response_status -3",
            "the call failed: response_status 502",
            "no call of a chat model but of type 'https://api.openai.com/v1/embeddings'",
            "the call failed: upstream reset",
        ),
        task="notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
    ),
    "portkey.jsonl": Expected(
        (1,), ("the call failed: is_success is 0",), task="notes", episode="stay-7", cost=COST, latency_ms=1500
    ),
    "openai_batch.jsonl": Expected(
        (4,),
        ("the call failed: status_code 400", "no call of a chat model", "a batch answer without its request"),
        has_tools=True,
    ),
    "openai_stored_completions.jsonl": Expected((1,), ("a stored completion without its messages",), task="notes"),
    "openai_responses.jsonl": Expected((1,), ("the call failed: down",), task="notes"),
    "openai_evals.json": Expected((1,)),
    "otlp_genai.jsonl": Expected(
        (1, 2),
        ("the call failed: timed out", "a span without its messages", "a span of kind 'invoke_agent'"),
        episode="stay-7",
        latency_ms=1500,
        has_tools=True,
    ),
    "otlp_openllmetry.jsonl": Expected(
        (1,),
        ("a span of kind 'workflow'",),
        episode="stay-7",
        latency_ms=1500,
        usage=(300, 5, 0),
        has_tools=True,
    ),
    "openinference_phoenix.json": Expected(
        (3,),
        (AROUND, "a span of kind 'chain'", "the call failed: status ERROR"),
        episode="stay-7",
        latency_ms=1500,
        has_tools=True,
    ),
    "otlp_ai_sdk.jsonl": Expected((2,), (AROUND,), task="notes", latency_ms=1500),
    "pydantic_ai.jsonl": Expected((1,), episode="stay-7", latency_ms=1500),
    "mlflow.jsonl": Expected((1,), ("a span of kind 'agent'",), episode="stay-7", latency_ms=1500),
    "langsmith.jsonl": Expected(
        (1,),
        ("a run of type 'chain'", "the call failed: RateLimitError(429)"),
        task="notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
        has_tools=True,
    ),
    "opik.jsonl": Expected(
        (2,), ("a whole trace of an agent", "a span of type 'tool'"), task="notes", cost=COST, latency_ms=1500
    ),
    "bedrock.jsonl": Expected(
        (1, 2, 3, 4),
        ("the call failed: ValidationException", "the log holds its body elsewhere, at s3://logs/a.json.gz"),
        task="notes",
        episode="stay-7",
        latency_ms=1500,
        has_tools=True,
    ),
    "anthropic_batch.jsonl": Expected(
        (2,), ("the call failed: errored, overloaded", "the call failed: canceled"), is_dated=False
    ),
    "vertex_batch.jsonl": Expected((1,), ("the call failed: Bad Request", "no teacher answer"), has_tools=True),
    "vertex_predictions.jsonl": Expected(
        (1, 2, 3, 4),
        ("the call failed: Resource exhausted", "an instance of a model that", "an instance of a model that"),
    ),
    "request_response.jsonl": Expected((1, 4), ("the call failed: quota", "the call failed: the reply is an error")),
    "braintrust.jsonl": Expected(
        (1,),
        ("a span of type 'task', not of a model",),
        task="notes",
        episode="c1",
        latency_ms=1000.0,
        usage=(1000, 100, 500),
    ),
    "openai_agents.jsonl": Expected(
        (1, 2, 3),
        (
            "the call failed: Error getting response",
            "no teacher answer",
            "a span that names its response alone",
            "a span of type 'function'",
            "a span of type 'custom'",
            "a span of type 'trace'",
        ),
        episode="trace_7",
        latency_ms=1500,
    ),
    "honeyhive.jsonl": Expected(
        (1, 2),
        (
            "the call failed: RateLimitError: 429",
            "an event of type 'tool'",
            "an event of type 'chain'",
            "an event of type 'session'",
        ),
        task="notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
        has_tools=True,
    ),
    "posthog.jsonl": Expected(
        (1,),
        ("the call failed: 429", "an event '$ai_embedding'"),
        task="notes",
        episode="stay-7",
        cost=COST,
        latency_ms=1500,
    ),
    "sharegpt.jsonl": Expected((1,), usage=(0, 0, 0), is_dated=False),
    "alpaca.jsonl": Expected((1, 2), usage=(0, 0, 0), is_dated=False),
    "prompt_response.jsonl": Expected((1, 2), usage=(0, 0, 0), is_dated=False),
    "native_forms.jsonl": Expected((1, 2, 3, 4, 5), ("no teacher answer: it is empty",)),
}


def is_answer(call: RecordedCall) -> bool:
    """Whether the call's answer is the one of all fixtures: a word, or the call of a tool."""
    message = call.response.message
    tools = [(tool.function.name, tool.function.arguments[:7]) for tool in message.tool_calls or ()]
    return message.content == "cleaning" or tools == [("find_room", '{"room"')]


def test_every_fixture_is_expected() -> None:
    assert {path.name for path in LOGS.iterdir()} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_calls_of_a_format_are_read_and_the_others_named(name: str) -> None:
    expected = EXPECTED[name]
    parsed = read_calls(LOGS / name)
    assert tuple(call.line for call in parsed.calls) == expected.lines
    assert len(parsed.skipped) == len(expected.skipped)
    for skipped, reason in zip(parsed.skipped, expected.skipped, strict=True):
        assert skipped.reason.startswith(reason)
    assert all(is_answer(call) for call in parsed.calls)
    assert all(NOTE in [message.text for message in call.request.messages] for call in parsed.calls)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_format_tells_about_a_call(name: str) -> None:
    expected = EXPECTED[name]
    call = read_calls(LOGS / name).calls[0]
    usage = call.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == expected.usage
    assert (call.task, call.episode, call.recorded_cost) == (expected.task, expected.episode, expected.cost)
    assert call.latency_ms == expected.latency_ms
    assert (call.at is not None and call.at.replace(microsecond=0) == datetime(2026, 6, 1, 8, tzinfo=UTC)) == (
        expected.is_dated
    )
    assert bool(call.request.tools) == expected.has_tools


@pytest.mark.parametrize("name", ["langfuse_langchain.jsonl", "langfuse_ai_sdk.jsonl", "langfuse_parts.jsonl"])
def test_a_conversation_with_tools_is_the_same_in_every_library(name: str) -> None:
    messages = read_calls(LOGS / name).calls[0].request.messages
    asked, told = messages[-2:]
    assert asked.tool_calls is not None
    assert (asked.tool_calls[0].function.name, asked.tool_calls[0].function.arguments) == ("find_room", '{"room":12}')
    assert (told.role, told.tool_call_id) == ("tool", "call_a1b2c3d4e5")
    assert "1" in told.text


@pytest.mark.parametrize("name", ["bedrock.jsonl", "vertex_batch.jsonl", "litellm_spend_logs.jsonl", "mlflow.jsonl"])
def test_the_parameters_of_a_call_are_named_as_in_chats(name: str) -> None:
    for call in read_calls(LOGS / name).calls:
        assert call.request.temperature == 0
        assert call.request.system == SYSTEM
        assert call.request.parameters.keys() <= {"max_tokens"}
