"""Prices of real usages, by the price page of the provider that each case names."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from understudies.dialects.base import Api
from understudies.dialects.registry import dialect_of
from understudies.dialects.usage import read_details
from understudies.economics.prices import call_cost, teacher_call_cost
from understudies.events import Usage, UsageDetails, usd

AT = datetime(2026, 11, 1, tzinfo=UTC)
ANTHROPIC = "https://platform.claude.com/docs/en/about-claude/pricing"
RESIDENCY = "https://platform.claude.com/docs/en/manage-claude/data-residency"
OPENAI = "https://developers.openai.com/api/docs/pricing"


@dataclass(frozen=True)
class Case:
    """A usage as an API reports it, what the call costs, and the page that says so."""

    api: Api
    model: str
    usage: dict[str, Any]
    usd: str
    page: str
    tier: str | None = None
    items: tuple[dict[str, Any], ...] = ()


CASES = {
    "plain tokens": Case("chat", "gpt-4o", {"prompt_tokens": 100_000, "completion_tokens": 10_000}, "0.35", OPENAI),
    "cached tokens at half price": Case(
        "chat",
        "gpt-4o",
        {"prompt_tokens": 100_000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 80_000}},
        "0.15",
        OPENAI,
    ),
    "cached tokens of Responses": Case(
        "responses",
        "gpt-4o",
        {"input_tokens": 100_000, "output_tokens": 0, "input_tokens_details": {"cached_tokens": 80_000}},
        "0.15",
        OPENAI,
    ),
    "writes to the cache for 5 minutes cost 1.25 times as much": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 0, "cache_creation_input_tokens": 100_000, "output_tokens": 0},
        "0.375",
        ANTHROPIC,
    ),
    "writes to the cache for an hour cost twice as much": Case(
        "messages",
        "claude-sonnet-4-5",
        {
            "input_tokens": 0,
            "cache_creation_input_tokens": 100_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 50_000, "ephemeral_1h_input_tokens": 50_000},
            "output_tokens": 0,
        },
        "0.4875",
        ANTHROPIC,
    ),
    "reads from the cache cost a tenth": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 0, "cache_read_input_tokens": 100_000, "output_tokens": 0},
        "0.03",
        ANTHROPIC,
    ),
    "long prompts have a price of their own": Case(
        "messages", "claude-sonnet-4-5", {"input_tokens": 300_000, "output_tokens": 1000}, "1.8225", ANTHROPIC
    ),
    "searches of the web cost $10 a thousand": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 1000, "output_tokens": 0, "server_tool_use": {"web_search_requests": 3}},
        "0.033",
        ANTHROPIC,
    ),
    "a batch costs half": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 100_000, "output_tokens": 0, "service_tier": "batch"},
        "0.15",
        ANTHROPIC,
    ),
    "the usual tier changes nothing": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 100_000, "output_tokens": 0, "service_tier": "standard"},
        "0.3",
        ANTHROPIC,
    ),
    "flex costs half": Case(
        "chat", "gpt-5", {"prompt_tokens": 100_000, "completion_tokens": 0}, "0.0625", OPENAI, tier="flex"
    ),
    "priority costs twice as much": Case(
        "chat", "gpt-5", {"prompt_tokens": 100_000, "completion_tokens": 0}, "0.25", OPENAI, tier="priority"
    ),
    "the default tier changes nothing": Case(
        "chat", "gpt-5", {"prompt_tokens": 100_000, "completion_tokens": 0}, "0.125", OPENAI, tier="default"
    ),
    "reasoning within the completion is not counted twice": Case(
        "chat",
        "gpt-5",
        {
            "prompt_tokens": 0,
            "completion_tokens": 1000,
            "completion_tokens_details": {"reasoning_tokens": 900},
            "total_tokens": 1000,
        },
        "0.01",
        OPENAI,
    ),
    "reasoning beside the completion is added": Case(
        "chat",
        "grok-4",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "completion_tokens_details": {"reasoning_tokens": 900},
            "total_tokens": 2000,
        },
        "0.018",
        "https://docs.x.ai/docs/models",
    ),
    "audio has a price of its own": Case(
        "chat",
        "gpt-realtime",
        {
            "prompt_tokens": 2000,
            "completion_tokens": 200,
            "prompt_tokens_details": {"audio_tokens": 1000},
            "completion_tokens_details": {"audio_tokens": 100},
        },
        "0.044",
        OPENAI,
    ),
    "what the provider states": Case(
        "chat",
        "vendor/in-no-list",
        {"prompt_tokens": 1000, "completion_tokens": 100, "cost": 0.0123},
        "0.0123",
        "https://openrouter.ai/docs/use-cases/usage-accounting",
    ),
    "what the provider states beside a key of one's own": Case(
        "chat",
        "vendor/in-no-list",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "cost": 0.001,
            "is_byok": True,
            "cost_details": {"upstream_inference_cost": 0.02},
        },
        "0.021",
        "https://openrouter.ai/docs/use-cases/usage-accounting",
    ),
    "a compaction, which the counts of the whole exclude": Case(
        "messages",
        "claude-opus-4-6",
        {
            "input_tokens": 23_000,
            "output_tokens": 1_000,
            "iterations": [
                {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
                {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
            ],
        },
        "1.1275",
        "https://platform.claude.com/docs/en/build-with-claude/compaction",
    ),
    "fast mode, which the usage tells as the speed": Case(
        "messages",
        "claude-opus-5-5",
        {"input_tokens": 100_000, "output_tokens": 10_000, "speed": "fast"},
        "1.2",
        ANTHROPIC,
    ),
    "inference in the United States alone costs 1.1 times as much": Case(
        "messages",
        "claude-opus-4-6",
        {"input_tokens": 100_000, "output_tokens": 10_000, "inference_geo": "us", "service_tier": "standard"},
        "0.825",
        RESIDENCY,
    ),
    "a batch in the United States alone": Case(
        "messages",
        "claude-opus-4-6",
        {"input_tokens": 100_000, "output_tokens": 10_000, "inference_geo": "us", "service_tier": "batch"},
        "0.4125",
        RESIDENCY,
    ),
    "searches cost the same wherever the inference runs": Case(
        "messages",
        "claude-opus-4-6",
        {
            "input_tokens": 100_000,
            "output_tokens": 0,
            "inference_geo": "us",
            "server_tool_use": {"web_search_requests": 3},
        },
        "0.58",
        RESIDENCY,
    ),
    "inference wherever there is room, and on a model that cannot choose": Case(
        "messages",
        "claude-opus-4-6",
        {"input_tokens": 100_000, "output_tokens": 10_000, "inference_geo": "global", "counts_of_tomorrow": {"x": [1]}},
        "0.75",
        RESIDENCY,
    ),
    "a model that cannot choose where it runs": Case(
        "messages",
        "claude-sonnet-4-5",
        {"input_tokens": 100_000, "output_tokens": 0, "inference_geo": "not_available"},
        "0.3",
        RESIDENCY,
    ),
    "more ticks than can be": Case(
        "chat",
        "grok-4",
        {"prompt_tokens": 100_000, "completion_tokens": 0, "cost_in_usd_ticks": 10**400},
        "0.3",
        "https://docs.x.ai/developers/cost-tracking",
    ),
    "ticks that xAI charged, searches among them": Case(
        "chat",
        "grok-4",
        {"prompt_tokens": 199, "completion_tokens": 1, "num_sources_used": 2, "cost_in_usd_ticks": 158_500_000},
        "0.01585",
        "https://docs.x.ai/developers/cost-tracking",
    ),
    "a tier that costs what the usual one does": Case(
        "chat",
        "groq/openai/gpt-oss-120b",
        {"prompt_tokens": 1_000_000, "completion_tokens": 0},
        "0.15",
        "https://console.groq.com/docs/flex-processing",
        tier="flex",
    ),
    "the usual speed": Case(
        "messages",
        "claude-opus-5-5",
        {"input_tokens": 100_000, "output_tokens": 10_000, "speed": "standard"},
        "0.6",
        ANTHROPIC,
    ),
    "what the provider states in parts": Case(
        "chat",
        "sonar",
        {"prompt_tokens": 10, "completion_tokens": 100, "cost": {"total_cost": 0.006, "request_cost": 0.005}},
        "0.006",
        "https://docs.perplexity.ai/getting-started/pricing",
    ),
}


def body_of(case: Case) -> dict[str, Any]:
    about = {"model": case.model, "usage": case.usage, **({"service_tier": case.tier} if case.tier else {})}
    text = [{"type": "text", "text": "ok"}]
    match case.api:
        case "chat":
            return {**about, "choices": [{"message": {"role": "assistant", "content": "ok"}}]}
        case "responses":
            message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok"}]}
            return {**about, "status": "completed", "output": [*case.items, message]}
        case _:
            return {**about, "type": "message", "role": "assistant", "content": text}


@pytest.mark.parametrize("name", CASES)
def test_a_call_costs_what_its_providers_page_says(name: str) -> None:
    case = CASES[name]
    usage = dialect_of(case.api).decode_response(body_of(case)).usage
    assert call_cost(case.model, usage, at=AT) == Decimal(case.usd), case.page


@pytest.mark.parametrize(
    ("model", "usual"),
    [
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "3"),
        ("bedrock/us.anthropic.claude-3-5-sonnet-20241022-v2:0", "3"),
        ("us.amazon.nova-lite-v1:0", "0.06"),
        ("models/gemini-2.5-flash", "0.3"),
        ("publishers/google/models/gemini-2.5-flash", "0.3"),
        ("openrouter/openai/gpt-4o", "2.5"),
    ],
)
def test_a_model_is_found_under_the_names_of_clouds_and_gateways(model: str, usual: str) -> None:
    assert call_cost(model, Usage(prompt_tokens=1_000_000), at=AT) == Decimal(usual)


def test_an_explicit_price_precedes_what_the_provider_states() -> None:
    usage = Usage(prompt_tokens=10, details=UsageDetails(stated_cost_usd=usd("0.5")))
    assert teacher_call_cost("gpt-4o", usage) == usd("0.5")
    assert teacher_call_cost("gpt-4o", usage, Decimal("0.02")) == usd("0.02")


def test_responses_count_their_searches_of_the_web() -> None:
    search = {"type": "web_search_call", "id": "w", "status": "completed"}
    case = Case("responses", "gpt-5", {"input_tokens": 10, "output_tokens": 1}, "0", OPENAI, items=(search, search))
    details = dialect_of("responses").decode_response(body_of(case)).usage.details
    assert details == UsageDetails(web_searches=2)


def test_counts_that_contradict_each_other_are_priced_within_the_prompt() -> None:
    details = UsageDetails(cache_write_tokens=10**6, cache_write_1h_tokens=10**6, audio_prompt_tokens=10**6)
    cost = call_cost("claude-sonnet-4-5", Usage(prompt_tokens=1000, cached_tokens=900, details=details), at=AT)
    assert cost is not None
    assert 0 < cost < 1


@pytest.mark.parametrize("kind", ["advisor_message", "fallback_message"])
def test_a_call_that_several_models_answered_has_no_price_of_one(kind: str) -> None:
    other = {"type": kind, "model": "claude-opus-4-6", "input_tokens": 823, "output_tokens": 1612}
    usage = {"input_tokens": 412, "output_tokens": 531, "iterations": [{"type": "message"}, other]}
    content = [{"type": "text", "text": "ok"}]
    body = {"model": "claude-sonnet-4-6", "usage": usage, "type": "message", "role": "assistant", "content": content}
    assert dialect_of("messages").decode_response(body).usage == Usage()


def test_a_model_whose_price_in_fast_mode_is_in_no_list_has_none() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=10, details=read_details({"speed": "fast"}))
    assert call_cost("claude-haiku-4-5", usage, at=AT) is None
    assert call_cost("claude-haiku-4-5", Usage(prompt_tokens=1000, completion_tokens=10), at=AT) is not None


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "priority"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "flex"),
        ("us.amazon.nova-lite-v1:0", "reserved"),
        ("us.amazon.nova-lite-v1:0", "optimized"),
        ("claude-sonnet-4-5", "priority"),
        ("claude-opus-4-6", "eu"),
        ("claude-opus-4-6", "batch+eu"),
        ("us.anthropic.claude-opus-4-6-v1", "us"),
        ("gpt-4o", "scale"),
        ("gemini-2.5-flash", "provisioned_throughput"),
        ("openai/gpt-oss-120b", "performance"),
        ("gpt-5.3-codex", "flex"),
    ],
)
def test_a_tier_whose_price_is_in_no_list_is_not_priced_as_the_usual_one(model: str, tier: str) -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=10)
    assert call_cost(model, usage, at=AT) is not None
    assert call_cost(model, usage.model_copy(update={"details": UsageDetails(service_tier=tier)}), at=AT) is None


@pytest.mark.parametrize(
    ("model", "tier"),
    [
        ("gpt-4o-mini", "batch"),
        ("gpt-5", "flex"),
        ("gpt-5", "priority"),
        ("claude-sonnet-4-5", "batch"),
        ("claude-sonnet-4-5", "batch+us"),
        ("gemini-2.5-flash", "batch"),
    ],
)
def test_a_tier_cost_as_much_before_the_list_knew_of_it(model: str, tier: str) -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100)
    tiered = usage.model_copy(update={"details": UsageDetails(service_tier=tier)})
    before = AT.replace(month=9)
    now, usual_now = call_cost(model, tiered, at=AT), call_cost(model, usage, at=AT)
    then, usual_then = call_cost(model, tiered, at=before), call_cost(model, usage, at=before)
    assert now is not None
    assert then is not None
    assert usual_now is not None
    assert usual_then is not None
    assert now != usual_now
    assert then / usual_then == now / usual_now


@pytest.mark.parametrize("model", ["grok-4", "mistral-large-latest"])
def test_searches_whose_fee_is_in_no_list_are_not_free(model: str) -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=10)
    assert call_cost(model, usage, at=AT) is not None
    assert call_cost(model, usage.model_copy(update={"details": UsageDetails(web_searches=1)}), at=AT) is None


@pytest.mark.parametrize("tier", [["flex"], {"tier": "flex"}, 5, True, ""])
def test_a_tier_that_is_no_name_is_none(tier: object) -> None:
    for usage in ({"prompt_tokens": 10}, {"prompt_tokens": 10, "service_tier": tier}):
        assert read_details(usage, tier) is None


def test_a_model_of_audio_without_a_price_for_it_is_not_priced_as_text() -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100, details=UsageDetails(audio_completion_tokens=90))
    for model in ("gpt-4o-audio-preview", "gpt-4o-mini-audio-preview-2024-12-17", "openai/gpt-4o-audio-preview"):
        assert call_cost(model, usage, at=AT) is None
        assert call_cost(model, Usage(prompt_tokens=1000, completion_tokens=100), at=AT) is None
    for model in ("gpt-audio", "openai/gpt-audio"):
        assert call_cost(model, usage, at=AT) == usd("0.00836")  # 1000 at $2.5, 10 at $10 and 90 at $64 a million
