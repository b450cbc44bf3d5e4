"""Token counts by the conventions of providers and logs, and costs in the units of each source."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from understudies.economics.prices import call_cost
from understudies.events import Usage, UsageDetails
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
        # Cached tokens that are more than the prompt's are not among them, whatever the total says.
        (
            {
                "prompt_tokens": 44,
                "completion_tokens": 5,
                "total_tokens": 49,
                "prompt_tokens_details": {"cached_tokens": 256},
            },
            (300, 5, 256),
        ),
        ({"prompt_tokens": 44, "completion_tokens": 5, "cached_tokens": 256}, (300, 5, 256)),
        # A compaction counts besides, with what it read from a cache and wrote to it.
        (
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 20,
                "output_tokens": 5,
                "iterations": [
                    {"type": "compaction", "input_tokens": 200, "cache_read_input_tokens": 70, "output_tokens": 30},
                    {"type": "message", "input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 5},
                ],
            },
            (300, 35, 90),
        ),
        # The turns of a loop with the provider's tools are in the counts of the whole.
        (
            {
                "input_tokens": 30,
                "output_tokens": 5,
                "iterations": [
                    {"type": "message", "input_tokens": 10, "output_tokens": 2},
                    {"type": "message", "input_tokens": 20, "output_tokens": 3},
                ],
            },
            (30, 5, 0),
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


@pytest.mark.parametrize("count", ["many", -1, True, "-5", float("inf")])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "cached_tokens", "cache_creation_input_tokens"])
def test_a_usage_with_a_count_that_is_none_has_no_price(name: str, count: object) -> None:
    usage = {"prompt_tokens": 300, "completion_tokens": 50, "cached_tokens": 256}
    assert parse_usage({**usage, name: count}) is None


@pytest.mark.parametrize("count", ["many", -1, True, None, 0])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_a_count_that_is_missing_is_told_by_the_others(name: str, count: object) -> None:
    usage = parse_usage({"prompt_tokens": 300, "completion_tokens": 50, "total_tokens": 350, name: count})
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (300, 50)


@pytest.mark.parametrize("count", ["", "nan", None, 0, 0.0, "0.0"])
def test_a_count_that_a_log_leaves_empty_is_none_of_its_kind(count: object) -> None:
    usage = parse_usage({"prompt_tokens": 300, "completion_tokens": 50, "cached_tokens": count})
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (300, 50, 0)


def test_tokens_of_several_models_are_no_usage_of_one() -> None:
    advisor = {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 823, "output_tokens": 1612}
    assert parse_usage({"input_tokens": 412, "output_tokens": 531, "iterations": [advisor]}) is None


@pytest.mark.parametrize(
    ("buckets", "counts"),
    [
        ({"input": 86, "input_cached_tokens": 17_817, "output": 50, "total": 17_953}, (17_903, 50, 17_817)),
        ({"input": 10, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 200, "output": 5}, (710, 5, 500)),
        ({"input": 100, "output": 50, "output_reasoning_tokens": 950, "total": 1100}, (100, 1000, 0)),
        ({"input": 60, "input_audio": 30, "output": 15, "output_audio": 7, "total": 112}, (90, 22, 0)),
        # Cache writes told in sum and by their lifetime.
        (
            {
                "input": 10,
                "cache_read_input_tokens": 500,
                "cache_creation_input_tokens": 200,
                "input_cache_creation_5m": 50,
                "input_cache_creation_1h": 150,
                "output": 5,
            },
            (710, 5, 500),
        ),
        # The total tells a side that is missing.
        ({"input": 44, "input_cached_tokens": 256, "total": 305}, (300, 5, 256)),
        ({"input_cached_tokens": 256, "output": 5, "total": 305}, (300, 5, 256)),
        # A row whose total shows that its counts include the cached tokens.
        ({"input": 300, "input_cache_read": 256, "output": 5, "total": 305}, (300, 5, 256)),
    ],
)
def test_buckets_that_exclude_each_other_are_added_up(buckets: dict[str, int], counts: tuple[int, int, int]) -> None:
    usage = parse_usage(buckets, buckets=True)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == counts


@pytest.mark.parametrize(
    "source",
    [
        # LangChain's counts of Anthropic's, with what was written in sum or by lifetime.
        {
            "input_tokens": 300,
            "output_tokens": 5,
            "total_tokens": 305,
            "input_token_details": {"cache_read": 100, "cache_creation": 0, "ephemeral_1h_input_tokens": 30}
            | {"ephemeral_5m_input_tokens": 20},
        },
        {"input": 150, "input_cache_read": 100, "output": 5}
        | {"input_ephemeral_5m_input_tokens": 20, "input_ephemeral_1h_input_tokens": 30},
        {"input": 150, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 50, "output": 5}
        | {"input_cache_creation_5m": 20, "input_cache_creation_1h": 30},
    ],
)
def test_what_was_written_to_a_cache_is_told_by_its_lifetime(source: dict[str, Any]) -> None:
    usage = parse_usage(source, buckets="input" in source)
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_tokens) == (300, 100)
    assert usage.details == UsageDetails(cache_write_tokens=50, cache_write_1h_tokens=30)


@pytest.mark.parametrize(
    "records",
    [
        [
            {"custom_id": "a", "url": "/v1/chat/completions", "body": {"model": "gpt-4.1", "messages": ASKED}},
            {
                "custom_id": "a",
                "response": {
                    "status_code": 200,
                    "body": {
                        "choices": [{"message": {"role": "assistant", "content": "yes"}}],
                        "model": "gpt-4.1",
                        "created": 1_780_300_800,
                        "usage": {"prompt_tokens": 300, "completion_tokens": 5}
                        | {"prompt_tokens_details": {"cached_tokens": 256}},
                    },
                },
            },
        ],
        [
            {
                "status": "",
                "processed_time": "2026-06-01T08:00:00Z",
                "request": {"contents": [{"role": "user", "parts": [{"text": "Is room 12 free?"}]}]},
                "response": {
                    "candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}],
                    "modelVersion": "gemini-2.5-flash",
                    "usageMetadata": {"promptTokenCount": 300, "candidatesTokenCount": 5, "totalTokenCount": 305},
                },
            }
        ],
    ],
)
def test_a_batch_has_the_price_of_one(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(record) for record in records))
    (call,) = read_calls(path).calls
    assert call.usage.details == UsageDetails(service_tier="batch")
    single = call_cost(call.model, call.usage.model_copy(update={"details": None}))
    assert single is not None
    assert (call_cost(call.model, call.usage) or single) < single


@pytest.mark.parametrize(
    ("billed", "counts"), [({"input_tokens": 3, "output_tokens": 1}, (3, 1)), ({"search_units": 1}, (70, 2))]
)
def test_the_counts_of_cohere_are_those_that_it_bills(
    tmp_path: Path, billed: dict[str, int], counts: tuple[int, int]
) -> None:
    told = {"billed_units": billed, "tokens": {"input_tokens": 70, "output_tokens": 2}}
    message = {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}
    second = {"message": message, "finish_reason": "COMPLETE", "usage": told}
    first = {"text": "yes", "finish_reason": "COMPLETE", "meta": told}
    asked = {"model": "command-r", "preamble": "Be brief.", "chat_history": [], "message": "Is room 12 free?"}
    for request, reply in (({"messages": ASKED}, second), (asked, first)):
        call = read_one(tmp_path, {"request": request, "response": reply})
        assert (call.usage.prompt_tokens, call.usage.completion_tokens) == counts
        assert call.response.finish_reason == "stop"
    assert [message.role for message in call.request.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("told", "prompt"), [({}, 300), ({"$ai_cache_reporting_exclusive": False}, 200), ({"$ai_model": "gpt-4.1"}, 200)]
)
def test_posthog_tells_whether_its_counts_include_cached_tokens(
    tmp_path: Path, told: dict[str, Any], prompt: int
) -> None:
    about = {
        "$ai_model": "claude-sonnet-4-5",
        "$ai_input": ASKED,
        "$ai_output_choices": [{"role": "assistant", "content": "yes"}],
        **{"$ai_input_tokens": 200, "$ai_output_tokens": 5, "$ai_cache_read_input_tokens": 100},
    }
    call = read_one(tmp_path, {"event": "$ai_generation", "properties": {**about, **told}})
    assert (call.usage.prompt_tokens, call.usage.cached_tokens) == (prompt, 100)


@pytest.mark.parametrize(("provider", "model", "output"), [("gemini", "gemini-2.5-flash", 52), ("openai", "gpt-5", 2)])
def test_posthog_counts_the_thoughts_of_gemini_beside_its_output(
    tmp_path: Path, provider: str, model: str, output: int
) -> None:
    counts = {"$ai_input_tokens": 30, "$ai_output_tokens": 2, "$ai_reasoning_tokens": 50}
    about = {"$ai_input": ASKED, "$ai_output_choices": [{"role": "assistant", "content": "yes"}], **counts}
    properties = {**about, "$ai_provider": provider, "$ai_model": model}
    usage = read_one(tmp_path, {"event": "$ai_generation", "properties": properties}).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, output)


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
        (
            {"request_body": {"messages": ASKED}, "response_body": COUNTED, "costUSD": 0}
            | {"cache_reference_id": "00000000-0000-0000-0000-000000000000"},
            None,
        ),
        (
            {"request_body": {"messages": ASKED}, "response_body": COUNTED, "costUSD": 0}
            | {"cache_reference_id": "8f14e45f-ceea-467f-ab29-0d0e3c1c2b3a"},
            "0",
        ),
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


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3.1-pro-preview", 2)])
def test_grounding_of_gemini_is_priced_by_prompt_or_by_query(tmp_path: Path, model: str, searches: int) -> None:
    told = {"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}
    counted = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    plain = {"candidates": [told], "usageMetadata": counted, "modelVersion": model}
    searched = {**told, "groundingMetadata": {"webSearchQueries": ["a", "b", "a", ""]}}
    grounded = {**plain, "candidates": [searched]}
    first = {
        "candidates": [{"content": {"parts": [{"text": "ye"}]}, "grounding_metadata": {"web_search_queries": ["a"]}}]
    }
    last = {**grounded, "candidates": [{**searched, "content": {"parts": [{"text": "s"}]}}]}
    asked = {"contents": [{"parts": [{"text": "asked"}]}]}
    unit = Decimal("0.035") if searches == 1 else Decimal("0.014")
    without = read_one(tmp_path, {"request": asked, "response": plain})
    assert without.usage.details is None
    for reply in (grounded, [first, last]):
        call = read_one(tmp_path, {"request": asked, "response": reply})
        assert call.response.message.content == "yes"
        assert call.usage.details == UsageDetails(web_searches=searches)
        added = (call_cost(model, call.usage) or 0) - (call_cost(model, without.usage) or 0)
        assert added == unit * searches


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (
            {
                "usageDetails": {
                    "input": 10,
                    "input_audio_tokens": 20,
                    "output": 5,
                    "output_audio_tokens": 8,
                    "total": 43,
                }
            },
            (30, 13, 20, 8),
        ),
        ({"usageDetails": {"input": 10, "input_audio": 20, "output": 5, "output_audio": 8}}, (30, 13, 20, 8)),
        ({"usage": {"prompt_tokens": 30, "prompt_tokens_details": {"audio_tokens": 20}}}, (30, 0, 20, 0)),
        (
            {"usage": {"input_tokens": 30, "output_tokens": 13, "input_token_details": {"audio": 20}}},
            (30, 13, 20, 0),
        ),
        (
            {
                "usage": {
                    "promptTokenCount": 30,
                    "candidatesTokenCount": 13,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 10},
                        {"modality": "AUDIO", "tokenCount": 20},
                    ],
                    "candidates_tokens_details": [{"modality": "AUDIO", "token_count": 8}],
                }
            },
            (30, 13, 20, 8),
        ),
    ],
)
def test_audio_is_told_apart(tmp_path: Path, usage: dict[str, Any], counts: tuple[int, int, int, int]) -> None:
    observation = {"type": "GENERATION", "input": ASKED, "output": "yes", "model": "gpt-audio", **usage}
    found = read_one(tmp_path, observation).usage
    details = found.details
    assert details is not None
    told = (details.audio_prompt_tokens, details.audio_completion_tokens)
    assert (found.prompt_tokens, found.completion_tokens, *told) == counts


def test_searches_that_litellm_counts_among_the_details_are_priced(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 300, "completion_tokens": 5, "prompt_tokens_details": {"web_search_requests": 2}}
    call = read_one(tmp_path, {"messages": ASKED, "response": {**COMPLETION, "usage": usage}})
    assert call.usage.details == UsageDetails(web_searches=2)


def test_the_tier_of_a_stored_completion_is_that_of_its_price(tmp_path: Path) -> None:
    counts = {"prompt_tokens": 100_000, "completion_tokens": 10}
    stored = {"object": "chat.completion", "model": "gpt-5", "messages": ASKED, "usage": counts}
    answered = {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
    costs = []
    for tier in ("default", "flex", None):
        call = read_one(tmp_path, {**stored, **answered, "service_tier": tier})
        costs.append(call_cost(call.model, call.usage))
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[0] == costs[2] == 2 * costs[1]


CONVERSE: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "yes"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 300, "outputTokens": 5, "totalTokens": 305},
}
STREAM: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "yes"}}},
    {"messageStop": {"stopReason": "end_turn"}},
]


@pytest.mark.parametrize(
    ("asked", "answered", "tier"),
    [
        ({}, CONVERSE, None),
        ({}, {**CONVERSE, "serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}}, None),
        ({}, {**CONVERSE, "serviceTier": {"type": "priority"}}, "priority"),
        ({"serviceTier": {"type": "flex"}}, CONVERSE, "flex"),
        ({}, {**CONVERSE, "performanceConfig": {"latency": "optimized"}}, "optimized"),
        ({"performanceConfig": {"latency": "optimized"}}, CONVERSE, "optimized"),
        (
            {"performanceConfig": {"latency": "optimized"}, "serviceTier": {"type": "priority"}},
            {**CONVERSE, "serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}},
            None,
        ),
        (
            {"performanceConfig": {"latency": "optimized"}},
            [*STREAM, {"metadata": {"usage": CONVERSE["usage"], "performanceConfig": {"latency": "standard"}}}],
            None,
        ),
        (
            {"performanceConfig": {"latency": "optimized"}},
            {**CONVERSE, "serviceTier": {"type": "flex"}, "performanceConfig": None},
            "flex+optimized",
        ),
        (
            {},
            [*STREAM, {"metadata": {"usage": CONVERSE["usage"], "serviceTier": {"type": "reserved"}}}],
            "reserved",
        ),
    ],
)
def test_the_tier_that_bedrock_tells_is_that_of_the_price(
    tmp_path: Path, asked: dict[str, Any], answered: object, tier: str | None
) -> None:
    entry = {
        "schemaType": "ModelInvocationLog",
        "operation": "Converse",
        "modelId": "us.amazon.nova-lite-v1:0",
        "input": {"inputBodyJson": {"messages": [{"role": "user", "content": [{"text": "Is it free?"}]}], **asked}},
        "output": {"outputBodyJson": answered},
    }
    call = read_one(tmp_path, entry)
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (300, 5)
    assert call.usage.details == (None if tier is None else UsageDetails(service_tier=tier))
    assert (call_cost(call.model, call.usage) is None) == (tier is not None)


@pytest.mark.parametrize("prompt", [300, 280])
@pytest.mark.parametrize("cached", [{}, {"cached_tokens": 8}])
@pytest.mark.parametrize("at", [{}, {"created_at": "2026-05-01T10:00:00Z"}])
def test_what_a_reply_tells_of_its_price_is_known_beside_counts_of_the_log(
    tmp_path: Path, prompt: int, cached: dict[str, int], at: dict[str, str]
) -> None:
    told = {
        "input_tokens": 292,
        "output_tokens": 5,
        "cache_read_input_tokens": 8,
        "inference_geo": "us",
        "server_tool_use": {"web_search_requests": 2},
    }
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}], "usage": told}
    counts = {"prompt_tokens": prompt, "completion_tokens": 5, **cached}
    record = {"messages": ASKED, "response": said, "model": "claude-opus-4-6", "usage": counts, **at}
    usage = read_one(tmp_path, record).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (prompt, 5)
    assert usage.details == UsageDetails(service_tier="us", web_searches=2)


def test_what_a_reply_tells_of_tokens_is_known_beside_the_same_counts_of_the_log(tmp_path: Path) -> None:
    told = {
        "input_tokens": 100,
        "output_tokens": 5,
        "cache_creation_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
    }
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}], "usage": told}
    record = {"messages": ASKED, "response": said, "usage": {"prompt_tokens": 300, "completion_tokens": 5}}
    written = UsageDetails(cache_write_tokens=200, cache_write_1h_tokens=150)
    assert read_one(tmp_path, record).usage == Usage(prompt_tokens=300, completion_tokens=5, details=written)
    less = {**record, "usage": {"prompt_tokens": 100, "completion_tokens": 5}}
    assert read_one(tmp_path, less).usage.details is None


@pytest.mark.parametrize(
    ("traffic", "tier"),
    [
        ("ON_DEMAND", None),
        ("TRAFFIC_TYPE_UNSPECIFIED", None),
        ("PROVISIONED_THROUGHPUT", "provisioned_throughput"),
        ("ON_DEMAND_PRIORITY", "priority"),
    ],
)
def test_the_traffic_that_vertex_tells_is_that_of_the_price(tmp_path: Path, traffic: str, tier: str | None) -> None:
    counts = {"promptTokenCount": 300, "candidatesTokenCount": 5, "totalTokenCount": 305, "trafficType": traffic}
    said = [{"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}]
    reply = {"candidates": said, "modelVersion": "gemini-2.5-flash", "usageMetadata": counts}
    asked = {"contents": [{"role": "user", "parts": [{"text": "Is room 12 free?"}]}]}
    call = read_one(tmp_path, {"request": asked, "response": reply})
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (300, 5)
    assert call.usage.details == (None if tier is None else UsageDetails(service_tier=tier))


def test_where_an_answer_had_to_run_is_known_beside_its_batch(tmp_path: Path) -> None:
    counts = {"input_tokens": 300, "output_tokens": 5, "service_tier": "batch", "inference_geo": "us", "news": {"a": 1}}
    said = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}], "usage": counts}
    asked = {"model": "claude-opus-4-6", "max_tokens": 9, "messages": ASKED}
    result = {"type": "succeeded", "message": {**said, "model": "claude-opus-4-6"}}
    call = read_one(tmp_path, {"custom_id": "a", "params": asked, "result": result})
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (300, 5)
    assert call.usage.details == UsageDetails(service_tier="batch+us")


def test_the_tier_that_langchain_tells_is_that_of_the_price(tmp_path: Path) -> None:
    counts = {"input_tokens": 300, "output_tokens": 5, "total_tokens": 305}
    details = {"input_token_details": {"priority_cache_read": 256, "priority": 44}}
    told = {"content": "yes", "usage_metadata": counts | details, "response_metadata": {"service_tier": "priority"}}
    outputs = {"generations": [[{"text": "yes", "message": {"lc": 1, "kwargs": told}}]]}
    run = {"run_type": "llm", "inputs": {"messages": [ASKED]}, "outputs": outputs}
    usage = read_one(tmp_path, run).usage
    assert (usage.prompt_tokens, usage.cached_tokens) == (300, 256)
    assert usage.details is not None
    assert usage.details.service_tier == "priority"


def test_posthog_tells_searches_and_how_the_answer_ended(tmp_path: Path) -> None:
    about = {"$ai_input": ASKED, "$ai_output_choices": [{"role": "assistant", "content": "yes"}]}
    counts = {"$ai_model": "gpt-4.1", "$ai_input_tokens": 30, "$ai_output_tokens": 2, "$ai_web_search_count": 2}
    properties = {**about, **counts, "$ai_stop_reason": "length"}
    call = read_one(tmp_path, {"event": "$ai_generation", "properties": properties})
    assert call.usage.details == UsageDetails(web_searches=2)
    assert call.response.finish_reason == "length"


@pytest.mark.parametrize(
    ("name", "chunks"), [("groundingMetadata", "groundingChunks"), ("grounding_metadata", "grounding_chunks")]
)
def test_what_is_grounded_in_maps_has_no_price_of_its_tokens_alone(tmp_path: Path, name: str, chunks: str) -> None:
    usages = []
    for source in ({"maps": {"title": "Inn"}}, {"web": {"uri": "u"}}):
        content = {"role": "model", "parts": [{"text": "yes"}]}
        candidate = {"content": content, "finishReason": "STOP", name: {chunks: [source]}}
        counts = {"promptTokenCount": 30, "candidatesTokenCount": 2, "totalTokenCount": 32}
        reply = {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "gemini-2.5-flash"}
        asked = {"contents": [{"role": "user", "parts": [{"text": "Is room 12 free?"}]}]}
        usages.append(read_one(tmp_path, {"request": asked, "response": reply}).usage.prompt_tokens)
    assert usages == [0, 30]
