"""Read what a provider's usage tells beyond the counts of tokens: all that has a price of its own."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from understudies.dialects.json_fields import list_objects, object_or_empty, token_count
from understudies.events import UsageDetails, usd

_DETAILS: Final = frozenset(
    {"prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"}
)
_PRICED_DETAILS: Final = ("audio_tokens", "cache_write_tokens", "web_search_requests")
_PRICED: Final = frozenset(
    {"cost", "cache_creation", "cache_creation_input_tokens", "server_tool_use", "service_tier", "cost_details"}
    | {"speed", "inference_geo", "cost_in_usd_ticks"}
)
FAST: Final = "fast"
"""The tier of a call that Anthropic served in fast mode, which its usage tells as the speed."""
_USUAL_TIERS: Final = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
_USUAL_PLACES: Final = frozenset({"", "global", "not_available"})
_MAX_COST_USD: Final = 1_000_000
_TICKS_PER_USD: Final = 10**10
_ITERATED: Final = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OTHER_MODELS: Final = frozenset({"advisor_message", "fallback_message"})
"""Iterations of Anthropic's usage that another model answered."""


def read_details(usage: Mapping[str, Any], tier: Any = None, web_searches: int = 0) -> UsageDetails | None:
    """Read the details of a usage in any provider's form; returns None if there is nothing that changes a price.

    `tier` is the service tier that the answer names, and `web_searches` counts those among its items.
    """
    is_usual = not web_searches and usage.keys().isdisjoint(_PRICED) and (tier is None or not _read_tier(tier))
    if is_usual and not _has_priced(usage):
        return None
    prompt = object_or_empty(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    completion = object_or_empty(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    written = object_or_empty(usage.get("cache_creation"))
    hour = token_count(written.get("ephemeral_1h_input_tokens"))
    tools = object_or_empty(usage.get("server_tool_use"))
    write = max(
        token_count(usage.get("cache_creation_input_tokens")),
        token_count(prompt.get("cache_write_tokens")),
        token_count(written.get("ephemeral_5m_input_tokens")) + hour,
    )
    audio = token_count(prompt.get("audio_tokens")), token_count(completion.get("audio_tokens"))
    searches = (
        token_count(tools.get("web_search_requests"))
        or token_count(prompt.get("web_search_requests"))  # as LiteLLM has it
        or web_searches
    )
    served_by = _read_tier(tier) or _read_tier(usage.get("service_tier"))
    if usage.get("speed") == FAST:
        served_by = FAST
    if (place := usage.get("inference_geo")) and isinstance(place, str) and place not in _USUAL_PLACES:
        served_by = join_tiers(served_by, place)
    stated = read_stated_cost(usage) if "cost" in usage or "cost_in_usd_ticks" in usage else None
    if not (write or searches or served_by or stated or any(audio)):
        return None  # told before the model is built, which takes longer than all of the above
    return UsageDetails(
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        audio_prompt_tokens=audio[0],
        audio_completion_tokens=audio[1],
        web_searches=searches,
        service_tier=served_by,
        stated_cost_usd=stated,
    )


def with_iterations(usage: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return Anthropic's usage with what its iterations count besides; None if another model took part in the answer.

    The counts of the usage exclude those of compactions, and those of an advisor, which is billed at its own model's
    price; after a fallback they are those of several models. See
    https://platform.claude.com/docs/en/build-with-claude/compaction#understanding-usage.
    """
    entries = [*list_objects(usage.get("iterations"))]
    if any(entry.get("type") in _OTHER_MODELS for entry in entries):
        return None
    compactions = [entry for entry in entries if entry.get("type") == "compaction"]
    if not compactions:
        return usage
    counted = {name: sum(token_count(entry.get(name)) for entry in (usage, *compactions)) for name in _ITERATED}
    written = [object_or_empty(entry.get("cache_creation")) for entry in (usage, *compactions)]
    lifetimes = {name for one in written for name in one}
    by_lifetime = {name: sum(token_count(one.get(name)) for one in written) for name in lifetimes}
    return {**usage, **counted, **({"cache_creation": by_lifetime} if by_lifetime else {})}


def _has_priced(usage: Mapping[str, Any]) -> bool:
    """Return whether the details of a usage tell something that has a price; nearly all are zeros."""
    for name, details in usage.items():
        is_told = name in _DETAILS and isinstance(details, dict)
        if is_told and any(details.get(kind) for kind in _PRICED_DETAILS):
            return True
    return False


def reasoning_apart(usage: Mapping[str, Any]) -> int:
    """Return the reasoning tokens of a chat that count beside its completion tokens, as only the total shows."""
    details = usage.get("completion_tokens_details")
    reasoning = token_count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    if not reasoning:
        return 0
    counted = token_count(usage.get("prompt_tokens")) + token_count(usage.get("completion_tokens"))
    return reasoning if token_count(usage.get("total_tokens")) == counted + reasoning else 0


def read_stated_cost(usage: Mapping[str, Any]) -> Decimal | None:
    """Return the cost in US dollars that a provider states itself, such as OpenRouter, Perplexity or xAI.

    With a caller's own key OpenRouter charges a fee beside what the provider upstream charges. xAI counts ticks of
    1e-10 dollars; see https://docs.x.ai/developers/cost-tracking.
    """
    stated = usage.get("cost")
    if isinstance(stated, dict):
        stated = stated.get("total_cost")
    ticks = usage.get("cost_in_usd_ticks")
    if stated is None and isinstance(ticks, int) and not isinstance(ticks, bool):
        stated = ticks / _TICKS_PER_USD if ticks < _MAX_COST_USD * _TICKS_PER_USD else None
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated < _MAX_COST_USD:
        return None
    upstream = object_or_empty(usage.get("cost_details")).get("upstream_inference_cost")
    if usage.get("is_byok") is True and isinstance(upstream, int | float) and 0 < upstream < _MAX_COST_USD:
        return usd(usd(stated) + usd(upstream))
    return usd(stated)


def join_tiers(*tiers: str) -> str:
    """Join the names of conditions that together make the price of a call, each once."""
    return "+".join(dict.fromkeys(part for tier in tiers for part in tier.split("+") if part))


def _read_tier(tier: Any) -> str:
    return tier if isinstance(tier, str) and tier not in _USUAL_TIERS else ""
