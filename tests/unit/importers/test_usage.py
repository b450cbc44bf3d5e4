"""Token counts by the conventions of providers and logs, and costs in the units of each source."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.economics.prices import call_cost
from understudies.events import UsageDetails
from understudies.importers.reader import read_calls
from understudies.importers.recorded_call import RecordedCall
from understudies.importers.usage import parse_usage

ASKED = [{"role": "user", "content": "Is room 12 free?"}]


@pytest.mark.parametrize(
    ("source", "counts"),
    [
        # OpenAI's counts include cached and reasoning tokens.
        (
            {"prompt_tokens": 300, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 256}},
            (300, 50, 256),
        ),
        ({"input_tokens": 300, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 256}}, (300, 50, 256)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 60,
                "completion_tokens_details": {"reasoning_tokens": 50},
                "total_tokens": 69,
            },
            (9, 60, 0),
        ),
        # xAI counts reasoning apart, as the total shows.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 10,
                "completion_tokens_details": {"reasoning_tokens": 50},
                "total_tokens": 69,
            },
            (9, 60, 0),
        ),
        # Anthropic and Bedrock count cached tokens apart.
        (
            {"input_tokens": 44, "cache_read_input_tokens": 256, "cache_creation_input_tokens": 0, "output_tokens": 5},
            (300, 5, 256),
        ),
        (
            {
                "input_tokens": 4,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "cache_read_input_tokens": 0,
                "output_tokens": 5,
            },
            (34, 5, 0),
        ),
        (
            {
                "inputTokens": 44,
                "outputTokens": 5,
                "cacheReadInputTokens": 256,
                "cacheWriteInputTokens": 0,
                "totalTokens": 305,
            },
            (300, 5, 256),
        ),
        # Gemini counts thoughts apart, cached tokens within.
        (
            {
                "promptTokenCount": 300,
                "cachedContentTokenCount": 256,
                "candidatesTokenCount": 2,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 305,
            },
            (300, 5, 256),
        ),
        # LangChain's counts include both.
        (
            {
                "input_tokens": 300,
                "output_tokens": 50,
                "total_tokens": 350,
                "input_token_details": {"cache_read": 256},
                "output_token_details": {"reasoning": 40},
            },
            (300, 50, 256),
        ),
        # The AI SDK's too.
        ({"inputTokens": 300, "outputTokens": 5, "cachedInputTokens": 256, "totalTokens": 305}, (300, 5, 256)),
        ({"prompt_eval_count": 300, "eval_count": 5}, (300, 5, 0)),
        ({"prompt_token_count": 300, "generation_token_count": 5}, (300, 5, 0)),
    ],
)
def test_usage_is_read_by_the_convention_of_its_source(source: dict[str, Any], counts: tuple[int, int, int]) -> None:
    usage = parse_usage(source)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == counts


@pytest.mark.parametrize(
    ("buckets", "counts"),
    [
        ({"input": 86, "input_cached_tokens": 17_817, "output": 50, "total": 17_953}, (17_903, 50, 17_817)),
        ({"input": 10, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 200, "output": 5}, (710, 5, 500)),
        ({"input": 100, "output": 50, "output_reasoning_tokens": 950, "total": 1100}, (100, 1000, 0)),
        ({"input": 60, "input_audio": 30, "output": 15, "output_audio": 7, "total": 112}, (90, 22, 0)),
        # A row whose total shows that its counts include the cached tokens.
        ({"input": 300, "input_cache_read": 256, "output": 5, "total": 305}, (300, 5, 256)),
    ],
)
def test_buckets_that_exclude_each_other_are_added_up(buckets: dict[str, int], counts: tuple[int, int, int]) -> None:
    usage = parse_usage(buckets, buckets=True)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == counts


def read_one(tmp_path: Path, record: dict[str, Any]) -> RecordedCall:
    path = tmp_path / "log.json"
    path.write_bytes(orjson.dumps(record))
    (call,) = read_calls(path).calls
    return call


COMPLETION = {"choices": [{"message": {"role": "assistant", "content": "yes"}}]}
COUNTED = {**COMPLETION, "usage": {"prompt_tokens": 300, "completion_tokens": 5}}


@pytest.mark.parametrize(
    ("record", "cost"),
    [
        ({"request_body": {"messages": ASKED}, "response_body": COUNTED, "costUSD": 0.5}, "0.5"),
        ({"request_body": {"messages": ASKED}, "response_body": COUNTED, "cost": 500_000}, "0.0005"),
        ({"request_body": {"messages": ASKED}, "response_body": COUNTED, "cost": 0.5}, "0.5"),
        ({"request_body": {"messages": ASKED}, "response_body": COUNTED, "cost": 0}, None),
        ({"type": "GENERATION", "input": ASKED, "output": "yes", "totalCost": 0, "usageDetails": {"input": 3}}, None),
        ({"call_type": "completion", "spend": 0.0, "messages": ASKED, "response": COUNTED}, None),
        ({"call_type": "completion", "spend": 0.0, "messages": ASKED, "response": COUNTED, "cache_hit": "True"}, "0"),
        ({"messages": ASKED, "response": COUNTED, "model": "gpt-4.1", "cost": 0}, None),
        ({"messages": ASKED, "response": COUNTED, "model": "our-own", "cost": 0}, "0"),
        ({"messages": ASKED, "response": COUNTED, "cost": "$0.02"}, "0.02"),
        (
            {
                "request": {"body": {"messages": ASKED}},
                "response": {"body": COUNTED},
                "ai_model": "m",
                "ai_org": "o",
                "cost": 0.144,
            },
            "0.00144",
        ),
    ],
)
def test_a_cost_is_read_in_the_unit_of_its_source_and_zero_beside_tokens_is_unknown(
    tmp_path: Path, record: dict[str, Any], cost: str | None
) -> None:
    assert read_one(tmp_path, record).recorded_cost == (None if cost is None else Decimal(cost))


def test_searches_of_responses_are_priced(tmp_path: Path) -> None:
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]}
    searches = [
        {"type": "web_search_call", "id": "a", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "web_search_call", "id": "b", "status": "completed"},
        {"type": "web_search_call", "id": "c", "status": "completed", "action": {"type": "open_page", "url": "u"}},
        {"type": "web_search_call", "id": "d", "status": "failed", "action": {"type": "search", "query": "q"}},
    ]
    usage = {"input_tokens": 300, "output_tokens": 5, "total_tokens": 305}
    reply = {"object": "response", "model": "gpt-5", "status": "completed", "output": [*searches, text], "usage": usage}
    logged = read_one(tmp_path, {"request": {"model": "gpt-5", "input": "asked"}, "response": reply})
    stored = read_one(tmp_path, {**reply, "input": "asked"})
    plain = read_one(tmp_path, {**reply, "input": "asked", "output": [text]})
    for call in (logged, stored):
        assert call.usage.details == UsageDetails(web_searches=2)
        added = (call_cost("gpt-5", call.usage) or 0) - (call_cost("gpt-5", plain.usage) or 0)
        assert added == Decimal("0.02")
    assert plain.usage.details is None
